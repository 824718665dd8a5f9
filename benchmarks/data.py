"""The speed of the data room, all in one: each part is a benchmark of its own in `benchmarks/data/`, run one by one.

    python benchmarks/data.py [--only NAMES] [--quick] [--json]

| name            | what is taken from `python -m benchmarks.data.NAME`                                       |
|-----------------|-------------------------------------------------------------------------------------------|
| near_duplicates | near_duplicate_mb_s, near_duplicate_recall, near_duplicate_precision, datatrove's, growth |
| tokenizing      | bpe_encode_mb_s, bpe_train_s: the slower of two patterns; bpe_encode_same: all ids?       |
| reading         | pdf_pages_s, html_mb_s                                                                    |
| curation        | curate_mb_s, curate_vs_datatrove, curate_growth                                           |

Everything is on one core and in the processor's time, but for the training of a tokenizer: that is what a person
waits, with all cores. `*_growth` is how much longer a byte takes at the slowest of 1, 4 and 16 times the size than at
the fastest. With --json the last line is one JSON object. It takes about ten minutes; datatrove comes with the extra
`bench`, and without it its figures are null, and a line on standard error says why. With --quick everything is done on
a few hundred kilobytes, which shows in a minute that it can be done at all; of those figures none means anything.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]


def _near_duplicates(result: Mapping[str, Any]) -> dict[str, Any]:
    ours, theirs = result["peer"]["ours"], result["peer"]["datatrove"]
    found = {f"near_duplicate_{name}": ours[name] for name in ("mb_s", "recall", "precision")}
    found |= {f"near_duplicate_{name}_datatrove": theirs.get(name) for name in ("mb_s", "recall", "precision")}
    return found | {"near_duplicate_growth": result["growth"]["largest_above_smallest"]}


def _tokenizing(result: Mapping[str, Any]) -> dict[str, Any]:
    patterns = [each for each in result.values() if isinstance(each, dict) and "train_s" in each]
    return {
        "bpe_encode_mb_s": min(each["mb_s"] for each in patterns),
        "bpe_encode_same": all(each["equal"] == each["documents"] for each in patterns),
        "bpe_train_s": max(each["train_s"] for each in patterns),
    }


def _reading(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result[name] for name in ("pdf_pages_s", "html_mb_s")}


def _curation(result: Mapping[str, Any]) -> dict[str, Any]:
    peer = result["peer"]
    found = {"curate_mb_s": peer["ours"]["mb_s"], "curate_growth": result["growth"]["largest_above_smallest"]}
    return found | {"curate_vs_datatrove": peer.get("ratio")}


PARTS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "near_duplicates": _near_duplicates,
    "tokenizing": _tokenizing,
    "reading": _reading,
    "curation": _curation,
}

QUICK: dict[str, list[str]] = {
    "near_duplicates": ["--only", "peer", "growth", "--megabytes", "0.3"],
    "tokenizing": ["--megabytes", "0.5", "--vocabulary", "2048"],
    "reading": ["--rounds", "1"],
    "curation": ["--megabytes", "2"],
}
"""What each is told with --quick."""


def measured(name: str, quick: bool) -> dict[str, Any]:
    """The last line of a benchmark, in a process of its own."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.data.{name}", *(QUICK[name] if quick else ()), "--json"],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")},
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="on next to nothing, to see whether it runs")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object, last")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.only:
        results |= PARTS[name](measured(name, options.quick))
    for name, value in results.items():
        if value is None:  # nothing else is ever missing
            print(f"{name}: left out; pip install 'loresmith[bench]' for datatrove", file=sys.stderr)
    if options.json:
        print(json.dumps(results))
        return
    for name, value in results.items():
        print(f"{name:36} {value}")


if __name__ == "__main__":
    main()
