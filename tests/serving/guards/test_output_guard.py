"""An answer is guarded in the same way however it comes in pieces, and nothing of a match gets out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.named_guard import NamedGuard
from loresmith.serving.guards.output_guard import HELD_AT_MOST, TOO_LONG, NeedsPerson, Refused, Rerouted
from loresmith.serving.guards.settings import REFUSED, DenyGuard
from loresmith.serving.guards.verdict import FAILED
from tests.serving.guards.evasions import CYRILLIC, TOKEN, letters
from tests.serving.guards.guarding import KEY, answer, content, guards, in_pieces, said, written

PRIVACY = {"kind": "privacy"}
SECRETS = {"kind": "secrets"}
FALCON = {"kind": "deny", "phrases": ["Project Falcon"], "action": "redact"}
ALL: tuple[dict[str, Any], ...] = (PRIVACY, SECRETS, FALCON, {"kind": "injection", "on": ["output"]})

KEY_LINES = "\n".join(f"MIIEpAIBAAKCAQEA7bq1xYz8Q2m4kL9sV0x{number:02}" for number in range(60))
PRIVATE_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINES}\n-----END RSA PRIVATE KEY-----"

THINGS = {
    "ada.lovelace@analytical-engines.com": "[EMAIL]",
    "4111 1111 1111 1111": "[CARD]",
    "DE89 3704 0044 0532 0130 00": "[IBAN]",
    TOKEN: "[SECRET]",
    PRIVATE_KEY: "[SECRET]",
    PRIVATE_KEY.replace("KEY-----\nMII", "KEY-----" + "\n" * 500 + "MII"): "[SECRET]",
    "Project Falcon": "[REMOVED]",
    letters(CYRILLIC)("Project Falcon"): "[REMOVED]",
    "\u200b".join("4111 1111 1111 1111"): "[CARD]",
    base64.b64encode(b"write to ada.lovelace@analytical-engines.com").decode(): "[EMAIL]",
    "P r o j e c t   F a l c o n": "[REMOVED]",
}
FILLER = "The valve of the pump in hall three is checked once a week by whoever is on duty, with some care. "

texts = st.lists(
    st.one_of(st.sampled_from([f" {thing} " for thing in THINGS]), st.integers(1, 90).map(lambda n: FILLER[:n])),
    max_size=8,
).map("".join)


def streamed(*settings: dict[str, Any], pieces: Sequence[str]) -> str:
    out, stopped = written(guards(*settings).output(), pieces)
    assert stopped is None
    return out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, st.integers(0, 1000), st.sampled_from([1, 3, 40, 500]))
def test_the_same_answer_in_any_pieces_gives_the_same_output(text: str, seed: int, longest: int) -> None:
    whole = streamed(*ALL, pieces=[text])
    assert streamed(*ALL, pieces=list(in_pieces(text, seed, longest))) == whole


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts)
def test_a_stream_is_redacted_as_the_same_text_is_in_a_request(text: str) -> None:
    looking = guards(*({**each, "on": ["input", "output"]} for each in ALL))
    assert written(looking.output(), [text]) == (content(looking.examine(said(text))), None)


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("before", [0, 1, 37, 63, 64, 100, 190, 1000])
def test_nothing_of_a_match_gets_out_wherever_it_stands(thing: str, before: int) -> None:
    lead, tail = (FILLER * 12)[:before], (FILLER * 3)
    guard = guards(*ALL).output()
    out, seen = "", ""
    for piece in in_pieces(f"{lead} {thing} {tail}", before, 5):
        out += guard.feed(piece)
        seen = max(seen, out, key=len)
        assert thing[:6] not in out.replace(lead, "", 1) or thing[:6] in FILLER
    out += guard.finish()
    assert out == f"{lead} {THINGS[thing]} {tail}"


@pytest.mark.parametrize("thing", THINGS)
def test_an_answer_that_ends_in_the_middle_is_judged_by_what_there_is(thing: str) -> None:
    for end in (len(thing) // 3, len(thing) - 1, len(thing)):
        text = f"{FILLER} {thing[:end]}"
        assert streamed(*ALL, pieces=[text]) == streamed(*ALL, pieces=list(text))


@settings(max_examples=30, deadline=None)
@given(texts, st.integers(0, 1000))
def test_bytes_scanned_are_bytes_emitted_at_any_time(text: str, seed: int) -> None:
    guard = guards(*ALL).output()
    emitted = read = 0
    for piece in in_pieces(text, seed, 30):
        emitted += len(guard.feed(piece).encode())
        read += len(piece.encode())
        assert guard.bytes_scanned == guard.bytes_emitted == emitted
        assert guard.bytes_read == read
    emitted += len(guard.finish().encode())
    assert guard.bytes_scanned == guard.bytes_emitted == emitted


def test_what_went_before_a_refusal_is_the_same_in_any_pieces() -> None:
    text = FILLER * 8 + "Project Falcon. " + FILLER * 3
    refusing = {**FALCON, "action": "refuse", "message": "No."}
    whole, stopped = answer([refusing], text)
    assert isinstance(stopped, Refused)
    assert stopped.message == "No."
    assert text.startswith(whole)
    assert "Project" not in whole
    for longest in (1, 7, 2000):
        out, again = written(guards(refusing).output(), list(in_pieces(text, longest, longest)))
        assert out == whole
        assert again is not None
        assert again.verdicts == stopped.verdicts


def test_an_answer_that_was_stopped_stays_stopped() -> None:
    guard = guards({**FALCON, "action": "refuse"}).output()
    with pytest.raises(Refused) as first:
        guard.feed(FILLER * 8 + "Project Falcon. " + FILLER * 2)
    out = first.value.text
    assert out
    assert (FILLER * 8).startswith(out)
    for again in (lambda: guard.feed("more"), guard.finish):
        with pytest.raises(Refused) as caught:
            again()
        assert caught.value.text == ""  # it went out already
    assert guard.bytes_emitted == guard.bytes_scanned == len(out)


def test_other_actions_say_what_is_to_happen() -> None:
    _, stopped = answer([{**FALCON, "action": "route", "route": "plain"}], "Project Falcon")
    assert isinstance(stopped, Rerouted)
    assert stopped.route == "plain"
    _, stopped = answer([{**FALCON, "action": "ask", "message": "A person will look at it."}], "Project Falcon")
    assert isinstance(stopped, NeedsPerson)
    assert stopped.message == "A person will look at it."
    out, stopped = answer([{**FALCON, "action": "allow"}], "Project Falcon")
    assert (out, stopped) == ("Project Falcon", None)


class BreaksAt:
    """A guard that breaks down when an answer has grown so long."""

    hold = 0
    left = 0
    whole = False

    def __init__(self, length: int) -> None:
        self._length = length

    def look(self, reading: Reading) -> list[Hit]:
        if "7" * self._length in reading.views.given:
            raise ZeroDivisionError
        return []

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


def test_a_guard_that_fails_in_the_middle_ends_the_answer() -> None:
    settings = DenyGuard(kind="deny", phrases=("xx",), action="allow", message="Mine.")
    guard = Guards([NamedGuard(settings, BreaksAt(3))], KEY).output()
    out, stopped = written(guard, [FILLER * 2, "777", FILLER * 2])
    assert isinstance(stopped, Refused)
    assert stopped.message == REFUSED
    assert [verdict.rule for verdict in stopped.verdicts] == [FAILED]
    assert "777" not in out
    assert (FILLER * 2).startswith(out)


def test_an_answer_that_may_be_a_match_for_ever_is_refused() -> None:
    out, stopped = written(guards(SECRETS).output(), ["a1B2" * 250] * (HELD_AT_MOST // 1000 + 1))
    assert out == ""
    assert stopped is not None
    assert [verdict.rule for verdict in stopped.verdicts] == [TOO_LONG]


def test_what_is_held_back_is_little_in_plain_text() -> None:
    guard = guards(PRIVACY, SECRETS, FALCON).output()
    out = 0
    for number, character in enumerate(FILLER * 40, 1):
        out += len(guard.feed(character))
        assert number - out <= 320


def test_invisible_characters_do_not_push_a_match_out_of_the_window() -> None:
    thing = ("\u200b" * 50).join("4111 1111 1111 1111")
    assert streamed(PRIVACY, pieces=list(in_pieces(f"{FILLER}{thing}, {FILLER}", 3, 20))) == f"{FILLER}[CARD], {FILLER}"


def test_an_answer_that_is_held_as_a_whole_goes_out_at_its_end() -> None:
    guard = guards({**FALCON, "hold": "all"}).output()
    assert all(guard.feed(piece) == "" for piece in in_pieces(FILLER * 5, 1))
    assert guard.finish() == FILLER * 5
    out, stopped = answer([{**FALCON, "hold": "all", "action": "refuse"}], FILLER * 9 + "Project Falcon")
    assert out == ""
    assert isinstance(stopped, Refused)


def test_without_guards_everything_goes_out_at_once() -> None:
    guard = guards({**PRIVACY, "on": ["input"]}).output()
    assert [guard.feed(piece) for piece in ("ada@", "example.com")] == ["ada@", "example.com"]
    assert guard.finish() == ""
    assert guard.bytes_scanned == guard.bytes_emitted == guard.bytes_read == 15


def test_arguments_of_a_tool_call_are_read_through_their_escapes() -> None:
    guard = guards(PRIVACY).output(tool="send")
    out, stopped = written(guard, list(in_pieces('{"to": "ada\\u0040example.com", "body": "x"}', 2, 4)))
    assert (out, stopped) == ('{"to": "[EMAIL]", "body": "x"}', None)
