"""Lines that pages, documents and web sites repeat go; lines that only look alike stay."""

from __future__ import annotations

from collections import Counter

import pytest

from loresmith.data.edited_text import EditedText
from loresmith.data.rules.boilerplate import BoilerplateLines, line_keys
from loresmith.data.rules.finding import Finding
from loresmith.data.rules.navigation import Navigation
from loresmith.data.rules.page_furniture import PageFurniture

BODY = (
    "Close the inlet valve before you open the housing of pump {n}.",
    "Remove the {n} screws in the order of their numbers.",
    "Check that part {n}00 of the seal is dry.",
)


def _paged(texts: list[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    text, pages = "", []
    for number, page in enumerate(texts, 1):
        pages.append((number, len(text)))
        text += page
    return text, tuple(pages)


def _cut(text: str, finding: Finding) -> list[str]:
    EditedText.of(text).apply(finding.edits)
    return [text[edit.start : edit.end].strip() for edit in finding.edits]


def _bodies(number: int) -> str:
    return "\n".join(f"{line} Step {word}." for line, word in zip(BODY, ("a", "bb", "ccc"), strict=True)).format(
        n=number
    )


def test_headers_footers_and_page_numbers_go_and_the_first_header_stays() -> None:
    texts = [
        f"X200 Manual\nRev. 3, page {n}\n\n" + f"Words of page {chr(96 + n) * n}.\nMore.\nAnd more {chr(96 + n)}.\n"
        f"Text {chr(96 + n)}.\n\n{n + 10}\n"
        for n in range(1, 8)
    ]
    text, pages = _paged(texts)
    cut = Counter(_cut(text, PageFurniture().look(text, "en", "application/pdf", pages)))
    assert cut["X200 Manual"] == 6
    assert sum(cut[f"Rev. 3, page {n}"] for n in range(2, 8)) == 6
    assert all(cut[str(n + 10)] == 1 for n in range(1, 8))
    assert sum(cut.values()) == 6 + 6 + 7


def test_each_chapter_has_its_own_header() -> None:
    texts = [
        f"Chapter {'AB'[n // 4]}: work\nPage text {chr(97 + n)} is here.\nUnlike {chr(97 + n)} others.\n"
        for n in range(8)
    ]
    text, pages = _paged(texts)
    assert Counter(_cut(text, PageFurniture().look(text, "", "", pages))) == {
        "Chapter A: work": 3,
        "Chapter B: work": 3,
    }


@pytest.mark.parametrize(
    "tops",
    [
        [f"Section {chr(97 + n)}" for n in range(9)],
        [
            "Note",
            *(f"Head {chr(97 + n)}" for n in range(12)),
            "Note",
            *(f"Hand {chr(97 + n)}" for n in range(9)),
            "Note",
        ],
        ["12", "7", "90", "3", "44", "8"],  # cells of a table, not pages that are counted
    ],
)
def test_what_does_not_follow_page_after_page_stays(tops: list[str]) -> None:
    text, pages = _paged(
        [
            f"{top}\nThis is {chr(97 + n)} as text.\nMore of {chr(97 + n)}.\nEnd {chr(97 + n)}.\n"
            for n, top in enumerate(tops)
        ]
    )
    assert PageFurniture().look(text, "", "", pages).edits == ()


def test_a_repeated_line_inside_a_page_stays() -> None:
    text, pages = _paged([f"Top {chr(97 + n)}\nWARNING: hot.\nBottom {chr(97 + n)}\n" for n in range(9)])
    assert PageFurniture().look(text, "", "", pages).edits == ()


def test_lines_that_count_pages_go_without_pages() -> None:
    counted = [[f"Page {n} of 10" for n in (3, 4, 5)], ["- 5 -", "- 6 -", "- 7 -"], ["S. iii", "S. iv", "S. v"]]
    text = (
        "Intro\n" + "".join(f"Text {n} is here.\n{line}\n" for lines in counted for n, line in enumerate(lines)) + "End"
    )
    assert _cut(text, PageFurniture().look(text, "", "", ())) == [line for lines in counted for line in lines]
    assert PageFurniture().look(text, "python", "text/x-python", ()).edits == ()


def test_boilerplate_of_many_documents_goes_paragraph_by_paragraph() -> None:
    banner = (
        "This message is confidential and for its recipient only.\nDelete it if it is not for you, please.\nThank you."
    )
    documents = [f"Report of day {n}\n\n{_bodies(n)}\n\n{banner}\n" for n in range(20)]
    counts = Counter(key for text in documents for key in set(line_keys(text).keys.tolist()))
    rule = BoilerplateLines({key for key, count in counts.items() if count >= 10})
    for text in documents:
        finding = rule.look(text, "en", "text/plain", ())
        assert _cut(text, finding) == [banner]
        assert finding.scores["boilerplate_characters"] == pytest.approx((len(banner) + 1) / len(text))
    inside = f"Before it, in one paragraph with it, stands this.\n{banner}\n"
    assert rule.look(inside, "en", "text/plain", ()).edits == ()
    assert rule.look(documents[0], "python", "text/x-python", ()).edits == ()


def test_keys_are_of_long_enough_lines_near_borders_and_know_case_and_white_space_no() -> None:
    far = "\n".join(f"line number {n} of a long document" for n in range(100))
    keys = line_keys(far)
    lines = [far[start:end].strip() for start, end in zip(keys.starts.tolist(), keys.ends.tolist(), strict=True)]
    assert lines == [f"line number {n} of a long document" for n in (*range(12), *range(88, 100))]
    assert line_keys("SEE ALSO\nNAME\n").keys.size == 0
    assert (
        line_keys("All rights  are Reserved here").keys.tolist()
        == line_keys(" all rights are reserved here ").keys.tolist()
    )
    assert (
        line_keys("Version 2.1 of the program").keys.tolist() != line_keys("Version 2.2 of the program").keys.tolist()
    )
    assert line_keys("All rights are reserved here").keys.tolist() == [9015786741193860177]


def test_menus_and_banners_of_web_pages_go() -> None:
    text = (
        "Skip to content\nHome | Products | Contact | Login\n\n# Pump\n\nThe server uses cookies for a session.\n"
        "Register\n\nHolds the address.\n\n- Index\n- Modules\n- Next\n\nThis website uses cookies. Accept all cookies"
        "\nWir verwenden Cookies, um Inhalte zu personalisieren.\n"
    )
    finding = Navigation().look(text, "en", "text/html", ())
    assert _cut(text, finding) == [
        "Skip to content",
        "Home | Products | Contact | Login",
        "- Index",
        "- Modules",
        "- Next",
        "This website uses cookies. Accept all cookies",
        "Wir verwenden Cookies, um Inhalte zu personalisieren.",
    ]
    assert finding.flags == ("cookie banner",)
    assert finding.scores["navigation_lines"] == 7
    assert Navigation().look(text, "en", "application/pdf", ()).edits == ()
