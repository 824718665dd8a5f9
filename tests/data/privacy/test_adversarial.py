"""No text makes the recognisers slow: 100 kB of the worst that we could think of take under two seconds."""

from __future__ import annotations

import time

import pytest

from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules

ALL = Recognisers(PrivacyRules(minimum_confidence=0.0))
LENGTH = 100_000
REPEATED = (
    "a@",
    "a@a.",
    "a.a@a.a.",
    "1",
    "1 ",
    "0",
    "+1",
    "(0",
    "1.",
    "1.1.1.",
    "::",
    "a:b:",
    "-1",
    "00-",
    "0x1",
    "A1",
    "AB12 ",
    "DE12",
    "password=",
    "key=",
    "key=A1b2",
    "secret: ",
    "token is ",
    "://",
    "://a:",
    "://a:b@",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "eyJ",
    "eyJa.",
    "ghp_",
    "aA1",
    "_-",
    "Anna ",
    "Anna-",
    "Anna, ",
    "Herr ",
    "Herr Dr. ",
    "Name: ",
    "Ab",
    "de ",
    "McMc",
    "\u200b",
    "e\u0301",
    "\u0301",
    "1\u200b",
    "\uff11",
    " ",
    "Tel ",
    "Tel 0",
    "+49 ",
    "0049 ",
    "[EMAIL]",
)


def test_values_that_hold_words_that_announce_values_are_not_looked_at_again_and_again() -> None:
    start = time.process_time()
    ALL.find("key=A1b2" * 40_000)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("piece", REPEATED, ids=repr)
def test_a_hostile_text_is_done_in_time(piece: str) -> None:
    text = (piece * (LENGTH // len(piece) + 1))[:LENGTH]
    start = time.process_time()
    ALL.find(text)
    assert time.process_time() - start < 2
