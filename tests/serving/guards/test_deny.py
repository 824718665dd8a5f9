"""A denied phrase is found however it is written, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.guards.guarding import content, guards, said


def denied(text: str, *phrases: str) -> bool:
    return guards({"kind": "deny", "phrases": list(phrases)}).examine(said(text)).action == "refuse"


@pytest.mark.parametrize(
    "text",
    [
        "The thermite is here.",
        "THERMITE!",
        "th3rm1t3",
        "+herm!te",
        "t-h-e-r-m-i-t-e",
        "ther mite",
        "theeermite",
        "thermmite",
        "т h e r m i t e",
        "etimreht",
        "gurezvgr",
    ],
)
def test_a_phrase_is_found_in_disguise(text: str) -> None:
    assert denied(text, "thermite")


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("isothermites are others", "thermite"),
        ("an isothermite", "thermite"),
        ("the bob omblet", "bomb"),
        ("as it is", "ass"),
        ("loose screws", "lose"),
        ("we plan a project; falcons fly", "Project Falcon"),
        ("a bombing", "bomb"),
        ("nothing at all", "thermite"),
        ("0xbeef", "bee"),
    ],
)
def test_words_that_only_hold_its_letters_are_not_it(text: str, phrase: str) -> None:
    assert not denied(text, phrase)


def test_a_star_stands_for_any_ending() -> None:
    assert denied("the bombing", "bomb*")
    assert denied("the bomb", "bomb*")
    assert not denied("the aplomb", "bomb*")
    redacting = guards({"kind": "deny", "phrases": ["bomb*"], "action": "redact"})
    assert content(redacting.examine(said("the bombing."))) == "the [REMOVED]."


def test_phrases_in_other_scripts_are_found() -> None:
    assert denied("Проект Сокол!", "проект сокол")
    assert denied("項目獵鷹計劃", "獵鷹")


def test_the_audit_names_the_line_and_not_the_phrase(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# code names\nFalcon\nZenith\n", encoding="utf-8")
    examined = guards({"kind": "deny", "file": "list.txt"}, folder=tmp_path).examine(said("About Zenith"))
    (verdict,) = examined.verdicts
    assert verdict.rule == "phrase 2"
    assert "enith" not in repr(verdict)


def test_a_match_counts_once_in_however_many_ways_it_can_be_read() -> None:
    examined = guards({"kind": "deny", "phrases": ["falcon"]}).examine(said("falcon, fаlсоn, f.a.l.c.o.n"))
    assert sum(verdict.count for verdict in examined.verdicts) == 3
