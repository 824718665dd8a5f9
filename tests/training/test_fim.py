"""Fill-in-the-middle: nothing of a text is lost or made up, the layout is the paper's, chance is within its bounds."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.gaps import draw_gap
from loresmith.errors import UserError
from loresmith.models.fill_in_the_middle import FILL_IN_THE_MIDDLE, Sentinels
from loresmith.training.fim import EXTRA, FillInTheMiddle
from loresmith.training.fim_settings import FimSettings
from tests.training import fim_tokenizer
from tests.training.fim_tokenizer import RULE, encoder, raw, spelled

PRE, MID, SUF = (raw().token_to_id(name) for name in FILL_IN_THE_MIDDLE)
END = encoder().end_of_document
TEXTS = st.text(
    st.one_of(st.sampled_from("aeist \n\n()=:🙂ßé日👩‍👩‍👧\u0301\ufffd"), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)


def turner(seed: int = 0, **fields: object) -> FillInTheMiddle:
    return FillInTheMiddle(FimSettings(**fields), fim_tokenizer.directory(), seed)


def targets_of(turn: FillInTheMiddle, piece: np.ndarray, number: int, epoch: int) -> np.ndarray | None:
    turned = turn.turned(piece, number, epoch)
    return None if turned is None else turned[0]


def in_reading_order(turned: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """Prefix, middle and suffix of a laid-out piece; in SPM, whose prefix and middle are one, the prefix is empty."""
    ids = turned.tolist()
    assert [ids.count(token) for token in (PRE, MID, SUF, END)] == [1, 1, 1, 1]
    assert (ids[0], ids[-1]) == (PRE, END)
    suf, mid = ids.index(SUF), ids.index(MID)
    assert suf < mid
    return ids[1:suf], ids[mid + 1 : -1], ids[suf + 1 : mid]


@settings(deadline=None, max_examples=150)
@given(
    TEXTS,
    st.integers(3, 40),
    st.sampled_from(["document", "line"]),
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(0, 5),
)
def test_the_parts_give_the_piece_back_to_the_byte(
    text: str, most: int, level: str, longest: int | None, epoch: int
) -> None:
    ids = encoder().document(text)
    turn = turner(rate=1, level=level, longest_middle=longest)
    for number, start in enumerate(range(0, len(ids), most)):
        piece = ids[start : start + most]
        turned = targets_of(turn, piece, number, epoch)
        own = piece[piece != END]
        if turned is None:
            assert level == "line" or longest is not None or not len(own)
            continue
        prefix, middle, suffix = in_reading_order(turned)
        assert spelled([*prefix, *middle, *suffix]) == spelled(own)
        assert len(turned) <= len(piece) + EXTRA


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.sampled_from(["document", "line"]), st.one_of(st.none(), st.integers(1, 8)), st.integers(0, 9))
def test_a_gap_lies_where_its_level_says(text: str, level: str, longest: int | None, seed: int) -> None:
    gap = draw_gap(text, level, longest, random.Random(seed))
    if gap is None:
        assert not text if level == "document" else not text.strip("\n")
        return
    start, end = gap
    assert 0 <= start <= end <= len(text)
    if longest is not None:
        assert 1 <= end - start <= longest
    if level == "line":
        assert "\n" not in text[start:end]


def test_every_length_of_a_gap_and_every_place_is_as_likely() -> None:
    text, rounds = "abcdefgh\n\nijkl\nm", 20_000
    draw = random.Random(1)
    gaps = [draw_gap(text, "line", 4, draw) for _ in range(rounds)]
    fits = {length: [s for s in range(len(text)) if "\n" not in text[s : s + length]] for length in (1, 2, 3, 4)}
    for length, starts in fits.items():
        starts = [start for start in starts if start + length <= len(text)]
        for start in starts:
            expected = rounds / 4 / len(starts)
            assert abs(gaps.count((start, start + length)) - expected) < 5 * math.sqrt(expected)


@pytest.mark.parametrize("order", ["psm", "spm"])
def test_the_layout_is_the_papers(order: str) -> None:
    text = "return line.strip()"
    ids = encoder().document(text)
    turn = turner(rate=1, spm_share=float(order == "spm"), longest_middle=5)
    seen = set()
    for number in range(40):
        turned = targets_of(turn, ids, number, 0)
        assert turned is not None
        prefix, middle, suffix = in_reading_order(turned)
        seen.add((encoder().text(np.array(prefix, dtype=int)), encoder().text(np.array(suffix, dtype=int))))
        if order == "psm":
            cut = (len(encoder().text(np.array(prefix, dtype=int))), len(text) - len(encoder().text(np.array(suffix))))
            p, m, s = (
                encoder().parts([part])[0].tolist() for part in (text[: cut[0]], text[slice(*cut)], text[cut[1] :])
            )
            assert turned.tolist() == [PRE, *p, SUF, *s, MID, *m, END]
            assert 1 <= cut[1] - cut[0] <= 5
        else:
            assert turned[1] == SUF
            assert encoder().text(np.array(middle)) + encoder().text(np.array(suffix, dtype=int)) == text
            # prefix and middle are encoded each by itself
            whole = encoder().text(np.array(middle))
            cuts = [
                encoder().parts([whole[:at]])[0].tolist() + encoder().parts([whole[at:]])[0].tolist()
                for at in range(max(0, len(whole) - 5), len(whole))
            ]
            assert middle in cuts
    assert len(seen) > 10


def test_the_orders_of_a_prompt_end_where_the_middle_begins() -> None:
    sentinels = Sentinels(prefix=1, middle=2, suffix=3)
    assert sentinels.prompt("psm", [10, 11], [12]) == [1, 10, 11, 3, 12, 2]
    assert sentinels.prompt("spm", [10, 11], [12]) == [1, 3, 12, 2, 10, 11]


def test_rate_and_share_of_orders_are_kept_within_chance() -> None:
    ids = encoder().document("class Reader:\n    pass\n# a line that is long enough\n")
    rounds, rate, share = 3000, 0.7, 0.3
    turn = turner(rate=rate, spm_share=share)
    results = [targets_of(turn, ids, number, 2) for number in range(rounds)]
    turned = [result for result in results if result is not None]
    assert abs(len(turned) - rate * rounds) < 4 * math.sqrt(rounds * rate * (1 - rate))
    # A PSM piece whose prefix is empty looks like SPM: as often as one of two even cuts is at the very beginning.
    places = len(encoder().text(ids[:-1])) + 1
    expected = len(turned) * (1 - share) * (1 - 1 / places) ** 2
    assert abs(sum(result[1] != SUF for result in turned) - expected) < 4 * math.sqrt(len(turned) * share * (1 - share))
    none, every = turner(rate=0), turner(rate=1)
    assert all(targets_of(none, ids, number, 0) is None for number in range(200))
    assert all(targets_of(every, ids, number, 0) is not None for number in range(200))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_middle_and_its_end_count_as_much_as_asked_and_the_sides_one(share: float) -> None:
    text = "return line.strip()"
    turn = turner(rate=1, spm_share=share, longest_middle=5, middle_weight=3)
    for number in range(30):
        turned = turn.turned(encoder().document(text), number, 0)
        assert turned is not None
        targets, weights = turned
        heavy = targets[weights == 3]
        assert sorted(set(weights.tolist())) == [1, 3]
        assert (np.diff(weights) >= 0).all(), "they stand at the end"
        assert heavy[-1] == END
        middle = encoder().text(heavy[:-1])
        assert 1 <= len(middle) <= 5
        if share:  # what is before them is the prefix, and after them comes the suffix
            own = in_reading_order(targets)
            assert encoder().text(np.array(own[1])).endswith(middle)
        else:
            assert in_reading_order(targets)[1] == heavy[:-1].tolist()


def test_what_becomes_of_a_piece_follows_from_seed_epoch_and_number_alone() -> None:
    ids = encoder().document("for line in lines:\n    yield parse(line)\n" * 3)

    def all_of(seed: int, epoch: int) -> list[list[int] | None]:
        turn = turner(seed, rate=0.8)
        order = list(range(30))
        random.Random(seed + epoch).shuffle(order)
        found = {number: targets_of(turn, ids, number, epoch) for number in order}
        return [None if found[n] is None else found[n].tolist() for n in range(30)]

    first = all_of(3, 1)
    assert all_of(3, 1) == first
    for other in (all_of(4, 1), all_of(3, 2)):
        assert sum(a == b for a, b in zip(first, other, strict=True)) < 15


def test_a_piece_that_begins_in_the_midst_of_a_character_is_cut_between_tokens() -> None:
    ids = encoder().document("🙂🙂🙂🙂")
    assert len(ids) == 4 * 4 + 1, "no merges: a byte is a token"
    turn = turner(rate=1)
    broken = ids[1:11]
    for number in range(20):
        turned = targets_of(turn, broken, number, 0)
        assert turned is not None
        assert sorted(turned.tolist()) == sorted([*broken.tolist(), PRE, SUF, MID, END])


def test_where_the_parts_take_more_room_than_there_is_the_cuts_fall_between_tokens() -> None:
    ids = encoder().document(RULE)
    assert len(ids) == 2
    turn, lengths = turner(rate=1), set()
    for number in range(60):
        turned = targets_of(turn, ids, number, 0)
        assert turned is not None
        assert len(turned) <= len(ids) + EXTRA
        prefix, middle, suffix = in_reading_order(turned)
        assert spelled([*prefix, *middle, *suffix]) == RULE.encode()
        lengths.add(len(turned))
    assert min(lengths) == len(ids) + 3, "cut between tokens: it is whole in one of the parts"
    assert max(lengths) > len(ids) + 6, "cut within it"


@given(st.lists(st.integers(1, 400), max_size=8), st.integers(20, 100), st.one_of(st.none(), st.integers(1, 60)))
def test_pieces_cover_each_document_once_and_whole_ones_stay_whole(
    lengths: list[int], row: int, longest: int | None
) -> None:
    pieces = turner(longest_piece=longest).pieces(lengths, row)
    assert pieces == turner(longest_piece=longest).pieces(lengths, row)
    most = min(row - EXTRA, longest or row)
    for document, length in enumerate(lengths):
        own = [piece for piece in pieces if piece.document == document]
        ends = [piece.start + piece.tokens for piece in own]
        assert [piece.start for piece in own] == [0, *ends[:-1]]
        assert ends[-1] == length
        assert len(own) == 1 if length <= most else len(own) > 1
        assert all(2 * piece.tokens >= most for piece in own[:-1])
        assert all(piece.tokens <= most and piece.room == piece.tokens + EXTRA <= row for piece in own)


def test_no_place_in_a_piece_tells_how_long_its_middle_is() -> None:
    """Pieces of one length would: a model learns that instead of reading what stands around a gap."""
    text = "".join(f"line {n} of a page that is long enough for many pieces\n" for n in range(400))
    ids = encoder().document(text)
    turn = turner(rate=1, spm_share=0, level="line", longest_middle=8)
    places, lengths = [], []
    for number, piece in enumerate(turn.pieces([len(ids)], 100)):
        targets = targets_of(turn, ids[piece.start :][: piece.tokens], number, 0)
        if targets is not None:
            places.append(targets.tolist().index(MID))
            lengths.append(len(targets) - places[-1])
    assert len(places) > 60
    assert abs(np.corrcoef(places, lengths)[0, 1]) < 0.3
    assert np.std(places) > 3 * np.std(lengths)


def test_a_foreign_tokenizer_is_mapped_or_refused_by_name(tmp_path: object) -> None:
    starcoder = {"<fim_prefix>": 1, "<fim_middle>": 2, "<fim_suffix>": 3}
    assert Sentinels.of(starcoder.get, "there") == Sentinels(1, 2, 3)
    deepseek = {"<｜fim▁begin｜>": 1, "<｜fim▁hole｜>": 2, "<｜fim▁end｜>": 3}
    assert Sentinels.of(deepseek.get, "there").prompt("psm", [8], [9]) == [1, 8, 2, 9, 3]
    with pytest.raises(UserError, match="no tokens for filling in the middle") as caught:
        Sentinels.of({"<fim_prefix>": 1}.get, "their/tokenizer")
    assert caught.value.where == "their/tokenizer"
