"""Cases and text for the tests of contamination."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from loresmith.data.contamination.case_index import CASE_COLUMNS, CaseIndex, Rule
from loresmith.data.contamination.cases import case_blocks
from loresmith.data.contamination.cases import index_of as index_of_block
from loresmith.data.contamination.overlaps import Overlap, find_overlaps
from loresmith.data.engine.local_engine import local_engine

WORDS = tuple(f"{a}{b}" for a in ("valve", "pump", "seal", "rotor", "hose", "gauge") for b in "abcdefghijklmnopqrst")


def prose(seed: int, words: int) -> str:
    """Words in an order that no other seed gives."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) for _ in range(words))


def batches(cases: Iterable[tuple[str, str, str]], *, answered: bool = True) -> list[pa.RecordBatch]:
    """Cases, given as suite, name and text, as a suite gives them."""
    rows = [dict(zip(CASE_COLUMNS.names, (*case, answered), strict=True)) for case in cases]
    return [pa.RecordBatch.from_pylist(rows, CASE_COLUMNS)]


def index_of(*texts: str, rule: Rule | None = None, answered: bool = True) -> CaseIndex:
    """An index of cases of one suite."""
    cases = [("suite", f"case-{number}", text) for number, text in enumerate(texts)]
    (index,) = indexes_of(cases, rule, answered=answered)
    return index


def indexes_of(
    cases: Iterable[tuple[str, str, str]],
    rule: Rule | None = None,
    memory: int | None = None,
    *,
    answered: bool = True,
) -> list[CaseIndex]:
    """Indexes of cases, given as suite, name and text, each within so much memory."""
    given = batches(cases, answered=answered)
    with TemporaryDirectory() as folder, local_engine(1, 1 << 28, Path(folder) / "tables") as engine:
        return [index_of_block(block) for block in case_blocks(given, rule or Rule(), Path(folder), engine, memory)]


def found_in(text: str, *cases: str, rule: Rule | None = None) -> list[Overlap]:
    return find_overlaps([text], index_of(*cases, rule=rule))
