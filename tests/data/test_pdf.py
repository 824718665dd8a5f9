from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from loresmith.data.readers.pdf import read_pdf
from loresmith.data.readers.pdf_doubts import MOST_SAMPLED, doubt_about, sampled
from loresmith.data.readers.record import ReadingRules, Record, Refused
from tests.data.pdf_files import Page, pdf

RULES = ReadingRules()
LINES = [f"Die Förderschnecke fördert das Gut zum Ofen, der es trocknet: {number} t/h." for number in range(12)]
ENGLISH = "the screw conveyor moves material to the furnace where it is dried, and then on to the mill "
SCRIPTS = ["Το εγχειρίδιο της αντλίας", "泵的维护手册 第二章", "Руководство по насосу"]


def _read(data: bytes) -> Record:
    (record,) = read_pdf(data, RULES)
    assert isinstance(record, Record), record
    return record


def _refusal(data: bytes) -> Refused:
    (record,) = read_pdf(data, RULES)
    assert isinstance(record, Refused), record.text[:200]
    assert record.bytes == len(data)
    return record


def test_text_is_read_page_by_page_with_where_each_begins() -> None:
    record = _read(pdf([Page(LINES), Page(), Page(SCRIPTS)], title="Ölpumpe – 手册"))
    (first, begin), (third, middle) = record.pages
    assert (first, begin, third) == (1, 0, 3)
    assert record.text[:middle] == "\n".join(LINES) + "\n\n"
    assert record.text[middle:] == "\n".join(SCRIPTS) + "\n"
    metadata = json.loads(record.metadata)
    assert metadata["title"] == "Ölpumpe – 手册"
    assert metadata["created"] == "2024-02-29T12:34:56+01:00"
    assert metadata["pages"] == 3
    assert metadata["compared"] == 2


def test_a_title_with_half_a_character_costs_that_character_alone() -> None:
    whole = pdf([Page(LINES)], title="Pumpe Ω")
    broken = whole.replace("Ω".encode("utf-16-be").hex().encode(), b"d800")
    assert broken != whole
    assert json.loads(_read(broken).metadata)["title"] == "Pumpe \ufffd"


def test_right_to_left_text_is_read_as_letters_in_some_order() -> None:
    """PDF has no order of reading: within a line that runs to the left, extractors differ in it."""
    words = ["שלום", "עולם"]
    record = _read(pdf([Page([" ".join(words)])]))
    assert sorted(record.text.split()) in (sorted(words), sorted(word[::-1] for word in words))


def test_a_scan_is_refused_and_named() -> None:
    assert _refusal(pdf([Page(scan=True)] * 3)).reason == "scanned"
    assert _refusal(pdf([Page(["Seite 7"], scan=True)])).reason == "scanned"
    assert _refusal(pdf([Page(), Page()])).reason == "empty"


def test_a_page_may_begin_anywhere() -> None:
    data = pdf([Page(scan=True)]).replace(b"[0 0 595 842]", b"[999 999 1594 1841]")
    assert _refusal(data).reason == "empty"
    assert _refusal(data.replace(b"842 0 0 cm", b"842 999 999 cm")).reason == "scanned"


def test_a_picture_behind_text_makes_no_scan() -> None:
    assert _read(pdf([Page(LINES, scan=True)])).text.split("\n")[0] == LINES[0]


@pytest.mark.parametrize(("scans", "kept"), [(4, True), (5, False)])
def test_scanned_pages_are_left_out_and_named_up_to_a_share(scans: int, kept: bool) -> None:
    pages = [Page(LINES)] * 4 + [Page(scan=True)] * scans
    if kept:
        record = _read(pdf(pages))
        assert json.loads(record.metadata)["left_out"] == {"scanned": [5, 6, 7, 8]}
        assert [number for number, _ in record.pages] == [1, 2, 3, 4]
    else:
        assert _refusal(pdf(pages)).reason == "scanned"


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page([line.replace(" ", "") for line in LINES]), "fused words"),
        (Page(LINES, gap=60), "fused words"),
        (Page([ENGLISH.replace(" ", "")] * 4), "fused words"),
        (Page(LINES, unmapped=True), "garbled"),
    ],
)
def test_text_that_is_none_is_refused(page: Page, reason: str) -> None:
    assert _refusal(pdf([page] * 3)).reason == reason


def test_words_divided_by_gaps_alone_are_read_as_words() -> None:
    assert _read(pdf([Page(LINES, gap=300)])).text.split("\n")[0] == LINES[0]


def test_one_bad_page_does_not_spoil_the_others() -> None:
    record = _read(pdf([Page(LINES), Page(LINES, gap=60), Page(LINES), Page(LINES, unmapped=True), Page(LINES)]))
    assert json.loads(record.metadata)["left_out"] == {"fused words": [2], "garbled": [4]}
    assert [number for number, _ in record.pages] == [1, 3, 5]


def test_text_that_only_one_extractor_sees_is_refused() -> None:
    """Text beside the page, which nobody sees, is what PDFium extracts and the other does not."""
    assert _refusal(pdf([Page(LINES, beside=True)] * 3)).reason == "extractors disagree"


def test_a_doubt_about_one_page_of_the_sample_is_a_doubt_about_all() -> None:
    pages = [Page(LINES, beside=number in (3, 4)) for number in range(1, 13)]
    assert sampled(range(1, 13)) == [3, 7, 11]
    metadata = json.loads(_read(pdf(pages)).metadata)
    assert metadata["left_out"] == {"extractors disagree": [3, 4]}
    assert metadata["compared"] == 12


def test_a_password_is_named_and_a_forbidden_copy_is_said() -> None:
    assert _refusal(pdf([Page(LINES)], password="geheim")).reason == "encrypted"
    record = _read(pdf([Page(LINES)], password="", permissions=-4 - 16))
    assert record.text.split("\n")[0] == LINES[0]
    assert json.loads(record.metadata)["copying"] is False
    assert "copying" not in json.loads(_read(pdf([Page(LINES)], password="")).metadata)


@pytest.mark.parametrize("damage", [lambda data: data[:300], lambda data: b"%PDF-1.7\n", lambda data: b"<html>"])
def test_what_is_no_pdf_is_damaged(damage: Callable[[bytes], bytes]) -> None:
    assert _refusal(damage(pdf([Page(LINES)]))).reason == "damaged"


def test_doubts_about_text() -> None:
    good = ENGLISH * 10
    assert doubt_about(good, good) == ""
    assert doubt_about(good, good.replace("the ", "the").replace("to ", "to")) == ""  # the second one fuses
    assert doubt_about(good.replace("the ", "the").replace("to ", "to").replace(" is ", "is"), good) == "fused words"
    assert doubt_about(good, good.translate(str.maketrans("etaoin", "αβγδεζ"))) == "extractors disagree"
    assert doubt_about(ENGLISH * 3 + ENGLISH.replace(" ", ""), None) == "fused words"
    assert doubt_about(good, "") == "extractors disagree"
    assert doubt_about("泵的维护手册第二章包括润滑密封和轴承" * 10, None) == ""  # no spaces, and none are due
    assert doubt_about(" ".join(["NormalizerOfSubgroupInParentAttribute"] * 9 + ["of a group"] * 30), None) == ""
    assert doubt_about("Kapitel 1 " + ". " * 200 + "7\n", None) == ""
    assert doubt_about("!\"#$%&'()" * 30, None) == "garbled"


def test_the_sample_is_spread_over_the_pages() -> None:
    assert sampled([]) == []
    assert sampled([7]) == [7]
    assert sampled([1, 2, 3]) == [1, 3]
    pages = sampled(range(1, 801))
    assert len(set(pages)) == MOST_SAMPLED
    assert pages == list(range(51, 801, 100))
