"""What an n-gram model of characters makes of a gap, given both of its sides: the baseline for restored text.

Of all fillings m of 1 .. longest characters it looks for the one with the greatest probability given the text before
and after,

    P(m | before, after) ~ P(m, after | before),

which is Bayes' rule where every length is as likely beforehand. An n-gram model of order n sees n - 1 characters, so
that P(m, after | before) differs between fillings in the characters of m and the first n - 1 of `after` alone. The
search is a beam: of the fillings of each length the likeliest given the text before go on, and of all that were kept,
of any length, the best with the text after it is the answer.

So it knows all that the model is not told: how long a gap can be, that every length is as likely, and that a gap holds
no line end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from loresmith.evaluation.ngram import Integers, KneserNey

ALPHABET = 255
"""Characters that it tells apart, the most frequent of the training text; the others are one."""

LINE_END = "\n"


class CharacterGrams:
    """An n-gram model of characters, interpolated modified Kneser-Ney.

    Args:
        texts: what it counts.
        order: characters in the longest n-gram, 2 or more.
    """

    def __init__(self, texts: Iterable[str], order: int) -> None:
        texts = list(texts)
        counts = Counter(character for text in texts for character in text)
        ranked = sorted(counts, key=lambda character: (-counts[character], character))
        self.characters = ranked[:ALPHABET]
        self.order = order
        self._number = {character: number for number, character in enumerate(self.characters)}
        self._other = len(self.characters)
        self._grams = KneserNey.fit((self._ids(text) for text in texts), self._other + 1, order)
        self._never = [self._other, *([self._number[LINE_END]] if LINE_END in self._number else [])]

    def restore(self, before: str, after: str, longest: int, beam: int) -> str:
        """The likeliest filling of 1 .. longest characters that the search finds; see the module.

        Args:
            beam: fillings of each length that are kept.
        """
        seen = self.order - 1
        begin = np.full(seen, self._other + 1, dtype=np.int64)
        history = np.concatenate([begin, self._ids(before[-seen:])])[None, -seen:]
        follows = self._ids(after[:seen])
        likelihood = np.zeros(1)
        best, answer = -np.inf, ""
        for length in range(1, longest + 1):
            next_CV = np.log(self._grams.after(history[:, -seen:]))
            next_CV[:, self._never] = -np.inf
            whole_CV = likelihood[:, None] + next_CV
            chosen = np.argsort(-whole_CV, axis=None, kind="stable")[:beam]
            chosen = chosen[np.isfinite(whole_CV.flat[chosen])]
            if not len(chosen):
                break
            kept, characters = np.divmod(chosen, whole_CV.shape[1])
            history = np.concatenate([history[kept], characters[:, None]], axis=1)
            likelihood = whole_CV.flat[chosen]
            total = likelihood + self._likelihood_of(follows, history[:, -seen:])
            first = int(total.argmax())
            if total[first] > best:
                best = float(total[first])
                answer = "".join(self.characters[character] for character in history[first, -length:])
        return answer

    def _likelihood_of(self, follows: Integers, histories: Integers) -> NDArray[np.float64]:
        """log P(what follows | history), for each history."""
        if not len(follows):
            return np.zeros(len(histories))
        scored = self._grams.nats([np.concatenate([history, follows]) for history in histories])
        return -np.array([nats[-len(follows) :].sum() for nats in scored])

    def _ids(self, text: str) -> Integers:
        return np.array([self._number.get(character, self._other) for character in text], dtype=np.int64)
