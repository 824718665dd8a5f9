"""Evaluation cases in training text: how fast they are looked for, how many are found, and what is found wrongly.

    python -m benchmarks.data.contamination [--megabytes 16] [--cases 10000] [--json]

Cases and documents are real text, of different files. Some cases are planted in documents:

| plant    | how                                                                    | is it to be found?  |
|----------|------------------------------------------------------------------------|---------------------|
| exact    | 13 to all words in a row, with other case, punctuation and line breaks | yes, word for word  |
| twelve   | 12 words in a row                                                      | no                  |
| shuffled | all words in another order                                             | no                  |
| every N  | all words, every N-th replaced by another                              | in other wording    |

This is done twice: with cases of which no run of 13 words is in a second file, as it is with questions that nobody
has published (`mb_s` and all of the first numbers), and, under `crowded`, on a quarter of the text with cases of which
runs are in up to three files, so that many documents hold some by nature.

What is found word for word is held against a comparison of all runs of 13 words by Python's `re` and sets, over all
documents, so that what real files have in common by nature counts as what it is. What is found in other wording is
right if the document has half of the case's runs of five words. Speed is bytes of documents per second of CPU time,
before anything was planted (`mb_s`) and after.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.real_text import real_texts
from loresmith.data.contamination.case_index import CASE_COLUMNS, MOST_CASES, CaseIndex, Rule
from loresmith.data.contamination.cases import case_blocks
from loresmith.data.contamination.cases import index_of as index_of_block
from loresmith.data.contamination.overlaps import Overlap, find_overlaps
from loresmith.data.engine.local_engine import local_engine

RUN, SHINGLE = 13, 5
SUITES = 10
PLANTED = 300
EVERY = (6, 8, 10, 12)
LENGTHS = (15, 150)
BATCH = 256
ROUNDS = 3


@dataclass
class Trial:
    """Cases, and documents in which some of them are planted.

    Attributes:
        cases: suite, name and text of each.
        documents: texts.
        clean: the same before anything was planted.
        plants: document and case of each plant, by how it was made.
    """

    cases: list[tuple[str, str, str]]
    documents: list[str]
    clean: list[str]
    plants: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def bytes(self) -> int:
        return sum(len(text.encode()) for text in self.documents)


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def runs_of(words: Sequence[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


def trial_of(megabytes: float, cases: int, most_files: int, seed: int = 0) -> Trial:
    """A trial on real text. Files that cases are taken from are no documents, and of no case is a run of 13 words in
    more files than so many."""
    chance = random.Random(seed)
    texts = real_texts(int(megabytes * 1e6 * 1.5))
    asked, documents = texts[: len(texts) // 3], texts[len(texts) // 3 :]
    trial = Trial([], documents, list(documents))
    common = Counter(run for text in texts for run in {hash(run) for run in runs_of(words_of(text), RUN)})
    while len(trial.cases) < cases:
        words = chance.choice(asked).split()
        size = chance.randint(*LENGTHS)
        start = chance.randrange(max(1, len(words) - size))
        text = " ".join(words[start : start + size])
        runs = runs_of(words_of(text), RUN)
        if runs and max(common[hash(run)] for run in runs) <= most_files:
            number = len(trial.cases)
            trial.cases.append((f"suite-{number % SUITES}", f"case-{number}", text))
    free = [n for n, (_, _, text) in enumerate(trial.cases) if len(words_of(text)) >= 30]
    chance.shuffle(free)
    vocabulary = sorted({word for text in asked[:200] for word in words_of(text) if word.isalpha()})
    planted: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for kind, (number, case, text) in plants(trial, free, vocabulary, chance):
        trial.plants[kind].append((number, case))
        planted[number].append((chance.randrange(len(documents[number])), text))
    for number, texts_there in planted.items():  # from the last, so that none is cut by another
        document = documents[number]
        for place, text in sorted(texts_there, reverse=True):
            after = next((at for at in range(place, len(document)) if document[at].isspace()), len(document))
            document = f"{document[:after]}\n{text}\n{document[after:]}"
        documents[number] = document
    return trial


def plants(
    trial: Trial, free: list[int], vocabulary: list[str], chance: random.Random
) -> Iterator[tuple[str, tuple[int, int, str]]]:
    """What is planted: how, in which document, of which case, and the text."""
    for kind in ("exact", "twelve", "shuffled", *(f"every {number}" for number in EVERY)):
        for _ in range(PLANTED):
            case = free.pop()
            words = words_of(trial.cases[case][2])
            if kind in ("exact", "twelve"):
                size = chance.randint(RUN, len(words)) if kind == "exact" else RUN - 1
                start = chance.randrange(len(words) - size + 1)
                words = words[start : start + size]
            elif kind == "shuffled":
                chance.shuffle(words)
            else:
                every = int(kind.split()[1])
                words = [
                    chance.choice(vocabulary) if at % every == every - 1 else word for at, word in enumerate(words)
                ]
            yield kind, (chance.randrange(len(trial.documents)), case, disguised(words, chance))


def disguised(words: Sequence[str], chance: random.Random) -> str:
    """Words with other capitals, punctuation and line breaks between them."""
    return "".join(
        chance.choice((word, word.title(), word.upper())) + chance.choice((" ", " ", ", ", ".\n", " -- ", " (", '" '))
        for word in words
    )


def index_of(trial: Trial) -> CaseIndex:
    columns = [[case[column] for case in trial.cases] for column in range(3)]
    batches = [pa.record_batch([*columns, [True] * len(trial.cases)], schema=CASE_COLUMNS)]
    with TemporaryDirectory() as folder, local_engine(1, 1 << 30, Path(folder) / "tables") as engine:
        (block,) = case_blocks(batches, Rule(), Path(folder), engine, memory=1 << 30)
        return index_of_block(block)


def search(documents: Sequence[str], index: CaseIndex) -> list[Overlap]:
    """All overlaps; `text` numbers the documents through."""
    found = []
    for start in range(0, len(documents), BATCH):
        for each in find_overlaps(documents[start : start + BATCH], index):
            found.append(Overlap(each.text + start, each.case, each.kind, each.start, each.end, each.score))
    return found


def truly_exact(trial: Trial) -> set[tuple[int, int]]:
    """Document and case of every run of 13 words in common, by comparing all of them."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for case, (_, _, text) in enumerate(trial.cases):
        for run in runs_of(words_of(text), RUN):
            holders[run].append(case)
    for run, cases in holders.items():
        per_suite = Counter(trial.cases[case][0] for case in cases)
        holders[run] = [case for case in cases if per_suite[trial.cases[case][0]] <= MOST_CASES]
    return {
        (number, case)
        for number, text in enumerate(trial.documents)
        for run in runs_of(words_of(text), RUN) & holders.keys()
        for case in holders[run]
    }


def measured(trial: Trial) -> dict[str, Any]:
    """Speed, recall and precision."""
    started = time.process_time()
    index = index_of(trial)
    indexing = time.process_time() - started
    found = search(trial.documents, index)
    speeds = {name: speed(documents, index) for name, documents in (("clean", trial.clean), ("held", trial.documents))}
    exact = {(each.text, each.case) for each in found if each.kind == "exact"}
    near = {(each.text, each.case) for each in found if each.kind == "near"} - exact
    true = truly_exact(trial)
    right = [pair for pair in near if containment(trial, *pair) >= 0.5]
    planted = {kind: set(pairs) for kind, pairs in trial.plants.items()}
    held = {kind: len(pairs & (exact | near)) / len(pairs) for kind, pairs in planted.items()}
    return {
        "mb_s": speeds["clean"],
        "mb_s_with_plants": speeds["held"],
        "index_s": round(indexing, 2),
        "megabytes": round(trial.bytes / 1e6, 1),
        "cases": len(trial.cases),
        "judged": index.standings.count("judged"),
        "exact_recall": len(planted["exact"] & exact) / len(planted["exact"]),
        "exact_recall_of_all": round(len(true & exact) / len(true), 4),
        "exact_precision": round(len(true & exact) / len(exact), 4),
        "exact_besides": len(true - planted["exact"]),
        "near_recall": {kind: round(share, 3) for kind, share in held.items() if kind.startswith("every")},
        "near_precision": round(len(right) / len(near), 4),
        "twelve_words_found": held["twelve"],
        "shuffled_found": held["shuffled"],
    }


def speed(documents: Sequence[str], index: CaseIndex) -> float:
    """Megabytes of text per second of CPU time."""
    seconds = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        search(documents, index)
        seconds = min(seconds, time.process_time() - started)
    return round(sum(len(text.encode()) for text in documents) / 1e6 / seconds, 1)


def containment(trial: Trial, document: int, case: int) -> float:
    """The share of a case's runs of five words that a document has."""
    wanted = runs_of(words_of(trial.cases[case][2]), SHINGLE)
    return len(wanted & runs_of(words_of(trial.documents[document]), SHINGLE)) / len(wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--megabytes", type=float, default=16)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measured(trial_of(options.megabytes, options.cases, most_files=1))
    results["crowded"] = measured(trial_of(options.megabytes / 4, options.cases // 4, most_files=3))
    print(json.dumps(results, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
