"""Where in a file the characters of its text stand."""

from __future__ import annotations

from loresmith.data.decoding import Decoded


class BytePlaces:
    """The byte at which each character begins; asked for in ascending order.

    Attributes:
        exact: whether the text's encoding can tell: one that shifts states, or that reads several bytes as the same
            character, cannot, and then every character is said to stand at the file's beginning.
    """

    def __init__(self, decoded: Decoded, size: int) -> None:
        self._text, self._encoding = decoded.text, decoded.encoding
        self._mark = decoded.mark
        self._byte, self._character = self._mark, 0
        self._single = len(self._text) == size - self._mark
        try:
            self.exact = self._single or len(self._text.encode(self._encoding)) == size - self._mark
        except UnicodeEncodeError:
            self.exact = False
        if self._encoding.startswith(("iso2022", "iso-2022", "hz")):
            self.exact = False

    def at(self, character: int) -> int:
        """The byte of the file at which this character begins."""
        if not self.exact:
            return 0
        if self._single:
            return self._mark + character
        self._byte += len(self._text[self._character : character].encode(self._encoding))
        self._character = character
        return self._byte
