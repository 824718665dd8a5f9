"""A file of cases becomes a suite, and what is wrong in it is named with its line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from loresmith.errors import UserError
from loresmith.evaluation.steps import INGEST_SUITE, IngestSuiteConfig
from loresmith.evaluation.suite import SUITE_FILE, read_suite
from tests.step_context import run_step

GOOD = (
    '{"id": 7, "prompt": "Which valve is red?", "answer": "V-12"}\n'
    "\n"
    '{"id": "β", "prompt": "Wie heißt er? 😀", "answer": "[A-Z]+", "scorer": "regex", "stop": ["."]}\n'
)


def write(folder: Path, text: str, name: str = "cases.jsonl") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_become_a_suite(tmp_path: Path) -> None:
    settings = {"path": write(tmp_path, GOOD), "name": "valves", "scorer": "contains", "max_new_tokens": 9}
    made = run_step(INGEST_SUITE, tmp_path, settings).outputs["suite"]
    suite = read_suite(made.directory / SUITE_FILE)
    assert (suite.name, suite.max_new_tokens) == ("valves", 9)
    assert [(case.name, case.prompt, case.expected, case.scorer) for case in suite.cases] == [
        ("7", "Which valve is red?", "V-12", "contains"),
        ("β", "Wie heißt er? 😀", "[A-Z]+", "regex"),
    ]
    assert suite.cases[1].stop == (".",)
    assert made.metadata == {"name": "valves", "cases": 2}


def test_a_suite_in_yaml_can_be_registered_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, "name: yaml\ncases:\n  - {prompt: a, expected: b}\n", "suite.yaml")
    made = run_step(INGEST_SUITE, tmp_path, {"path": path, "name": "other"}).outputs["suite"]
    assert read_suite(made.directory / SUITE_FILE) == read_suite(path)


@pytest.mark.parametrize(
    ("line", "line_number", "said"),
    [
        ('{"id": "a", "prompt": "p"}', 2, "answer"),
        ('{"id": "a", "prompt": "p", "answr": "x", "answer": "y"}', 2, "'answr'.*answer"),
        ('{"id": "a", "prompt": "", "answer": "y"}', 2, "prompt"),
        ('{"id": "7", "prompt": "p", "answer": "y"}', 2, "'7' is used twice .first in line 1"),
        ('{"id": "a", "prompt": "p", "answer": "(", "scorer": "regex"}', 2, "not a regular expression"),
        ('{"id": "a", ', 2, "not JSON"),
        ("[1]", 2, "not a JSON object"),
        ("\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), 2, "not JSON"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_key(tmp_path: Path, line: str, line_number: int, said: str) -> None:
    path = write(tmp_path, f'{{"id": 7, "prompt": "p", "answer": "a"}}\n{line}\n')
    with pytest.raises(UserError, match=said) as caught:
        run_step(INGEST_SUITE, tmp_path, {"path": path})
    assert f"{path}:{line_number}" in str(caught.value)


def test_a_file_without_cases_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no cases"):
        run_step(INGEST_SUITE, tmp_path, {"path": write(tmp_path, "\n")})
    with pytest.raises(UserError, match="cannot be read"):
        run_step(INGEST_SUITE, tmp_path, {"path": tmp_path / "nowhere.jsonl"})


def test_the_fingerprint_is_that_of_the_cases_wherever_they_lie(tmp_path: Path) -> None:
    assert INGEST_SUITE.fingerprint is not None
    assert INGEST_SUITE.restore_sources is not None
    config = IngestSuiteConfig(path=write(tmp_path, GOOD), name="valves")
    made = run_step(INGEST_SUITE, tmp_path, {"path": config.path, "name": "valves"}).outputs["suite"]
    restored = INGEST_SUITE.restore_sources(config, {"suite": made.directory}, tmp_path)
    assert INGEST_SUITE.fingerprint(restored) == INGEST_SUITE.fingerprint(config)
    write(tmp_path, GOOD.replace("V-12", "V-13"))
    assert INGEST_SUITE.fingerprint(config) != INGEST_SUITE.fingerprint(restored)


def test_a_suite_of_ten_thousand_cases_is_read_at_once(tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "prompt": f"question {n}", "answer": f"answer {n}"}) for n in range(10_000)]
    made = run_step(INGEST_SUITE, tmp_path, {"path": write(tmp_path, "\n".join(lines))}).outputs["suite"]
    begun = time.process_time()
    assert len(read_suite(made.directory / SUITE_FILE).cases) == 10_000
    assert time.process_time() - begun < 5


def test_json_that_is_wrong_is_explained_as_yaml_is(tmp_path: Path) -> None:
    twice = write(
        tmp_path, '{"name": "a", "name": "b", "cases": [{"name": "c", "prompt": "p", "expected": "e"}]}', "suite.yaml"
    )
    with pytest.raises(UserError, match="name"):
        read_suite(twice)
    wrong = write(tmp_path, '{"name": "a",\n "cases": [\n  {"promt": "p", "expected": "e"}]}', "suite.yaml")
    with pytest.raises(UserError, match="prompt") as caught:
        read_suite(wrong)
    assert ":3" in str(caught.value)
    unnamed = write(tmp_path, '{"name": "a", "cases": [{"prompt": "p", "expected": "e"}]}', "suite.yaml")
    assert [case.name for case in read_suite(unnamed).cases] == ["case-1"]
