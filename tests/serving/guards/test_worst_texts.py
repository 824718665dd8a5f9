"""No text takes a guard long, whoever wrote it."""

from __future__ import annotations

import time

import pytest

from tests.serving.guards.guarding import guards, said, written

CHARACTERS = 20_000

PIECES = {
    "spelled letters": "a ",
    "spelled digits": "4 ",
    "one letter": "a",
    "letters and digits": "a1B2",
    "percent": "%41",
    "backslashes": "\\",
    "escapes": "\\u0041",
    "equals": "=",
    "base64": "QUJD",
    "base64 in fours": "aGVs bG8g ",
    "base64 in lines": "QUJDREVGR0hJSktMTU5P\n",
    "hexadecimal": "4a ",
    "numbers": "123 ",
    "addresses": "1.2.3.4 ",
    "entities": "&#",
    "quotes": "'",
    "secrets that do not end": 'password = "',
    "e-mail": "a@b.",
    "names": "Anna ",
    "orders": "ignore ",
    "beginnings of orders": "disregard all the ",
    "brackets": "![<",
    "dashes": "-",
    "nothing to see": "\u200b",
    "tags": "\U000e0041",
    "look-alikes": "а",
}


@pytest.mark.parametrize("piece", PIECES)
def test_the_worst_that_could_be_thought_of_takes_seconds_at_most(piece: str) -> None:
    text = (PIECES[piece] * CHARACTERS)[:CHARACTERS]
    looking = guards(
        {"kind": "privacy"},
        {"kind": "secrets"},
        {"kind": "deny", "phrases": ["Project Falcon", "aaaa", "bomb*"]},
        {"kind": "injection", "on": ["input", "output"]},
    )
    before = time.process_time()
    looking.examine(said(text))
    written(looking.output(), [text[at : at + 500] for at in range(0, CHARACTERS, 500)])
    assert time.process_time() - before < 4
