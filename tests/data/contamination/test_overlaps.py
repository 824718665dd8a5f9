"""Cases are found where they stand, and nowhere else."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from loresmith.data.contamination import overlaps
from loresmith.data.contamination.case_index import MOST_CASES, Rule
from loresmith.data.contamination.overlaps import find_overlaps
from loresmith.data.contamination.run_hashes import RunHashes

from .suite_texts import found_in, index_of, indexes_of, prose

CASE = prose(1, 40)


def test_thirteen_words_of_a_case_are_found_and_twelve_are_not() -> None:
    words = CASE.split()
    before, after = prose(2, 50), prose(3, 50)
    (overlap,) = found_in(f"{before} {' '.join(words[5:18])} {after}", CASE)
    assert (overlap.start, overlap.end) == (len(before) + 1, len(before) + 1 + len(" ".join(words[5:18])))
    assert overlap.kind == "exact"
    assert overlap.score == 13 / 40
    assert found_in(f"{before} {' '.join(words[5:17])} {after}", CASE) == []


def test_runs_that_touch_are_one_stretch_and_runs_apart_are_two() -> None:
    part = " ".join(CASE.split()[3:23])
    text = f"{prose(2, 5)} {part} {prose(3, 30)} {CASE}"
    first, second = found_in(text, CASE)
    assert [text[each.start : each.end] for each in (first, second)] == [part, CASE]
    assert (first.score, second.score) == (0.5, 1)


def test_case_punctuation_and_white_space_do_not_matter_and_places_are_those_of_the_text() -> None:
    case = "Press the green button twice, then wait until the lamp has gone out completely before you go on."
    written = "Press “the GREEN\n\n button” twice;  THEN wait -- until the lamp has gone out completely!"
    text = f"İstanbul’da yazılmıştır. Önsöz… {written} 終わり"
    (overlap,) = found_in(text, case, rule=Rule(similarity=None))
    assert text[overlap.start : overlap.end] == written[:-1]


def test_characters_of_chinese_are_words() -> None:
    case = "请先关闭主电源然后拆下后盖并检查密封圈"
    text = f"第三章。维护：{case}。完毕"
    (overlap,) = found_in(text, case)
    assert text[overlap.start : overlap.end] == case
    assert found_in(f"第三章。维护：{case[:12]}。完毕", case) == []


def test_of_a_short_case_all_must_be_there() -> None:
    case = "Which valve is closed first?\nThe red one"
    assert [each.score for each in found_in("we ask: which valve is closed first? The red one, always", case)] == [1]
    assert found_in("we ask: which valve is closed first? The blue one, always", case) == []
    assert found_in("we ask: which valve is closed first? The red", case) == []


@pytest.mark.parametrize(
    "case", ["Seal of two? S", "Seal of model 2? S", "Seal of model 2? S-222", "The seal, 2? S-2 S3"]
)
def test_of_the_shortest_cases_too_all_must_be_there_one_word_after_the_other(case: str) -> None:
    written = case.upper().replace(" ", " -- ")
    before = f"xs {written.lower().replace('-', ' ')}s, "
    (overlap,) = found_in(f"{before}{written}: and", case)
    assert (overlap.start, overlap.end, overlap.kind, overlap.score) == (len(before), len(before + written), "exact", 1)
    assert found_in(f"{written[:-1]}x", case) == [], "a word more letters"
    assert found_in(" ".join(reversed(case.split())), case) == []


def test_a_case_that_is_too_short_is_not_judged() -> None:
    short = "Is it red? Yes"
    index = index_of("Red? Yes, always", short, CASE)
    assert index.standings == ["too short", "judged", "judged"]
    assert find_overlaps(["so red? Yes, always"], index) == []
    assert index_of(short, rule=Rule(shortest=5)).standings == ["too short"]
    assert index_of("yes", rule=Rule(shortest=1)).standings == ["judged"]


def test_a_short_case_without_its_answer_is_not_judged() -> None:
    index = index_of("Which seal has model two?", "Which seal has the third pump from the left?", answered=False)
    assert index.standings == ["too short", "judged"]
    assert find_overlaps(["which seal has model two"], index) == []
    run = index_of("Which seal has model two?", rule=Rule(words=5), answered=False)
    assert run.standings == ["judged"], "five words are enough here"


def test_nothing_is_found_across_the_borders_of_documents_or_cases() -> None:
    words = prose(4, 26).split()
    halves = " ".join(words[:13]), " ".join(words[13:])
    assert found_in(" ".join(words[7:20]), *halves) == [], "a run of two cases"
    index = index_of(" ".join(words[7:20]))
    assert find_overlaps(list(halves), index) == [], "a run of two documents"
    assert len(find_overlaps([" ".join(words)], index)) == 1


def test_colliding_hashes_find_nothing_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [prose(seed, 13) for seed in range(5)]
    texts = [f"{prose(90, 40)} {cases[2]} {prose(91, 40)}", prose(92, 200)]
    rule = Rule(similarity=None)
    expected = find_overlaps(texts, index_of(*cases, rule=rule))
    assert [each.case for each in expected] == [2]
    real = RunHashes.of
    monkeypatch.setattr(RunHashes, "of", lambda self, length: np.zeros_like(real(self, length)))
    assert find_overlaps(texts, index_of(*cases, rule=rule)) == expected, "all runs of words have one hash"


def reworded(text: str, every: int) -> str:
    """The text with every so-manieth word another."""
    return " ".join(f"other{n}" if n % every == 0 else word for n, word in enumerate(text.split(), 1))


def test_a_case_in_other_wording_is_found_by_its_short_runs() -> None:
    case = prose(5, 120)
    before = prose(6, 400)
    text = f"{before} {reworded(case, 11)} {prose(7, 400)}"
    (overlap,) = found_in(text, case)
    assert overlap.kind == "near"
    assert 0.5 <= overlap.score < 0.8
    assert abs(overlap.start - len(before)) < 10
    assert abs(overlap.end - len(before) - len(reworded(case, 11))) < 100
    assert found_in(text, case, rule=Rule(similarity=None)) == []
    assert found_in(text, case, rule=Rule(similarity=0.8)) == []
    assert found_in(reworded(case, 6), case) == [], "too few of its runs"


def test_the_same_short_runs_far_apart_are_not_the_case() -> None:
    words = prose(5, 120).split()
    pieces = [" ".join(words[at : at + 10]) for at in range(0, 120, 10)]
    apart = f" {prose(8, 120)} ".join(pieces)
    assert found_in(apart, " ".join(words)) == []
    assert [each.kind for each in found_in(" xyz ".join(pieces), " ".join(words))] == ["near"]


def test_what_is_exact_is_not_reported_as_near_too() -> None:
    case = prose(5, 120)
    assert [each.kind for each in found_in(f"{prose(6, 99)} {case} {prose(7, 99)}", case)] == ["exact"]


def test_wording_that_many_cases_share_gives_none_of_them_away() -> None:
    instruction = prose(10, 30)
    cases = [f"{instruction} {prose(100 + number, 20)}" for number in range(MOST_CASES + 5)]
    index = index_of(*cases, instruction)
    assert index.standings == ["judged"] * len(cases) + ["shared wording"]
    assert find_overlaps([f"{prose(11, 20)} {instruction} {prose(12, 20)}"], index) == []
    assert {each.case for each in find_overlaps([prose(103, 20)], index)} == {3}


def test_versions_of_a_suite_do_not_hide_one_another() -> None:
    versions = [(f"suite-{number}", "case", CASE) for number in range(MOST_CASES + 5)]
    (index,) = indexes_of(versions)
    assert len(find_overlaps([f"{prose(2, 9)} {CASE}"], index)) == len(versions)


def test_a_long_text_is_cut_where_no_case_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "_PIECE", 3000)
    monkeypatch.setattr(overlaps, "_COMMON", 1200)
    cases = [prose(20 + number, 30) for number in range(40)]
    texts = [" ".join(f"{case} {prose(200 + n, 17)}" for n, case in enumerate(cases))]
    texts += [" ".join(f"{reworded(case, 12)} {prose(300 + n, 17)}" for n, case in enumerate(cases))]
    found = find_overlaps(texts, index_of(*cases))
    exact = [each for each in found if each.text == 0]
    assert [(each.case, each.kind, each.score) for each in exact] == [(n, "exact", 1.0) for n in range(40)]
    assert [texts[0][each.start : each.end] for each in exact] == cases
    assert [(each.case, each.kind) for each in found if each.text == 1] == [(n, "near") for n in range(40)]


def test_cases_that_fit_no_index_together_are_found_by_several() -> None:
    cases = [("one" if n < 20 else "two", f"case-{n}", prose(n, 30)) for n in range(40)]
    text = " ".join(text for _, _, text in cases)
    indexes = indexes_of(cases, memory=60_000)
    assert len(indexes) > 3
    assert [name for index in indexes for name in index.names] == [(suite, case) for suite, case, _ in cases]
    found = [index.names[each.case] for index in indexes for each in find_overlaps([text], index)]
    assert found == [(suite, case) for suite, case, _ in cases]


def test_what_many_cases_share_is_known_also_where_no_index_has_many_of_them() -> None:
    instruction = prose(10, 30)
    cases = [("suite", f"case-{n}", f"{instruction} {prose(100 + n, 20)}") for n in range(MOST_CASES + 5)]
    indexes = indexes_of([*cases, ("other", "its own", instruction)], memory=60_000)
    assert max(len(index.names) for index in indexes) < MOST_CASES
    found = [index.names[each.case] for index in indexes for each in find_overlaps([f"so {instruction} and"], index)]
    assert found == [("other", "its own")]


def test_it_is_what_comparing_every_run_of_words_finds() -> None:
    draw = random.Random(0)
    few = ["to", "be", "or", "Not"]

    def babble(words: int) -> str:
        return "".join(draw.choice(few) + draw.choice([" ", ", ", "\n", "… "]) for _ in range(words))

    cases = [babble(draw.randrange(1, 30)) for _ in range(40)]
    texts = [babble(draw.randrange(0, 300)) for _ in range(30)]
    rule = Rule(words=6, shortest=4, similarity=None)
    found = {(each.text, each.case) for each in find_overlaps(texts, index_of(*cases, rule=rule))}

    def runs(text: str, length: int) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}

    expected = set()
    for case, asked in enumerate(cases):
        length = min(6, len(asked.split()))
        sought = runs(asked, length)
        expected |= {(number, case) for number, text in enumerate(texts) if length >= 4 and runs(text, length) & sought}
    assert found == expected
    assert len(expected) > 50
