"""Continuing a byte-pair vocabulary on the text of a domain: merges that come after all it has.

The text is cut and encoded by the tokenizer as it is; then the most frequent pair of neighbouring tokens within a word
is merged, and so on, as if its training had gone on here (Purason et al. 2025, https://arxiv.org/abs/2512.03989;
byte-pair encoding: Sennrich et al. 2016, https://arxiv.org/abs/1508.07909). Since a new merge comes after the old ones
and no old one speaks of a new token, encoding with the longer list is encoding with the old one and then merging on: a
word in which no new pair occurs keeps its tokens.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

LONGEST_WORD = 128
"""Tokens of a word that are looked at together: one run of a megabyte would make every merge slow."""

Word = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Merge:
    """Two tokens that become one.

    Attributes:
        left, right: the tokens, old or of an earlier merge.
        token: the new one.
        count: how often the pair stood in the text when it was merged.
    """

    left: int
    right: int
    token: int
    count: int


def count_words(tokenizer: Path, texts: Iterable[list[str]]) -> Counter[Word]:
    """How often each word of more than one token stands in texts, as the tokenizer cuts and encodes them.

    Args:
        tokenizer: a folder with a tokenizer.json. What is spelled like a special token counts as ordinary text.
        texts: in batches.
    """
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    encoder.no_truncation()
    encoder.no_padding()
    encoder.encode_special_tokens = True
    counts: Counter[bytes] = Counter()
    for batch in texts:
        for encoding in encoder.encode_batch(batch, add_special_tokens=False):
            ids = np.asarray(encoding.ids, dtype=np.int32)
            words = np.asarray([-1 if word is None else word for word in encoding.word_ids], dtype=np.int64)
            starts = np.flatnonzero(np.diff(words, prepend=-2))
            ends = np.append(starts[1:], len(ids))
            for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
                for cut in range(start, end, LONGEST_WORD):
                    counts[ids[cut : min(cut + LONGEST_WORD, end)].tobytes()] += 1
    return Counter(
        {tuple(np.frombuffer(word, dtype=np.int32).tolist()): count for word, count in counts.items() if len(word) > 4}
    )


def learn_merges(
    words: Mapping[Word, int],
    spelling: Mapping[int, str],
    new_tokens: int,
    minimum_count: int,
    look: Callable[[int], None] = lambda _done: None,
) -> list[Merge]:
    """The merges that shorten the words most, each the most frequent pair of its time.

    Of pairs that are equally frequent the one of smaller ids comes first, so that the same words give the same merges.
    A pair whose spelling is a token already is left alone: merging it would make old merges apply anew.

    Args:
        words: how often each word stands in the text.
        spelling: the text of every token, by id; ids go on after the highest.
        new_tokens: how many merges are wanted at most.
        minimum_count: a pair that is seen fewer times is not merged.
        look: told after each merge how many there are; it may raise to stop.
    """
    state = _State(words)
    spelled = dict(spelling)
    taken = set(spelled.values())
    merges: list[Merge] = []
    following = max(spelled, default=-1) + 1
    for pair, count in state.most_frequent(minimum_count):
        text = spelled[pair[0]] + spelled[pair[1]]
        if text in taken:
            continue
        merge = Merge(*pair, following, count)
        merges.append(merge)
        spelled[following] = text
        taken.add(text)
        state.apply(merge)
        following += 1
        look(len(merges))
        if len(merges) == new_tokens:
            break
    return merges


class _State:
    """The words as far as they are merged, and how often each pair stands in them."""

    def __init__(self, words: Mapping[Word, int]) -> None:
        self._words = [list(word) for word in words]
        self._repeats = list(words.values())
        self._pairs: Counter[Pair] = Counter()
        self._holders: dict[Pair, set[int]] = {}
        for number in range(len(self._words)):
            self._count(number, 1)
        self._queue = [(-count, pair) for pair, count in self._pairs.items()]
        heapq.heapify(self._queue)

    def most_frequent(self, minimum_count: int) -> Iterator[tuple[Pair, int]]:
        """The pairs from the most frequent down, as their counts are when it is their turn; each at most once."""
        while self._queue:
            negative, pair = heapq.heappop(self._queue)
            count = self._pairs[pair]
            if count != -negative:  # it has changed since it was put here; where it still counts it is here again
                continue
            if count < minimum_count:
                return
            yield pair, count

    def apply(self, merge: Merge) -> None:
        """Merge the pair in every word that holds it, from left to right."""
        pair = (merge.left, merge.right)
        changed: set[Pair] = set()
        for number in self._holders.pop(pair):
            word = self._words[number]
            changed.update(pairwise(word))
            self._count(number, -1)
            self._words[number] = _merged(word, merge)
            changed.update(pairwise(self._words[number]))
            self._count(number, 1)
        changed.discard(pair)
        self._pairs.pop(pair, None)
        for each in changed:
            if self._pairs[each] > 0:
                heapq.heappush(self._queue, (-self._pairs[each], each))

    def _count(self, number: int, sign: int) -> None:
        for pair in pairwise(self._words[number]):
            self._pairs[pair] += sign * self._repeats[number]
            if sign > 0:
                self._holders.setdefault(pair, set()).add(number)


def _merged(word: list[int], merge: Merge) -> list[int]:
    merged: list[int] = []
    at = 0
    while at < len(word):
        if word[at] == merge.left and at + 1 < len(word) and word[at + 1] == merge.right:
            merged.append(merge.token)
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged
