"""A suite says what is right, and a mistake in it is named by file, line and key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.evaluation.suite import Case, Suite, parse_suite

SUITE = """\
name: idioms
max_new_tokens: 16
cases:
  - name: sum
    prompt: "def add(a, b):\\n    return"
    expected: a + b
    stop: ["\\n"]
  - prompt: import
    expected: ^\\s*(os|sys)
    scorer: regex
    max_new_tokens: 4
"""


def test_it_reads_what_was_written() -> None:
    suite = parse_suite(SUITE, "suite.yaml")
    assert [case.name for case in suite.cases] == ["sum", "case-2"]
    assert suite.cases[0].stop == ("\n",)
    assert suite.cases[0].scorer == "exact"


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("scorer:", "scrorer:"), 10, "unknown key 'scrorer' in cases[1]; did you mean 'scorer'?"),
        (("    expected: a + b\n", ""), 4, "the key 'expected' is missing in cases[0]"),
        (("max_new_tokens: 16", "max_new_token: 16"), 2, "did you mean 'max_new_tokens'?"),
        (("scorer: regex", "scorer: regexp"), 10, "'exact', 'contains' or 'regex', got 'regexp'"),
        (("(os|sys)", "(os|sys"), 8, "not a regular expression"),
        (("  - prompt", "  - name: sum\n    prompt"), 8, "used twice (first at suite.yaml:4)"),
        (("max_new_tokens: 4", "max_new_tokens: 0"), 11, "greater than or equal to 1"),
        (("expected: a + b", "expected: 5"), 6, "valid string, got 5"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_the_nearest_key(change: tuple[str, str], line: int, says: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_suite(SUITE.replace(*change), "suite.yaml")
    assert caught.value.where == f"suite.yaml:{line}"
    assert says in caught.value.what


def test_a_suite_without_cases_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"x\.yaml:2: cases"):
        parse_suite("name: empty\ncases: []", "x.yaml")


@pytest.mark.parametrize(
    ("scorer", "expected", "right", "wrong"),
    [
        ("exact", "a + b", " a + b\n", "a + b + c"),
        ("contains", "a + b", "return a + b + c", "a+b"),
        ("regex", r"^return (\w+)$", "x\nreturn y", "return 1 + 2"),
    ],
)
def test_scorers_tell_right_from_wrong(scorer: str, expected: str, right: str, wrong: str) -> None:
    case = Case.model_validate({"prompt": "p", "expected": expected, "scorer": scorer})
    assert case.passes(right)
    assert not case.passes(wrong)


@given(
    st.lists(
        st.tuples(st.integers(0, len(SUITE)), st.integers(0, 9), st.text("\n -:[]{}&*!|>'\"#%@,?(\\x09s", max_size=5)),
        max_size=5,
    )
)
@settings(max_examples=200, deadline=None)
def test_a_mutated_suite_is_read_or_refused_with_a_place(edits: list[tuple[int, int, str]]) -> None:
    text = SUITE
    for position, removed, added in edits:
        text = text[:position] + added + text[position + removed :]
    try:
        found: Suite | UserError = parse_suite(text, "suite.yaml")
    except UserError as error:
        found = error
    assert isinstance(found, Suite) or str(found).startswith("suite.yaml:")
