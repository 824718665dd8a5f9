"""The most memory that a step takes: `python -m tests.data.engine.measured STEP DOCUMENTS FOLDER`.

It makes so many tiny documents, and prints the most mebibytes that the process of the step had in memory, and the most
that any of its two workers had.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.decontaminate import Measures, decontaminate
from loresmith.data.curation.curate import curate
from loresmith.data.curation.curation_rules import CurationRules
from loresmith.data.curation.expectations import Expectations
from loresmith.data.documents import CORPUS_COLUMNS
from loresmith.data.duplicates import sketches
from loresmith.data.engine.engine import Engine
from loresmith.data.engine.local_engine import LocalEngine
from loresmith.data.engine.native_tables import NativeTables
from loresmith.data.mixture import mix
from loresmith.data.mixture.amounts import Stage
from loresmith.data.mixture.mix import mix_corpora
from loresmith.data.mixture.settings import MixtureRules, SourceRule
from loresmith.data.splitting import Shares
from loresmith.data.tables import TableWriter
from tests.data.contamination.suite_texts import batches
from tests.data.engine.generated_corpus import WORDS
from tests.data.written_corpora import document
from tests.step_context import RecordingContext

MEMORY = 64 << 20
"""Bytes: little, so that what keeps to it takes all of it already where there are few documents."""

PER_FILE = 2500
CASES = [("suite", f"case-{n}", " ".join(WORDS[(n * 7 + each) % len(WORDS)] for each in range(20))) for n in range(50)]


def generate(folder: Path, documents: int, seed: int) -> Path:
    """A corpus of documents of about 15 words in files of one size; one in twenty is nearly another one."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    words = np.array(WORDS)
    last = ""
    for file in range(documents // PER_FILE):
        with TableWriter(folder / f"documents-{file:05d}.parquet", CORPUS_COLUMNS) as writer:
            for number in range(PER_FILE):
                text = last + " nut" if number % 20 == 8 else " ".join(words[chance.integers(0, len(words), 15)])
                row = document(f"{seed}/{file}/{number:08}.txt", text, split=("train", "test")[number % 20 == 3])
                writer.add(row, len(text))
                last = text
    return folder


def generate_lines(folder: Path, documents: int) -> None:
    """One file of JSON lines, each of which is a text of chance."""
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    words = np.array(WORDS)
    with (folder / "0.jsonl").open("w") as file:
        for number in range(documents):
            text = " ".join(words[chance.integers(0, len(words), 30 + number % 60)])
            file.write(json.dumps({"text": text}) + "\n")


def carry_out(step: str, documents: int, folder: Path, engine: Engine) -> None:
    context = RecordingContext(folder)
    target, work = context.output("corpus"), folder / "work" / step
    given = [generate(folder / f"given-{n}", documents // 2, n) for n in range(2)] if step == "mix" else []
    given = given or [generate(folder / "given", documents, 0)]
    if step == "mix":
        sources = [SourceRule("a", 0, "", 1.0), SourceRule("b", 1, "", 2.0)]
        stages = [Stage(1.0, {"a": 1.0, "b": 1.0})]
        rules = MixtureRules(["a", "b"], sources, stages, None, "bytes", False, 0.7, 0)
        mix_corpora(given, target, rules, work, engine, context, file_bytes=1 << 20)
    elif step == "decontaminate":
        measures = Measures(Rule(), "drop-span", ("train",), 20, 10, 1)
        decontaminate(given[0], target, lambda: batches(CASES), ("suite",), measures, work, engine, context)
    else:
        rules = CurationRules(Shares(0.1, 0.1), 1, Expectations("none"), drop_near_duplicates=True, containment=0.9)
        curate(given[0], target, rules, work, engine, context)


def highest(process: int) -> int:
    """Not getrusage: what it says of a process begins with the memory of the one that started it."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) >> 10


def main(step: str, documents: int, folder: Path) -> None:
    of_workers = [0]

    def watch() -> None:
        while True:
            for child in psutil.Process().children():
                try:
                    of_workers.append(highest(child.pid))
                except (OSError, IndexError, psutil.Error):
                    continue
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    sketches._KEPT_BYTES = mix._FEWEST = MEMORY // 64
    with LocalEngine(2, MEMORY, NativeTables(folder / "tables", MEMORY // 4)) as engine:
        carry_out(step, documents, folder, engine)
    print(highest(os.getpid()), max(of_workers))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
