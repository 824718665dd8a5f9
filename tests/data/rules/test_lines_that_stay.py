"""What only looks like the number of a page, and what only stands beside boilerplate, stays."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from loresmith.data.edited_text import EditedText
from loresmith.data.rules.boilerplate import BoilerplateLines, line_keys
from loresmith.data.rules.page_furniture import PageFurniture

LOG = """==4711== Memcheck, a memory error detector
==4711== 24 bytes in 1 blocks are possibly lost in loss record
{}
==4711==    at 0x4C2AB80: malloc (vg_replace_malloc.c:296)
==4711==    by 0x400D3F: main (pump.c:17)
"""
NOTICE = "This message is confidential and for its recipient only."
TEXT_LINES = st.sampled_from(
    ["40 of 46", "41 of 46", "42 of 46", "Pic", "P520", "six.", "s390", "PCC.", "page 9 of the manual", "12", "page 2"]
)


def _left(text: str) -> str:
    return EditedText.of(text).apply(PageFurniture().look(text, "", "text/plain", ()).edits).text


def test_a_log_keeps_its_records_also_where_they_count_on() -> None:
    log = "".join(LOG.format(f"{number} of 46") for number in range(1, 47))
    assert _left(log) == log


@given(
    st.lists(st.sampled_from([1, 1, 1, 0, 2, 5]), min_size=1, max_size=12).map(lambda by: list(accumulate(by))),
    st.sampled_from(["Page {} of 400", "- {} -", "S. {}"]),
)
@example([7, 8], "Page {} of 400")
@example([7, 8, 8, 9, 9, 10], "- {} -")
def test_page_numbers_go_in_runs_of_three_that_count_on_and_nothing_else_ever(numbers: list[int], form: str) -> None:
    counts_on = [later == number + 1 for number, later in pairwise(numbers)]
    in_run = [
        any(all(counts_on[first : first + 2]) and first <= place <= first + 2 for first in range(len(numbers) - 2))
        for place in range(len(numbers))
    ]
    pages = [(f"What is said on page {number}.\n", f"{form.format(number)}\n") for number in numbers]
    wanted = "".join(said + ("" if goes else number) for (said, number), goes in zip(pages, in_run, strict=True))
    assert _left("".join(map("".join, pages)) + "End\n") == wanted + "End\n"


@given(st.lists(TEXT_LINES, max_size=30))
def test_lines_that_name_no_page_stay_in_any_order(lines: list[str]) -> None:
    text = "A line of text.\n" + "".join(f"{line}\n" for line in lines)
    assert _left(text) == text


@given(st.lists(st.sampled_from(["Thanks.", "Ada", "Bob", "Kind regards"]), min_size=20, max_size=20))
@example(["Ada"] * 20)
@example(["Thanks."] * 10 + ["Ada"] * 9 + ["Bob"])
def test_a_line_is_cut_as_boilerplate_only_where_it_is_in_so_many_documents_itself(beside: list[str]) -> None:
    documents = [f"Report of day {n}\n\nThe seal {n} is dry.\n\n{beside[n]}\n{NOTICE}\n" for n in range(20)]
    counts = Counter(key for text in documents for key in set(line_keys(text).keys.tolist()))
    rule = BoilerplateLines({key for key, count in counts.items() if count >= 10})
    for text, line in zip(documents, beside, strict=True):
        cut = [text[edit.start : edit.end] for edit in rule.look(text, "en", "text/plain", ()).edits]
        assert cut == ([f"{line}\n{NOTICE}\n"] if beside.count(line) >= 10 else [])
