"""A channel points where its events say; a rollback goes back to what was good before, or does not happen."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger
from loresmith.ledger.releases import ReleaseEvent, previous_target
from tests.ledger.places import AT, Place, add_asset


@pytest.fixture
def digests(ledger: Ledger, place: Place) -> list[str]:
    return [add_asset(ledger, place, f"model {number}", kind="model").digest for number in range(4)]


def promote(ledger: Ledger, *digests: str) -> None:
    for digest in digests:
        ledger.releases.promote("acme", digest, "production", "because")


def blob_of(place: Place, ledger: Ledger, digest: str) -> Path:
    (file,) = ledger.assets.get(digest).files.values()
    return Path(place.blobs) / "sha256" / file.digest[:2] / file.digest


def test_channels_are_independent_and_all_is_on_the_record(ledger: Ledger, digests: list[str]) -> None:
    a, b, c, _ = digests
    events = [
        ledger.releases.promote("acme", a, "candidate", "to try"),
        ledger.releases.promote("acme", b, "production", "it was good"),
        ledger.releases.promote("acme", c, "production", "it was better"),
        ledger.releases.rollback("acme", reason="it was not"),
        ledger.releases.promote("other", c, "candidate", "to try"),
    ]
    assert ledger.releases.history("acme") == events[:4]
    assert [(event.asset, event.previous) for event in events[:4]] == [(a, None), (b, None), (c, b), (b, c)]
    assert [event.reason for event in events[:4]] == ["to try", "it was good", "it was better", "it was not"]
    assert {event.actor for event in events} == {"ada@host"}
    assert ledger.releases.target("acme", "candidate") == a
    assert ledger.releases.target("acme", "production") == b
    assert ledger.releases.target("other", "production") is None
    assert [(release.name, release.channels) for release in ledger.releases.list()] == [
        ("acme", {"candidate": a, "production": b}),
        ("other", {"candidate": c}),
    ]


def test_what_was_rolled_away_from_is_never_gone_back_to(ledger: Ledger, digests: list[str]) -> None:
    a, bad, c, d = digests
    promote(ledger, a, bad)
    assert ledger.releases.rollback("acme").asset == a
    promote(ledger, c, d)
    assert ledger.releases.rollback("acme").asset == c
    assert ledger.releases.rollback("acme").asset == a
    with pytest.raises(UserError, match="no earlier target"):
        ledger.releases.rollback("acme")
    assert ledger.releases.target("acme", "production") == a


def test_promoting_what_is_there_already_does_not_hide_what_was_before(ledger: Ledger, digests: list[str]) -> None:
    a, b, *_ = digests
    promote(ledger, a, b, b)
    assert ledger.releases.rollback("acme").asset == a


@given(st.lists(st.sampled_from("ABCD") | st.none(), max_size=12))
def test_a_rollback_undoes_the_promotion_before_it(steps: list[str | None]) -> None:
    """None is a rollback. Whatever happened in between, it ends where the undone promotion began."""
    events: list[ReleaseEvent] = []
    begun: list[str | None] = []
    current: str | None = None
    for number, step in enumerate(steps):
        expected = begun[-1] if begun else None
        if expected is None:
            with pytest.raises(UserError):
                previous_target(events, "acme@production")
        else:
            assert previous_target(events, "acme@production") == expected
        if step is None and expected is None:
            continue
        if step is None:
            begun.pop()
        elif step != current:
            begun.append(current)
        before, current = current, expected if step is None else step
        assert current is not None
        events.append(
            ReleaseEvent(
                index=number,
                name="acme",
                channel="production",
                action="rollback" if step is None else "promote",
                asset=current,
                previous=before,
                reason="",
                actor="",
                at=AT,
            )
        )


def test_a_rollback_to_a_damaged_target_is_refused(ledger: Ledger, place: Place, digests: list[str]) -> None:
    a, b, *_ = digests
    promote(ledger, a, b)
    blob = blob_of(place, ledger, a)
    blob.chmod(0o644)
    blob.write_text("modex 0")
    head = ledger.log.head()
    with pytest.raises(Failure, match=r"text\.txt: blob .* is damaged"):
        ledger.releases.rollback("acme")
    blob.unlink()
    with pytest.raises(Failure, match="missing"):
        ledger.releases.rollback("acme")
    assert ledger.releases.target("acme", "production") == b
    assert ledger.log.head() == head
    add_asset(ledger, place, "model 0", kind="model")
    assert ledger.releases.rollback("acme").asset == a


def test_an_asset_that_is_not_all_there_is_not_promoted(ledger: Ledger, place: Place, digests: list[str]) -> None:
    blob_of(place, ledger, digests[0]).unlink()
    for digest, error in ((digests[0], Failure), ("0" * 64, UserError)):
        with pytest.raises(error):
            promote(ledger, digest)
    assert ledger.releases.list() == []


def test_a_name_that_could_be_misread_is_refused(ledger: Ledger, digests: list[str]) -> None:
    for name in ("", "Acme", "a b", "a/b", "a@b", "-a", "é", "0123abcd", "x" * 101, "a\n"):
        with pytest.raises(UserError, match="cannot be the name"):
            ledger.releases.promote(name, digests[0], "production", "because")


def test_unknown_names_and_channels_name_the_nearest(ledger: Ledger, digests: list[str]) -> None:
    promote(ledger, digests[0])
    with pytest.raises(UserError, match="did you mean 'production'"):
        ledger.releases.promote("acme", digests[0], "prodution", "because")  # type: ignore[arg-type]
    for ask in (ledger.releases.history, ledger.releases.rollback):
        with pytest.raises(UserError, match="did you mean 'acme'"):
            ask("acne")
    with pytest.raises(UserError, match="no earlier target"):
        ledger.releases.rollback("acme", "candidate")
