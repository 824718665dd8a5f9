"""Repairs what storing, converting and copying did to characters: text that was decoded with the wrong encoding, in
ftfy's way (Speer, "ftfy", 2019), characters nobody sees, letters in pieces.

Only lines with something in them besides printable ASCII are looked at, so that plain text costs a scan. In source code
nothing but a byte order mark before the first character is repaired: what stands in its quotes is data, and an
identifier must stay what other files call it. What would be repaired elsewhere is still scored.

| score | what it is |
| --- | --- |
| `mojibake_lines` | lines that were decoded with the wrong encoding and can be put right |
| `unnormalised_lines` | lines that are not in Unicode's normal form C |
| `ligature_lines` | lines with Latin ligatures, as PDFs have them |
| `control_lines` | lines with control characters |
| `zero_width_lines` | lines with zero-width characters that have no meaning |
| `soft_hyphen_lines` | lines with soft hyphens inside words |
| `repaired_lines` | lines that are edited |

All are counts. The flag `crlf` says that lines end with a carriage return, `byte order mark` that one comes first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unicodedata import is_normalized, normalize

from loresmith.data.edited_text import Edit
from loresmith.data.rules.changed_stretches import changed_stretches
from loresmith.data.rules.finding import Finding, Pages
from loresmith.data.rules.mojibake import decoded_again, may_be_mojibake
from loresmith.data.rules.source_documents import is_source_code
from loresmith.data.rules.unseen_characters import UNSEEN, without_controls, without_soft_hyphens, without_zero_width

_SUSPECT = re.compile(r"[^\t\n\f\r -~]")
_SUSPECT_WITH_RETURNS = re.compile(r"[^\t\n\f -~]")
_LIGATURES = re.compile("[\ufb00-\ufb06]")
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class RepairOptions:
    """What is repaired; what is not is still scored.

    Attributes:
        mojibake: text that was decoded with the wrong encoding.
        normalise: Unicode's normal form C.
        ligatures: Latin ligatures to the letters they are made of.
        controls: control characters, terminals' escape sequences, and letters typed over one another.
        zero_width: zero-width characters without a meaning, and byte order marks.
        soft_hyphens: soft hyphens inside words.
        line_ends: carriage returns; off, since a line is a line with one, too, and every line would be an edit.
    """

    mojibake: bool = True
    normalise: bool = True
    ligatures: bool = True
    controls: bool = True
    zero_width: bool = True
    soft_hyphens: bool = True
    line_ends: bool = False


class Repair:
    """Repairs characters."""

    name = "repair"

    def __init__(self, options: RepairOptions | None = None) -> None:
        options = options or RepairOptions()
        self._options = options
        # In this order: ftfy wants control characters where bytes of an encoding were taken for them, and composing
        # letters comes last, since the repairs before may leave some in pieces.
        self._repairs: tuple[tuple[bool, str, Callable[[str], str]], ...] = (
            (options.mojibake, "mojibake", decoded_again),
            (options.controls, "control", without_controls),
            (options.zero_width, "zero_width", without_zero_width),
            (options.soft_hyphens, "soft_hyphen", without_soft_hyphens),
            (options.ligatures, "ligature", _in_letters),
            (options.normalise, "unnormalised", _composed),
        )

    def look(self, text: str, language: str, media_type: str, pages: Pages) -> Finding:
        marked = text.startswith(_BYTE_ORDER_MARK)
        returns = "\r\n" in text
        flags = tuple(flag for flag, found in (("byte order mark", marked), ("crlf", returns)) if found)
        edits: list[Edit] = []
        if marked and self._options.zero_width:
            edits.append(Edit(0, 1, "", f"{self.name}/byte_order_mark"))
        counts = Counter({f"{kind}_lines": 0 for _, kind, _ in self._repairs} | {"repaired_lines": 0})
        source = is_source_code(language, media_type)
        line_ends = self._options.line_ends and "\r" in text
        lines = _suspect_lines(text, int(marked), line_ends) if line_ends or _may_need_repair(text) else ()
        for start, end in lines:
            repaired, kinds = self._repaired(text, start, end, counts)
            if kinds and not source:
                counts["repaired_lines"] += 1
                edits += changed_stretches(text[start:end], repaired, start, f"{self.name}/{'+'.join(kinds)}")
        return Finding({kind: float(count) for kind, count in counts.items()}, flags, tuple(edits))

    def _repaired(self, text: str, start: int, end: int, counts: Counter[str]) -> tuple[str, list[str]]:
        """A line after all repairs that are wanted, and which of them changed it."""
        line, kinds = text[start:end], []
        for wanted, kind, repair in self._repairs:
            after = repair(line)
            if after != line:
                counts[f"{kind}_lines"] += 1
                if wanted:
                    line = after
                    kinds.append(kind)
        if self._options.line_ends and "\r" in line:
            line = (line[:-1] if line.endswith("\r") and text[end : end + 1] else line).replace("\r", "\n")
            kinds.append("line_end")
        return line, kinds


def _may_need_repair(text: str) -> bool:
    """False only where no repair would change anything."""
    if UNSEEN.search(text):
        return True
    return not text.isascii() and (
        _LIGATURES.search(text) is not None or may_be_mojibake(text) or not is_normalized("NFC", text)
    )


def _suspect_lines(text: str, start: int, returns: bool) -> Iterator[tuple[int, int]]:
    """Start and end of the lines that may need a repair."""
    suspect = _SUSPECT_WITH_RETURNS if returns else _SUSPECT
    found = suspect.search(text, start)
    while found:
        first = max(start, text.rfind("\n", 0, found.start()) + 1)
        end = text.find("\n", found.start())
        end = len(text) if end < 0 else end
        yield first, end
        found = suspect.search(text, end)


def _in_letters(line: str) -> str:
    return _LIGATURES.sub(lambda ligature: normalize("NFKC", ligature[0]), line)


def _composed(line: str) -> str:
    return line if is_normalized("NFC", line) else normalize("NFC", line)
