"""What cannot be loaded is tried again, and ever more rarely where each attempt costs something."""

from __future__ import annotations

from loresmith.serving.gateway.trying_again import AGAIN_SECONDS, LONGEST_SECONDS, TryingAgain


def pauses(*, costly: bool) -> list[float]:
    now = 0.0
    trying = TryingAgain(lambda: now)
    found = []
    for _ in range(9):
        assert not trying.waits("acme", "second")
        begun = now
        trying.note("acme", "second", costly=costly)
        while trying.waits("acme", "second"):
            now += 1
        found.append(now - begun)
    return found


def test_pauses_grow_to_minutes_and_no_further() -> None:
    found = pauses(costly=True)
    assert found[:3] == [AGAIN_SECONDS, 2 * AGAIN_SECONDS, 4 * AGAIN_SECONDS]
    assert found[-2:] == [LONGEST_SECONDS, LONGEST_SECONDS]
    assert pauses(costly=False) == [AGAIN_SECONDS] * 9


def test_what_is_new_or_was_forgotten_does_not_wait() -> None:
    trying = TryingAgain(lambda: 0.0)
    for name in ("acme", "ward"):
        trying.note(name, "second")
    assert not trying.waits("acme", "third")
    assert not trying.waits("other", "second")
    trying.keep_only({"ward"})
    assert not trying.failed("acme", "second")
    assert trying.waits("ward", "second")
    trying.forget("ward")
    assert not trying.waits("ward", "second")
