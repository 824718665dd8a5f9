"""Whatever the text, findings are in order, apart, exact, the same again, and silent about what they found."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmarks.data.labelled_text import labelled_set
from loresmith.data.privacy.findings import Finding, settle
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.replacement import Action, replacement
from loresmith.data.privacy.rules import KINDS, PrivacyRules
from loresmith.data.privacy.seen_text import SeenText
from loresmith.errors import UserError

ALL = Recognisers(PrivacyRules(minimum_confidence=0.2))
USUAL = Recognisers(PrivacyRules())
SLOW = settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


@lru_cache
def pieces() -> tuple[str, ...]:
    """Passages, and the values in them."""
    values = [
        piece
        for sample in labelled_set(5, 12)
        for piece in (sample.text, *(sample.text[start:end] for start, end in sample.spans))
    ]
    return tuple(values)


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(pieces()),
        st.text("0123456789+-./() @:=aAeEfF\"'\n\u200b\u0301\uff11", max_size=12),
        st.sampled_from([" ", "\n", ", ", "-", "/", "@", "]", "[", "Tel. ", "IBAN ", "Herr ", "password=", "://"]),
        st.text(max_size=6),
    ),
    max_size=8,
).map("".join)


def write(text: str, recognisers: Recognisers, action: Action, key: bytes = b"") -> str:
    parts, last = [], 0
    for finding in recognisers.find(text):
        parts += [text[last : finding.start], replacement(finding, text, action, key)]
        last = finding.end
    return "".join([*parts, text[last:]])


@SLOW
@given(TEXTS)
def test_findings_are_sorted_apart_and_inside(text: str) -> None:
    found = ALL.find(text)
    assert found == ALL.find(text)
    places = [place for finding in found for place in (finding.start, finding.end)]
    assert places == sorted(places)
    assert all(0 <= finding.start < finding.end <= len(text) for finding in found)
    assert all(finding.kind in KINDS and 0.2 <= finding.confidence <= 1 for finding in found)


GLUED = "a solene+news@example.comsolene+news@example.com"
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIwODYxODYwOTA3IiwiaWF0Ijo2NDkwOX0.-C2V6vgtbb8lDeObi17cw7P6cgKMAEZ7"
)


@SLOW
@example("Tel. DE89 3704 0044 0532 0130 00 030 6198 492")
@example("Phone 476-353-5484 (office hours only).000::07 97 33 90 15From")
@example(GLUED)
@example(f"{TOKEN}: hunter2x")
@given(TEXTS)
def test_masking_twice_is_masking_once(text: str) -> None:
    masked = write(text, USUAL, "mask")
    assert write(masked, USUAL, "mask") == masked


@SLOW
@given(st.text("ab1\u200b\u00ad\u0301\u0308\uff11\u00a0\u0661é\U0001d7ce", max_size=20))
def test_the_way_back_to_the_given_text(text: str) -> None:
    seen = SeenText(text)
    ends = [seen.given(place, place + 1) for place in range(len(seen.text))]
    assert all(start < end for start, end in ends)
    assert all(before[1] <= after[0] for before, after in pairwise(ends))
    for place, (start, end) in enumerate(ends):
        assert SeenText(text[start:end]).text == seen.text[place]


@given(
    st.lists(
        st.builds(
            lambda start, length, sure: Finding(start, start + length, "name", sure, "r"),
            st.integers(0, 40),
            st.integers(1, 9),
            st.floats(0, 1),
        ),
        max_size=30,
    )
)
def test_of_two_that_overlap_the_longer_stays_then_the_surer(findings: list[Finding]) -> None:
    kept = settle(findings)
    for finding in findings:
        if finding not in kept:
            rivals = [rival for rival in kept if rival.start < finding.end and finding.start < rival.end]
            best = max(rivals, key=lambda rival: (rival.end - rival.start, rival.confidence))
            assert (best.end - best.start, best.confidence) >= (finding.end - finding.start, finding.confidence)
    assert all(left.end <= right.start for left, right in pairwise(kept))


def test_a_finding_never_shows_what_it_found() -> None:
    for piece in pieces():
        for finding in ALL.find(piece):
            value = piece[finding.start : finding.end]
            assert value not in repr(finding) or len(value) < 4


def test_only_the_wanted_kinds_and_countries() -> None:
    text = "ada@example.org, DNI 12345678Z, +49 30 1234567"
    assert [found.kind for found in Recognisers(PrivacyRules(kinds=("email",))).find(text)] == ["email"]
    french = Recognisers(PrivacyRules(kinds=("national_id", "phone"), countries=("fr",)))
    assert [found.rule for found in french.find(text)] == ["phone/+"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (PrivacyRules(kinds=("emial",)), "'email'"),
        (PrivacyRules(countries=("xx",)), "known: at, be"),
        (PrivacyRules(name_model="spacy"), "none is known"),
    ],
)
def test_unknown_names_are_said(rules: PrivacyRules, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Recognisers(rules)
