"""How well personal data and secrets are found, how often what is none, and how fast, on this machine.

    python benchmarks/data/privacy.py [--only NAMES] [--of-each 300] [--minimum 0.5] [--text DIR ...] [--json]

| name     | what is measured                                                                                    |
|----------|-----------------------------------------------------------------------------------------------------|
| labelled | precision and recall by kind on a generated set; see benchmarks/data/labelled_text.py               |
| hard     | recall of forms that rules are likely to let through; see benchmarks/data/hard_forms.py            |
| hits     | findings per MB by rule in the standard library's source and documentation, or the files of `--text` |
| speed    | MB/s of one core over the same, all kinds and all country packs on                                   |

`--show KIND` prints where the findings of a kind stand in that text, with letters and digits of the finding masked.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.labelled_text import hard_set, labelled_set
from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.recognisers import Recognisers
from loresmith.data.privacy.rules import PrivacyRules

SEED = 20
NAMES = ["labelled", "hard", "hits", "speed"]
ENDINGS = {".py", ".rst", ".txt", ".md", ".html"}


def labelled(recognisers: Recognisers, of_each: int) -> dict[str, Any]:
    """By kind: how many there were, how many of them were found whole, and the share of the findings that is right."""
    there: Counter[tuple[str, bool]] = Counter()
    found: Counter[tuple[str, bool]] = Counter()
    hidden: Counter[tuple[str, bool]] = Counter()
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    fooled: Counter[tuple[str, str]] = Counter()
    for sample in labelled_set(SEED, of_each):
        kind = sample.kind.partition("/")[0]
        findings = recognisers.find(sample.text)
        for start, end in sample.spans:
            covering = [finding for finding in findings if finding.start <= start and finding.end >= end]
            for name in {kind, sample.kind}:
                there[name, sample.told] += 1
                found[name, sample.told] += any(finding.kind == kind for finding in covering)
                hidden[name, sample.told] += bool(covering)
        for finding in findings:
            if any(finding.start < end and start < finding.end for start, end in sample.spans) and finding.kind == kind:
                right[finding.kind] += 1
            else:
                wrong[finding.kind] += 1
                fooled[sample.kind, finding.kind] += 1
    kinds = sorted({name for name, _ in there})
    return {
        "kinds": {
            kind: {
                "passages": there[kind, True] + there[kind, False],
                "recall_told": _share(found[kind, True], there[kind, True]),
                "recall_bare": _share(found[kind, False], there[kind, False]),
                "hidden_told": _share(hidden[kind, True], there[kind, True]),
                "hidden_bare": _share(hidden[kind, False], there[kind, False]),
                "precision": _share(right[kind], right[kind] + wrong[kind]),
            }
            for kind in kinds
        },
        "false": {f"{sample} taken for {kind}": count for (sample, kind), count in sorted(fooled.items())},
    }


def hard(recognisers: Recognisers, of_each: int) -> dict[str, Any]:
    """Of each hard form the share that was found whole."""
    found: Counter[str] = Counter()
    for form, sample in hard_set(SEED, of_each):
        ((start, end),) = sample.spans
        findings = recognisers.find(sample.text)
        found[form] += any(f.kind == sample.kind and f.start <= start and f.end >= end for f in findings)
    return {"hard": {form: _share(count, of_each) for form, count in found.items()}}


def texts(folders: Iterable[Path]) -> list[str]:
    """The standard library's source without its tests, and its help topics; or the text files of folders."""
    given = list(folders)
    if given:
        paths = (path for folder in given for path in sorted(folder.rglob("*")) if path.suffix in ENDINGS)
    else:
        library = Path(sysconfig.get_path("stdlib"))
        skipped = {"site-packages", "test", "tests", "idle_test", "__pycache__"}
        paths = (path for path in sorted(library.rglob("*.py")) if not skipped & set(path.relative_to(library).parts))
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file()]


def hits(recognisers: Recognisers, passages: list[str], show: str) -> dict[str, Any]:
    """Findings per MB by rule."""
    size = sum(len(passage.encode()) for passage in passages) / 1e6
    counts: Counter[str] = Counter()
    contexts = []
    for passage in passages:
        for finding in recognisers.find(passage):
            counts[finding.rule] += 1
            if finding.kind == show:
                contexts.append(masked(passage, finding))
    for context in random.Random(SEED).sample(contexts, min(60, len(contexts))):
        print(context, file=sys.stderr)
    return {
        "megabytes": round(size, 1),
        "hits_per_mb": {rule: round(count / size, 2) for rule, count in sorted(counts.items())},
    }


def masked(text: str, finding: Finding) -> str:
    """A finding where it stands, its own letters as x and digits as 9."""
    shape = re.sub(r"[0-9]", "9", re.sub(r"[^\W\d]", "x", text[finding.start : finding.end]))
    before, after = text[max(0, finding.start - 30) : finding.start], text[finding.end : finding.end + 20]
    return f"{finding.rule} {finding.confidence:.2f} {before!r} [{shape[:60]}] {after!r}"


def speed(recognisers: Recognisers, passages: list[str]) -> dict[str, Any]:
    """The best of three rounds over everything."""
    size = sum(len(passage.encode()) for passage in passages)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        for passage in passages:
            recognisers.find(passage)
        seconds.append(time.process_time() - start)
    return {"privacy_mb_s": round(size / 1e6 / min(seconds), 1)}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _print(results: dict[str, Any]) -> None:
    if kinds := results.get("kinds"):
        print("| kind | passages | recall, told | recall, bare | hidden, told | hidden, bare | precision |")
        print("|---|---|---|---|---|---|---|")
        for kind, row in kinds.items():
            print(f"| {kind} | " + " | ".join("" if value is None else str(value) for value in row.values()) + " |")
    for key in results.keys() - {"kinds"}:
        print(f"{key}: {json.dumps(results[key], indent=1)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--of-each", type=int, default=300, help="passages of each kind and form")
    parser.add_argument("--minimum", type=float, default=0.5, help="the least confidence that counts")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="folders to look for hits in")
    parser.add_argument("--show", default="", help="print the findings of this kind in their contexts")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    given = parser.parse_args()
    recognisers = Recognisers(PrivacyRules(minimum_confidence=given.minimum))
    results: dict[str, Any] = {}
    if "labelled" in given.only:
        results |= labelled(recognisers, given.of_each)
    if "hard" in given.only:
        results |= hard(recognisers, given.of_each)
    passages = texts(given.text) if {"hits", "speed"} & set(given.only) else []
    if "hits" in given.only:
        results |= hits(recognisers, passages, given.show)
    if "speed" in given.only:
        results |= speed(recognisers, passages)
    if given.json:
        print(json.dumps(results))
    else:
        _print(results)


if __name__ == "__main__":
    main()
