"""How a table of text is written: what divides its columns, and whether its first row names them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

_DELIMITERS = ",;\t|"
_SAMPLE = 1 << 16
_ROWS = 200
_NUMBER = re.compile(r"[-+]?[$€£]?\s?\d[\d.,' ]*\s?%?|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([ T]\d\d:\d\d.*)?")
_LONGEST_NAME = 100

csv.field_size_limit(2**31 - 1)  # of this process; a file's size is limited before it is read


@dataclass(frozen=True)
class Dialect:
    """`delimiter` is empty where there is one column only."""

    delimiter: str
    has_header: bool


def find_dialect(text: str, delimiters: str = _DELIMITERS, columns: Collection[str] = ()) -> Dialect:
    """The dialect of a table, from its first rows.

    The delimiter is the one that divides most rows into the same number of columns, and into most columns where several
    do. The first row names the columns if one of `columns`, which the recipe speaks of, is in it; or if its cells are
    texts, all different and none empty or long, unless one of them stands as a value below itself.
    """
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    lines = sample.splitlines(keepends=True)
    best, best_score = "", 0.0
    for delimiter in delimiters:
        rows = [row for row in parse(lines, delimiter)[:_ROWS] if row]
        widths = Counter(map(len, rows))
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1] * (item[0] > 1), item[0]))
        score = (count / len(rows)) ** 2 * min(width - 1, 20) ** 0.25 if width > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    rows = [row for row in parse(lines, best or ",")[:_ROWS] if row]
    named = bool(rows) and any(cell.strip() in columns for cell in rows[0])
    return Dialect(best, named or _has_header(rows))


def parse(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The rows in some lines."""
    return list(csv.reader(lines, delimiter=delimiter or "\0", doublequote=True))


def _has_header(rows: list[list[str]]) -> bool:
    if not rows:
        return False
    names = [cell.strip() for cell in rows[0]]
    while len(names) > 1 and not names[-1]:  # a delimiter at the end of each line
        names.pop()
    if len(set(names)) < len(names) or not all(names) or any(len(name) > _LONGEST_NAME for name in names):
        return False
    if any(_NUMBER.fullmatch(name) for name in names):
        return False
    below = rows[1:]
    return not any(name == row[place].strip() for row in below for place, name in enumerate(names) if place < len(row))
