from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from loresmith.data.domain_merges import LONGEST_WORD, Merge, count_words, learn_merges
from loresmith.models.vocabulary import extend_tokenizer, spelling_of

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
TEXT = Path(__file__).read_text(encoding="utf-8")


def byte_tokenizer(folder: Path) -> Path:
    """A byte-level tokenizer without a merge."""
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer(models.BPE(vocab={text: number for number, text in enumerate(ALPHABET)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_from_bytes_up_the_merges_are_those_of_the_library_s_own_training(tmp_path: Path) -> None:
    folder = byte_tokenizer(tmp_path)
    oracle = Tokenizer.from_file(str(folder / "tokenizer.json"))
    trainer = trainers.BpeTrainer(vocab_size=256 + 150, min_frequency=2, initial_alphabet=ALPHABET, show_progress=False)
    oracle.train_from_iterator([TEXT], trainer)
    theirs = json.loads(oracle.to_str())["model"]["merges"]
    spelling = spelling_of(folder)
    ours = learn_merges(count_words(folder, [[TEXT]]), spelling, 150, 2)
    for merge in ours:
        spelling[merge.token] = spelling[merge.left] + spelling[merge.right]
    assert [[spelling[merge.left], spelling[merge.right]] for merge in ours] == theirs


words = st.dictionaries(st.lists(st.integers(0, 5), min_size=2, max_size=8).map(tuple), st.integers(1, 9), max_size=8)


@given(words, st.integers(1, 12), st.integers(1, 4))
def test_each_merge_is_of_the_most_frequent_pair_that_makes_something_new(
    words: dict[tuple[int, ...], int], new_tokens: int, minimum_count: int
) -> None:
    """The same by counting everything again for every merge."""
    spelling = dict(enumerate(["a", "b", "c", "ab", "bc", "aa"]))
    merges = learn_merges(words, spelling, new_tokens, minimum_count)
    spelled = dict(spelling)
    for expected in range(new_tokens + 1):
        pairs: Counter[tuple[int, int]] = Counter()
        for word, count in words.items():
            for pair in zip(now_word(word, merges[:expected]), now_word(word, merges[:expected])[1:], strict=False):
                pairs[pair] += count
        fitting = {
            pair: count
            for pair, count in pairs.items()
            if count >= minimum_count and spelled[pair[0]] + spelled[pair[1]] not in spelled.values()
        }
        if expected == len(merges):
            assert expected == new_tokens or not fitting
            break
        best = min(fitting, key=lambda pair: (-fitting[pair], pair))
        merge = merges[expected]
        assert merge == Merge(*best, 6 + expected, fitting[best])
        spelled[merge.token] = spelled[merge.left] + spelled[merge.right]


def now_word(word: tuple[int, ...], merges: list[Merge]) -> list[int]:
    tokens = list(word)
    for merge in merges:
        at = 0
        while at + 1 < len(tokens):
            if tokens[at : at + 2] == [merge.left, merge.right]:
                tokens[at : at + 2] = [merge.token]
            at += 1
    return tokens


def test_words_are_counted_as_the_tokenizer_cuts_them(tmp_path: Path) -> None:
    folder = byte_tokenizer(tmp_path)
    ids = {text: number for number, text in enumerate(ALPHABET)}
    word = lambda text: tuple(ids[letter] for letter in text)  # noqa: E731
    counted = count_words(folder, [["to be or to", " be"], ["x"]])
    assert counted == {word("to"): 1, word("Ġto"): 1, word("Ġbe"): 2, word("Ġor"): 1}


def test_a_very_long_word_is_looked_at_in_parts(tmp_path: Path) -> None:
    folder = byte_tokenizer(tmp_path)
    counted = count_words(folder, [["a" * (2 * LONGEST_WORD + 1)]])
    assert counted == {(ALPHABET.index("a"),) * LONGEST_WORD: 2}


@pytest.mark.parametrize("minimum_count", [1, 3, 100])
def test_rare_pairs_are_left_alone(tmp_path: Path, minimum_count: int) -> None:
    folder = byte_tokenizer(tmp_path)
    merges = learn_merges(count_words(folder, [[TEXT]]), spelling_of(folder), 10_000, minimum_count)
    assert all(merge.count >= minimum_count for merge in merges)
    assert len({merge.token for merge in merges}) == len(merges)
    extend_tokenizer(folder, folder, [(merge.left, merge.right, merge.token) for merge in merges])
    extended = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert extended.decode(extended.encode(TEXT).ids) == TEXT
