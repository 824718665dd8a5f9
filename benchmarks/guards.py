"""What guards cost, what gets past them, and what they take for something that it is not.

    python benchmarks/guards.py                   # speed on Python's standard library, the evasion set
    python benchmarks/guards.py --text DIR        # false alarms of the injection heuristics on text of your own
    python benchmarks/guards.py --json            # ends with one JSON object

Times are of the processor, one thread, the best of three.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from loresmith.data.documents import CORPUS_COLUMNS, DocumentWriter
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.passage_index import build_index
from loresmith.serving.guards.settings import GuardsSettings
from tests.data.written_corpora import document
from tests.serving.guards.evasions import DENIED, cases

PASSAGE = 2000
"""Characters of a passage."""

TOKEN = 4
"""Characters of a token."""

KINDS: dict[str, dict[str, Any]] = {
    "privacy": {"kind": "privacy"},
    "secrets": {"kind": "secrets"},
    "deny, 3 phrases": {"kind": "deny", "phrases": list(DENIED)},
    "deny, 500 phrases": {
        "kind": "deny",
        "phrases": [f"project {a}{b}on" for a in "bdfgklmnprstvwz" for b in "aeiou" * 7],
    },
    "injection": {"kind": "injection", "on": ["input", "retrieved", "tool", "output"]},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, action="append", default=[], help="a folder of text; may be given again")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    source = "".join(text for _, text in texts(Path(sysconfig.get_path("stdlib")), "*.py"))[: 1 << 20]
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            "speed": {**speeds(source), **memorisation(source, Path(folder))},
            "evasions": evasions(),
            "false_alarms": {
                str(each): false_alarms(each) for each in (Path(sysconfig.get_path("stdlib")), *arguments.text)
            },
        }
    if arguments.json:
        print(json.dumps(measured))
    return 0


def texts(folder: Path, pattern: str = "*") -> Iterator[tuple[Path, str]]:
    """The text files of a folder, in order."""
    for path in sorted(folder.glob(pattern) if pattern != "*" else folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            try:
                yield path, (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
            except (UnicodeDecodeError, OSError):
                continue


def guards(*settings: dict[str, Any], assets: dict[str, Path] | None = None) -> Guards:
    return Guards.load(GuardsSettings.model_validate(list(settings)), Path(), assets)


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, the best of three."""
    best = float("inf")
    for _ in range(3):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def speeds(source: str) -> dict[str, dict[str, float]]:
    found = {}
    everything = [settings for name, settings in KINDS.items() if name != "deny, 500 phrases"]
    for name, settings in (*((name, [one]) for name, one in KINDS.items()), ("all but 500 phrases", everything)):
        found[name] = report(name, guards(*settings), source)
    return found


def report(name: str, guarding: Guards, source: str) -> dict[str, float]:
    """Megabytes a second of passages in a request, and microseconds a token of a stream."""
    passages = [source[at : at + PASSAGE] for at in range(0, 150_000, PASSAGE)]
    messages = [{"role": "user", "content": passage} for passage in passages]
    whole = seconds(lambda: guarding.examine(messages, retrieved=passages))
    stream = source[:40_000]
    held: list[int] = []

    def answer() -> None:
        guard, out = guarding.output(), 0
        held.clear()
        for at in range(0, len(stream), TOKEN):
            out += len(guard.feed(stream[at : at + TOKEN]))
            held.append(at + TOKEN - out)
        guard.finish()

    took = seconds(answer)
    held.sort()
    measured = {
        "passages_mb_s": 2 * sum(map(len, passages)) / whole / 1e6,
        "stream_us_per_token": took / (len(stream) / TOKEN) * 1e6,
        "held_characters_median": held[len(held) // 2],
        "held_characters_most": held[-1],
    }
    print(
        f"{name:20} {measured['passages_mb_s']:5.2f} MB/s of passages, {measured['stream_us_per_token']:5.1f} us "
        f"a token of a stream, {held[len(held) // 2]} characters held back, at most {held[-1]}"
    )
    return measured


def memorisation(source: str, folder: Path) -> dict[str, dict[str, float]]:
    corpus = folder / "corpus"
    corpus.mkdir()
    with DocumentWriter(corpus, CORPUS_COLUMNS) as writer:
        for number, (_, text) in enumerate(texts(Path(sysconfig.get_path("stdlib")), "*.py")):
            writer.add(document(f"{number}.py", text, labels=["restricted"] if number % 2 else []))
    (folder / "index").mkdir()
    before = time.process_time()
    facts, _ = build_index(corpus, folder / "index", folder / "work", 50)
    took = time.process_time() - before
    size = sum(len(text) for _, text in texts(Path(sysconfig.get_path("stdlib")), "*.py"))
    print(f"index-passages: {size / took / 1e6:.1f} MB/s, {facts.passages:,} passages of {facts.documents} documents")
    settings = {"kind": "memorisation", "index": "it", "action": "allow", "on": ["input", "retrieved", "output"]}
    english = "".join(text for _, text in texts(Path(__file__).parent.parent / "docs", "*.md"))
    found = {"memorisation": report("memorisation", guards(settings, assets={"it": folder / "index"}), english)}
    found["memorisation"]["build_mb_s"] = size / took / 1e6
    return found


def evasions() -> dict[str, Any]:
    looking = guards(*(KINDS[name] for name in KINDS if name != "deny, 500 phrases"))
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for case in cases():
        tried[case.family] += 1
        caught[case.family] += looking.examine(case.messages, case.tools, case.retrieved).action != "allow"
    print(f"evasion set: {caught.total()} of {tried.total()} caught; not all of:")
    for family in tried:
        if caught[family] < tried[family]:
            print(f"  {family:40} {caught[family]} of {tried[family]}")
    return {"caught": caught.total(), "tried": tried.total()}


def false_alarms(folder: Path) -> dict[str, int]:
    """Passages of ordinary text in which the injection heuristics find an order."""
    looking = guards({"kind": "injection"})
    passages = alarms = 0
    for path, text in texts(folder, "*.py" if folder == Path(sysconfig.get_path("stdlib")) else "*"):
        for at in range(0, len(text), PASSAGE):
            passages += 1
            examined = looking.examine([], retrieved=[text[at : at + PASSAGE]])
            if examined.verdicts:
                alarms += 1
                print(f"  {path}: {', '.join(verdict.rule for verdict in examined.verdicts)}")
    print(f"{folder}: {alarms} of {passages} passages of {PASSAGE} characters give an alarm")
    return {"passages": passages, "alarms": alarms}


if __name__ == "__main__":
    raise SystemExit(main())
