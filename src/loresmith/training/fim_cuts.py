"""Where a piece is cut in three, for fill-in-the-middle.

At characters (Bavarian et al. 2022, section 4.5: cuts at tokens would leave a model helpless where somebody's cursor,
or a hole in a page, is in the midst of one), and each part is encoded by itself. A piece's text is what its tokens
decode to. Where that is not all of it (a piece may begin or end in the midst of a character), or where the parts take
more room than there is, the cuts fall between tokens instead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loresmith.data.encoding import Encoder
from loresmith.data.gaps import draw_gap
from loresmith.models.generate import INCOMPLETE
from loresmith.training.fim_settings import FimSettings
from loresmith.training.rows import Ids

Parts = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""Ids of prefix, middle and suffix."""


@dataclass(frozen=True)
class Cuts:
    """Cuts pieces as the settings say.

    Attributes:
        settings: how far apart the cuts are, and whether in one line.
        encoder: of the tokenizer that made the pieces' tokens.
    """

    settings: FimSettings
    encoder: Encoder

    def parts(self, ids: Ids, room: int, draw: random.Random) -> Parts | None:
        """The parts of a piece, drawn anew at each call.

        Args:
            ids: (n,) the piece's tokens.
            room: ids of all parts together, at most, where cuts fall in the midst of tokens.

        Returns:
            None for a piece in which no middle is found as the settings want it.
        """
        return self._cut_text(ids, room, draw) or self._cut_tokens(ids.tolist(), draw)

    def _cut_text(self, ids: Ids, room: int, draw: random.Random) -> Parts | None:
        """The parts of the text; None where they would not spell it again, or take too much room."""
        text = self.encoder.text(ids)
        gap = draw_gap(text, self.settings.level, self.settings.longest_middle, draw) if text else None
        if gap is None or INCOMPLETE in text:
            return None
        start, end = gap
        prefix, middle, suffix = self.encoder.parts([text[:start], text[start:end], text[end:]])
        whole = np.concatenate([prefix, middle, suffix])
        if len(whole) > room or self.encoder.text(whole) != text:
            return None
        return prefix.tolist(), middle.tolist(), suffix.tolist()

    def _cut_tokens(self, ids: list[int], draw: random.Random) -> Parts | None:
        """Parts whose middle is whole tokens; None where the first that is drawn is already more than it may be."""
        if not ids:
            return None
        start, end = sorted((draw.randint(0, len(ids)), draw.randint(0, len(ids))))
        if self.settings.level == "line" or self.settings.longest_middle is not None:
            start = draw.randrange(len(ids))
            end = start + draw.randint(1, self.settings.longest_middle or len(ids))
            while end > start and not self._may_be_middle(ids[start:end]):
                end -= 1
            if end == start:
                return None
        return ids[:start], ids[start:end], ids[end:]

    def _may_be_middle(self, ids: list[int]) -> bool:
        text = self.encoder.text(np.array(ids))
        longest = self.settings.longest_middle
        return (longest is None or len(text) <= longest) and (self.settings.level != "line" or "\n" not in text)
