"""Recall and precision on the labelled set are what docs/privacy.md says, however the passages were typed."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from pathlib import Path

import pytest

from benchmarks.data.hard_negatives import NEGATIVES
from benchmarks.data.labelled_text import Sample, labelled_set
from benchmarks.data.privacy import labelled
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import KINDS, PrivacyRules
from loresmith.data.privacy.seen_text import SeenText

USUAL = Recognisers(PrivacyRules())
ALL = Recognisers(PrivacyRules(minimum_confidence=0.0))


@lru_cache
def samples() -> tuple[Sample, ...]:
    return tuple(labelled_set(3, 40))


def test_recall_and_precision() -> None:
    result = labelled(USUAL, 60)["kinds"]
    for kind in KINDS:
        assert result[kind]["recall_told"] >= 0.98, kind
        assert result[kind]["precision"] >= 0.9, kind
    for kind, recall in {
        "email": 0.99,
        "iban": 0.99,
        "secret": 0.98,
        "card": 0.9,
        "phone": 0.85,
        "mac": 0.75,
        "ip": 0.7,
    }.items():
        assert result[kind]["recall_bare"] >= recall, kind


DOCUMENTED = Path(__file__).resolve().parents[3] / "docs" / "privacy.md"
ROW = re.compile(r"^\| ([^|]+) \| ([\d.; ]+) \| ([\d.; ]+) \| ([\d.]*) ?\|$", re.MULTILINE)


def _kinds(row: str) -> list[list[str]]:
    """What a row of the table speaks of: kinds that share a figure, for each figure."""
    row = row.partition(":")[0].removeprefix("of these ")
    each = [part.split(", ") for part in row.split("; ")]
    countries = len(each[0][0]) == 2 and each[0][0] != "ip"
    named = [[f"national_id/{name}" if countries else name for name in part] for part in each]
    return [["national_id" if name == "national ids" else name for name in part] for part in named]


def test_the_figures_are_those_of_the_documentation() -> None:
    """Or better ones."""
    table = DOCUMENTED.read_text("utf-8").partition("| kind | recall, told |")[2].partition("\n\n")[0]
    found = labelled(USUAL, 300)["kinds"]
    told_of = set()
    for row, *figures in ROW.findall(table):
        kinds = _kinds(row)
        for name, written in zip(("recall_told", "recall_bare", "precision"), figures, strict=True):
            said = written.strip().split("; ") if written.strip() else []
            for part, figure in zip(kinds, said * (len(kinds) if len(said) == 1 else 1), strict=bool(said)):
                for kind in part:
                    told_of.add(kind)
                    assert round(found[kind][name], len(figure.partition(".")[2])) >= float(figure), (kind, name)
    assert told_of == set(found)


def test_passages_without_anything_are_left_alone() -> None:
    negatives = [sample for sample in samples() if sample.kind in NEGATIVES and sample.kind != "capitalised words"]
    hit = [sample.kind for sample in negatives if USUAL.find(sample.text)]
    assert len(negatives) == 40 * (len(NEGATIVES) - 1)
    assert len(hit) <= len(negatives) // 100, hit


def test_no_finding_is_longer_than_its_recogniser_says() -> None:
    longest = {kind: recogniser.longest for recogniser in ALL.each for kind in recogniser.kinds}
    assert set(longest) == set(KINDS)
    for sample in samples():
        for finding in ALL.find(sample.text):
            assert finding.end - finding.start <= longest[finding.kind] <= ALL.longest


def test_what_stands_far_away_changes_nothing() -> None:
    """So a stream can be looked at in windows."""
    margin = USUAL.reach
    for sample in samples()[::3]:
        far = "Der Motor läuft ruhig, nichts weiter. " * 4
        text = f"{far}\n{sample.text}\n{far}"
        for finding in USUAL.find(text):
            start, end = max(0, finding.start - margin), finding.end + margin
            moved = [(found.start + start, found.end + start, found.rule) for found in USUAL.find(text[start:end])]
            assert (finding.start, finding.end, finding.rule) in moved


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def _wide(text: str) -> str:
    return "".join(
        chr(ord(character) + 0xFEE0) if character.isdigit() and character.isascii() else character for character in text
    )


def _invisible(text: str) -> str:
    return "".join(f"{character}\u200b" if character.isalnum() else character for character in text)


def _typographic(text: str) -> str:
    return text.replace(" ", "\u00a0").replace("-", "\u2011")


@pytest.mark.parametrize("typed", [_decomposed, _wide, _invisible, _typographic])
def test_how_it_was_typed_does_not_matter(typed: object) -> None:
    assert callable(typed)
    seen = 0
    for sample in samples():
        if "-----BEGIN" in sample.text and typed is _typographic:
            continue
        plain = [(sample.text[found.start : found.end], found.rule) for found in USUAL.find(sample.text)]
        text = typed(sample.text)
        otherwise = [(SeenText(text[found.start : found.end]).text, found.rule) for found in USUAL.find(text)]
        assert otherwise == [(SeenText(value).text, rule) for value, rule in plain], text
        seen += len(plain)
    assert seen > 500
