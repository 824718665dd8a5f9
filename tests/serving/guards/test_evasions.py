"""How much of the evasion set is caught, family by family, exactly; docs/guards.md and docs/security.md say so."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from docs.generate import REFERENCE
from tests.serving.guards.evasion_results import PAGE, all_guards, main, results, table, with_table
from tests.serving.guards.evasions import Case, cases
from tests.serving.guards.guarding import written

PARTLY = {
    "backwards": (9, 12),
    "a space inside every word": (4, 8),
    "letters swapped inside words": (1, 8),
    "over two messages": (1, 12),
}
"""Families of which some get through: how many are caught, of how many."""

NOT_AT_ALL = {
    "upside down": 8,
    "moved by three letters": 8,
    "Morse code": 8,
    "spelling alphabet": 3,
    "base85": 12,
    "compressed, in base64": 12,
    "base64 word by word": 5,
    "first letters of lines": 3,
    "Polish, Turkish, Japanese, Chinese": 4,
    "other words": 6,
}
"""Families that get through as a whole."""

ROW = re.compile(r"^\| ([^|]+?) +\| (\d+) of (\d+) +\|$", re.MULTILINE)


def test_there_are_enough_cases() -> None:
    assert sum(tried for _, tried in results().values()) >= 300
    assert len({(case.family, repr(case)) for case in cases()}) == len(list(cases()))


def test_each_family_is_caught_as_often_as_it_is_said() -> None:
    expected = {family: (tried, tried) for family, (_, tried) in results().items()}
    expected |= PARTLY | {family: (0, tried) for family, tried in NOT_AT_ALL.items()}
    assert results() == expected


def test_the_documentation_says_the_same() -> None:
    page = (REFERENCE.parent / "guards.md").read_text(encoding="utf-8")
    stated = {name: (int(caught), int(tried)) for name, caught, tried in ROW.findall(page)}
    assert stated.pop("all") == tuple(map(sum, zip(*results().values(), strict=True)))
    assert {family: row for family, row in stated.items() if row[0] < row[1]} == {
        family: row for family, row in results().items() if row[0] < row[1]
    }
    full = [family for family, (caught, tried) in results().items() if caught == tried]
    said = " ".join(page.partition("Caught in full:")[2].split())
    for family in full:
        assert f" {family};" in f" {said}".replace(".", ";"), family


def test_the_security_page_has_the_table_of_now(capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page) == page, "write it anew: python -m tests.serving.guards.evasion_results --write"
    assert main([]) == 0
    assert capsys.readouterr().out == table()
    assert all(f"| {family} |" in page for family in results())


def test_what_is_caught_in_a_request_is_caught_in_an_answer_however_it_is_streamed() -> None:
    looking = all_guards()
    differing: dict[str, list[Case]] = defaultdict(list)
    for case in cases():
        if case.text:
            out, stopped = written(looking.output(), [case.text[at : at + 3] for at in range(0, len(case.text), 3)])
            caught = stopped is not None or out != case.text
            if caught != (looking.examine(case.messages).action != "allow"):
                differing[case.family].append(case)
    assert not differing


def test_nothing_of_what_is_caught_stays_in_what_goes_on() -> None:
    looking = all_guards()
    for case in cases():
        examined = looking.examine(case.messages, case.tools, case.retrieved)
        if examined.action == "redact":
            again = looking.examine(examined.messages, examined.tools, examined.retrieved)
            assert again.action == "allow", case


def test_the_folder_of_the_set_is_where_the_page_says() -> None:
    page = (REFERENCE.parent / "guards.md").read_text(encoding="utf-8")
    assert (Path(__file__).parent / "evasions.py").is_file()
    assert "tests/serving/guards/evasions.py" in page
