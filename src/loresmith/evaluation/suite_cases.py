"""What of suites must not be in a training corpus: the prompt and the answer of every case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.evaluation.suite import SUITE_FILE, Suite, read_suite

if TYPE_CHECKING:
    import pyarrow as pa

_TOGETHER = 1024


def suite_cases(suites: Mapping[str, Path]) -> Iterator[pa.RecordBatch]:
    """The cases of suites, under `CASE_COLUMNS`.

    Args:
        suites: directory of each `suite` asset, by digest.

    Raises:
        UserError: one of them is no suite.
    """
    for digest, directory in suites.items():
        yield from cases_of(read_suite(directory / SUITE_FILE), digest)


def cases_of(suite: Suite, digest: str) -> Iterator[pa.RecordBatch]:
    """The cases of one suite. What a regular expression looks for is no text, and not part of its case."""
    import pyarrow as pa

    from loresmith.data.contamination.case_index import CASE_COLUMNS

    for start in range(0, len(suite.cases), _TOGETHER):
        rows = [
            {
                "suite": digest,
                "case": case.name,
                "text": case.prompt if case.scorer == "regex" else f"{case.prompt}\n{case.expected}",
                "answered": case.scorer != "regex",
            }
            for case in suite.cases[start : start + _TOGETHER]
        ]
        yield pa.RecordBatch.from_pylist(rows, CASE_COLUMNS)
