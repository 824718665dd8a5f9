"""How fast documents are read, on one core.

    python -m benchmarks.data.reading [--rounds 5] [--json]

| name        | what is read                                                                                         |
|-------------|------------------------------------------------------------------------------------------------------|
| pdf_pages_s | pages/s of PDFs of 4, 30 and 250 pages, as many pages of each, set from the texts of `pydoc`'s help,  |
|             | 45 lines a page; each is opened, extracted, judged, and its sample extracted twice                    |
| html_mb_s   | MB/s of the pages that `pydoc` writes of some sixty modules of the standard library: dense with tags  |

Every round reads everything; the median of the rounds counts. Time is the processor's, so that a busy machine blurs it
less. The inputs are made here from the interpreter's own documentation: another version of Python gives others.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import pydoc
import statistics
import time
from collections.abc import Callable, Sequence
from pydoc_data.topics import topics

from loresmith.data.readers.html import read_html
from loresmith.data.readers.pdf import read_pdf
from loresmith.data.readers.record import Reader, ReadingRules, Record
from tests.data.pdf_files import Page, pdf

LINES = 45
SIZES = {4: 60, 30: 8, 250: 1}
"""Pages of a PDF, and how many of them: about as many pages of each size."""

MODULES = """abc argparse ast
    asyncio base64 bdb bisect calendar cmd code codecs collections configparser contextlib copy csv
    ctypes dataclasses datetime decimal difflib dis doctest email enum fileinput fractions ftplib functools
    getopt glob gzip heapq http.client imaplib inspect io ipaddress itertools json locale logging mailbox
    mimetypes os pathlib pdb pickle platform plistlib pprint queue random re sched shelve shlex shutil smtplib
    socket sqlite3 ssl statistics string struct subprocess tarfile tempfile textwrap threading timeit tokenize
    trace turtle types typing unittest uuid zipfile"""


def pdf_files() -> tuple[list[bytes], int]:
    """PDFs, and how many pages they have."""
    lines = itertools.cycle(line[:100] for text in topics.values() for line in text.splitlines() if line.strip())
    pages = [Page(list(itertools.islice(lines, LINES))) for _ in range(max(SIZES))]
    files = []
    for size, count in SIZES.items():
        files += [pdf([pages[(start * size + at) % len(pages)] for at in range(size)]) for start in range(count)]
    return files, sum(size * count for size, count in SIZES.items())


def html_files() -> list[bytes]:
    """Web pages."""
    files = []
    for name in MODULES.split():
        module = importlib.import_module(name)
        files.append(pydoc.html.page(name, pydoc.html.document(module)).encode())
    return files


def pdf_pages_s(rounds: int = 5) -> float:
    """Pages of PDF a second."""
    files, pages = pdf_files()
    return pages / seconds(read_pdf, files, rounds)


def html_mb_s(rounds: int = 5) -> float:
    """MB (millions of bytes) of HTML a second."""
    files = html_files()
    return sum(map(len, files)) / 1e6 / seconds(read_html, files, rounds)


def seconds(read: Reader, files: Sequence[bytes], rounds: int) -> float:
    """Processor time of one round; the first round, which loads libraries, does not count."""
    found = []
    for _ in range(rounds + 1):
        began = time.process_time()
        for data in files:
            if not all(isinstance(record, Record) for record in read(data, ReadingRules())):
                raise SystemExit("a file of the benchmark was refused")
        found.append(time.process_time() - began)
    return statistics.median(found[1:])


MEASURES: dict[str, Callable[[int], float]] = {"pdf_pages_s": pdf_pages_s, "html_mb_s": html_mb_s}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    results = {name: round(measure(given.rounds), 1) for name, measure in MEASURES.items()}
    if given.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
