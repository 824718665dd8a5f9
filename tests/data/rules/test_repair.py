"""Repairs leave clean text alone, change no more than is broken, and change nothing when made again."""

from __future__ import annotations

import unicodedata
from pydoc_data.topics import topics

import ftfy
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.edited_text import EditedText
from loresmith.data.rules.changed_stretches import changed_stretches
from loresmith.data.rules.finding import Finding
from loresmith.data.rules.mojibake import may_be_mojibake
from loresmith.data.rules.repair import Repair, RepairOptions

BROKEN = (
    ("cafÃ© and naÃ¯ve", "café and naïve", ("Ã©", "Ã¯"), "mojibake"),
    ("â€œquotedâ€\x9d", "“quoted”", ("â€œ", "â€\x9d"), "mojibake"),
    ("ein Ger\u00e4t, Gera\u0308t", "ein Gerät, Gerät", ("a\u0308",), "unnormalised"),
    ("a\x00b\x07c\x7f", "abc", ("\x00", "\x07", "\x7f"), "control"),
    ("\x1b[1mbold\x1b[0m \x1b]0;title\x07x", "bold x", None, "control"),
    ("N\x08NA\x08AM\x08ME\x08E _\x08x", "NAME x", None, "control"),
    ("zero\u200bwidth word\u2060joiner lig\u200cature", "zerowidth wordjoiner ligature", None, "zero_width"),
    ("Ver\u00adfah\u00adren", "Verfahren", ("\u00ad", "\u00ad"), "soft_hyphen"),
    ("\ufb01nd the \ufb02ow, o\ufb03ce", "find the flow, office", ("\ufb01", "\ufb02", "\ufb03"), "ligature"),
)
MEANT = (
    "می\u200cخواهم",  # Persian needs its non-joiner
    "क्\u200dष",  # and Hindi its joiner
    "👩\u200d🔧 repairs it",
    "ภาษา\u200bไทย",  # Thai divides words so
    "page one\fpage two\tcell",
    "Trenn\u00ad\nstelle",
    "\u200eleft to right",
    "Öffnen Sie das Gehäuse – “vorsichtig”, 5 µm ± 2 °C, §3, « à côté », 10 €",
    "Перед открытием корпуса насос необходимо отключить",
    "请在打开外壳之前断开泵的电源。",
)


def _look(text: str, options: RepairOptions | None = None, language: str = "", media_type: str = "") -> Finding:
    return Repair(options).look(text, language, media_type, ())


def _repaired(text: str, options: RepairOptions | None = None) -> str:
    return EditedText.of(text).apply(_look(text, options).edits).text


@pytest.mark.parametrize(("text", "expected", "stretches", "kind"), BROKEN)
def test_what_is_broken_is_repaired_and_nothing_else(
    text: str, expected: str, stretches: tuple[str, ...] | None, kind: str
) -> None:
    page = f"A first line.\n{text}\nA last line.\n"
    finding = _look(page)
    assert EditedText.of(page).apply(finding.edits).text == page.replace(text, expected)
    if stretches is not None:
        assert tuple(page[edit.start : edit.end] for edit in finding.edits) == stretches
    assert {edit.rule for edit in finding.edits} == {f"repair/{kind}"}
    assert finding.scores[f"{kind}_lines"] == finding.scores["repaired_lines"] == 1


@pytest.mark.parametrize(("text", "expected", "stretches", "kind"), BROKEN)
def test_what_nobody_asked_for_is_scored_and_left(
    text: str, expected: str, stretches: tuple[str, ...] | None, kind: str
) -> None:
    option = {
        "mojibake": "mojibake",
        "unnormalised": "normalise",
        "control": "controls",
        "zero_width": "zero_width",
        "soft_hyphen": "soft_hyphens",
        "ligature": "ligatures",
    }[kind]
    finding = _look(text, RepairOptions(**{option: False}))
    assert finding.scores[f"{kind}_lines"] == 1
    assert not any(kind in edit.rule for edit in finding.edits)


@pytest.mark.parametrize("text", MEANT)
def test_what_has_a_meaning_stays(text: str) -> None:
    assert _look(text).edits == ()


def test_clean_pages_stay() -> None:
    for page in topics.values():
        assert _look(page).edits == ()


@pytest.mark.parametrize("text", [text for text, *_ in BROKEN])
def test_source_code_keeps_what_is_in_its_quotes(text: str) -> None:
    finding = _look(f"\ufeffS = '{text}'", language="python", media_type="text/x-python")
    assert [(edit.start, edit.end, edit.rule) for edit in finding.edits] == [(0, 1, "repair/byte_order_mark")]
    assert sum(finding.scores.values()) >= 1


def test_line_ends_are_a_flag_and_changed_only_if_asked() -> None:
    text = "one\r\ntwo\r\nthree\rfour"
    assert _look(text).edits == ()
    assert _look(text).flags == ("crlf",)
    assert _repaired(text, RepairOptions(line_ends=True)) == "one\ntwo\nthree\nfour"


LETTERS = st.sampled_from(
    [*"abZ .,\n\r\t1", *"éÃ©Â â€œäöüß\u0308\u0301\u200b\u200c\ufeff\u00ad\x07\x1b\x08[mﬁЖвЂ水😀×²Œ\x9d\xa0°€"]
)


@given(st.lists(LETTERS, max_size=40).map("".join))
@settings(max_examples=400, deadline=None)
def test_edits_are_in_order_and_leave_the_normal_form_and_no_control_characters(text: str) -> None:
    repaired = _repaired(text)  # EditedText refuses edits out of order
    assert unicodedata.is_normalized("NFC", repaired)
    assert repaired.count("\n") == text.count("\n")
    assert not any(character in "\x07\x08\x1b\ufeff\x9d" for character in repaired)
    for line in text.split("\n"):
        if ftfy.fix_encoding(line) == line and not set(line) & set(
            "\u0308\u0301\u200b\u200c\ufeff\u00ad\x07\x1b\x08ﬁ\x9d"
        ):
            assert unicodedata.normalize("NFC", line) in repaired.split("\n")


@given(st.text("abcdé", max_size=30), st.text("abcdé", max_size=30), st.integers(0, 5))
def test_stretches_turn_one_text_into_the_other(before: str, after: str, at: int) -> None:
    around = "-" * at
    edits = tuple(changed_stretches(before, after, at, "r"))
    assert EditedText.of(around + before + "+").apply(edits).text == around + after + "+"


def test_long_texts_that_differ_are_one_stretch_that_is_exact_at_both_ends() -> None:
    before, after = "same" + "éö" * 1500 + "end", "same" + "öé" * 1501 + "end"
    assert [(edit.start, edit.end) for edit in changed_stretches(before, after, 0, "r")] == [(4, 3004)]


def test_nothing_that_ftfy_finds_bad_escapes_the_test_before_it() -> None:
    listed = {
        character for characters in MOJIBAKE_CATEGORIES.values() for character in characters if ord(character) > 127
    }
    special = (
        listed | set("ŒœŠšŸžÂÃÎÐØÙ×√±∂†≠®™´≤≥¥µø≈°¢‚ÄìîïòôúùûπâóàêвЂВГРСўΒΓΞΟβΆ") | {chr(c) for c in range(128, 160)}
    )
    for first in sorted(special):
        alone = (f"a{first} ", f"{first} ", f"a {first} a", f"{first}.", f" {first}1")
        pairs = (text for second in sorted(special) for text in (first + second, f"a {first}{second}a"))
        for text in (*alone, *pairs):
            assert may_be_mojibake(text) or not is_bad(text), text
