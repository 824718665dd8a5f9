"""The rules of curation that look at one document: speed, and what each profile does with real documentation.

    python -m benchmarks.data.rules [--only NAMES] [--megabytes 12] [--text DIR] [--show N] [--json]

| name     | what is measured                                                                                       |
|----------|--------------------------------------------------------------------------------------------------------|
| speed    | MB/s of CPU time of each rule, and of all rules of a profile, on documentation and on source code        |
| profiles | the share of documents that `manuals` and `web` keep; `--show N` prints N that `manuals` does not keep  |
| language | seconds to load eldc's tables, and how much resident memory they take                                   |

Source code is the standard library's. Documentation is the pages of Python's reference manual that its `help` shows,
and the text, Markdown, reST, HTML and PDF of installed packages; with `--text DIR` also all such files below a folder,
packed ones too. They go through the readers as in a recipe. Files that are no documents but are named like some
(`top_level.txt`, `entry_points.txt`) are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from loresmith.data.decoding import UndecodableError
from loresmith.data.edited_text import EditedText
from loresmith.data.file_types import HEAD_BYTES, file_type
from loresmith.data.readers.record import ReadingRules, Record
from loresmith.data.rules.boilerplate import BoilerplateLines, line_keys
from loresmith.data.rules.finding import DocumentRule, Pages
from loresmith.data.rules.profiles import PROFILES, Breach, Profile
from loresmith.data.rules.rulebook import RULES

NAMES = ["speed", "profiles", "language"]
ROUNDS = 3
MANY = 20
ENDINGS = frozenset({".html", ".md", ".rst", ".txt", ".pod", ".pdf"})
NO_DOCUMENTS = frozenset({"top_level.txt", "entry_points.txt", "requires.txt", "namespace_packages.txt", "RECORD"})
LARGEST = 3 << 20
SENTENCES = {  # a line with what is not ASCII, over and over
    "de": "Die Pumpe ist vor dem Öffnen des Gehäuses zu trennen – immer.",
    "zh": "请在打开外壳之前断开泵的电源。这是一个测试。",
    "ru": "Перед открытием корпуса насос необходимо отключить от сети.",
}


@dataclass(frozen=True)
class Document:
    """A document as a reader gives it."""

    path: str
    text: str
    language: str
    media_type: str
    pages: Pages


def documentation(more: Path | None) -> Iterator[Document]:
    """All there is on this machine, in the order of the paths."""
    for name, text in topics.items():
        yield Document(f"help/{name}", text, "", "text/plain", ())
    folders = [Path(sysconfig.get_path("purelib")), *([more] if more else [])]
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            yield from _read(path)


def _read(path: Path) -> Iterator[Document]:
    packed = path.suffix == ".gz"
    name = path.with_suffix("").name if packed else path.name
    known = Path(name).suffix in ENDINGS or (packed and not name.endswith((".tar", ".svg", ".ps")))
    if not known or name in NO_DOCUMENTS or path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    kind = file_type(name, data[:HEAD_BYTES])
    try:
        for record in kind.read(data, ReadingRules()):
            if isinstance(record, Record):
                media_type, language = record.media_type or kind.media_type, record.language or kind.language
                yield Document(str(path), record.text, language, media_type, record.pages)
    except UndecodableError:
        return


def source_code() -> Iterator[Document]:
    """The standard library's modules."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield Document(str(path), path.read_text(encoding="utf-8"), "python", "text/x-python", ())


def measure_speed(prose: Sequence[Document], source: Sequence[Document]) -> dict[str, float]:
    """MB/s of each rule and of each profile's rules together."""
    counts = Counter(key for document in prose for key in set(line_keys(document.text, document.pages).keys.tolist()))
    boilerplate = BoilerplateLines({key for key, count in counts.items() if count >= MANY})
    rules: dict[str, DocumentRule] = {**RULES, "boilerplate": boilerplate}
    speeds = {}
    for kind, documents in (("documentation", prose), ("source", source)):
        for name, rule in rules.items():
            if (name == "code_quality") == (kind == "source") or name == "repair":
                speeds[f"{name}_{kind}_mb_s"] = _speed(documents, lambda document, rule=rule: _look(rule, document))
    for name in ("manuals", "web"):
        chosen = [rules[rule] for rule in PROFILES[name].rules if rule in rules]
        speeds[f"profile_{name}_mb_s"] = _speed(prose, lambda document, chosen=chosen: _apply(chosen, document))
    chosen = [rules[rule] for rule in PROFILES["code"].rules if rule in rules]
    speeds["profile_code_mb_s"] = _speed(source, lambda document: _apply(chosen, document))
    pages = [replace(document, media_type="text/html") for document in prose]
    speeds["navigation_as_web_pages_mb_s"] = _speed(pages, lambda document: _look(rules["navigation"], document))
    for language, sentence in SENTENCES.items():
        documents = [Document("", f"{sentence}\n" * 2000, language, "text/plain", ())]
        speeds[f"repair_{language}_mb_s"] = _speed(documents, lambda document: _look(rules["repair"], document))
    speeds["line_keys_mb_s"] = _speed(prose, lambda document: line_keys(document.text, document.pages))
    return speeds


def _speed(documents: Sequence[Document], call: Any) -> float:
    size = sum(len(document.text.encode()) for document in documents)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for document in documents:
            call(document)
        best = min(best, time.process_time() - started)
    return size / 1e6 / best


def _look(rule: DocumentRule, document: Document) -> None:
    rule.look(document.text, document.language or "en", document.media_type, document.pages)


def _apply(rules: Iterable[DocumentRule], document: Document) -> tuple[dict[str, float], list[str]]:
    """Scores and flags after rules that look one after the other."""
    scores: dict[str, float] = {}
    flags: list[str] = []
    edited = EditedText.of(document.text)
    language, pages = document.language, document.pages
    for rule in rules:
        finding = rule.look(edited.text, language, document.media_type, pages)
        if finding.edits:
            edited, pages = edited.apply(finding.edits), ()
        scores.update(finding.scores)
        flags += finding.flags
        said = next((flag for flag in finding.flags if flag.startswith("language:")), "")
        language = language or said.removeprefix("language:")
    return scores, flags


def measure_profiles(documents: Sequence[Document], show: int) -> dict[str, float]:
    """The share that each profile for prose keeps, and why it does not keep the others."""
    shares: dict[str, float] = {"documents": len(documents)}
    for name in ("manuals", "web"):
        profile = PROFILES[name]
        rules = [RULES[rule] for rule in profile.rules if rule in RULES]
        fates: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for document in documents:
            breaches = _against(profile, rules, document)
            fate = next(
                (fate for fate in ("drop", "quarantine") if any(b.consequence == fate for b in breaches)), "keep"
            )
            fates[fate] += 1
            reasons.update({breach.name for breach in breaches})
            if fate != "keep" and name == "manuals" and sum(fates.values()) - fates["keep"] <= show:
                print(
                    fate, document.path, [(breach.name, breach.value) for breach in breaches], repr(document.text[:80])
                )
        shares |= {f"{name}_{fate}": fates[fate] / len(documents) for fate in ("keep", "drop", "quarantine")}
        shares |= {f"{name}_{reason}": count / len(documents) for reason, count in reasons.most_common(8)}
    return shares


def _against(profile: Profile, rules: Iterable[DocumentRule], document: Document) -> list[Breach]:
    scores, flags = _apply(rules, document)
    return [breach for breach in profile.breaches(scores, flags) if breach.consequence != "flag"]


def measure_language() -> dict[str, float]:
    """What it costs to have eldc; meaningful only where nothing has loaded it."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    RULES["language"].look("Close the inlet valve before you open the housing.", "", "", ())
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"language_load_s": seconds, "language_memory_mb": memory / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(NAMES), help="some of " + ", ".join(NAMES))
    parser.add_argument("--megabytes", type=float, default=12, help="of documentation at most, for speed")
    parser.add_argument("--text", type=Path, help="a folder of documentation")
    parser.add_argument("--show", type=int, default=0, help="print so many documents that manuals does not keep")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    figures: dict[str, float] = {}
    if "language" in chosen:  # first: nothing has loaded the tables
        figures |= measure_language()
    documents = list(documentation(arguments.text)) if {"speed", "profiles"} & set(chosen) else []
    if "speed" in chosen:
        figures |= measure_speed(list(_some(documents, arguments.megabytes * 1e6)), list(source_code()))
    if "profiles" in chosen:
        figures |= measure_profiles(documents, arguments.show)
    for name, figure in figures.items():
        print(f"{name:44} {figure:10.3f}")
    if arguments.json:
        print(json.dumps({name: round(figure, 4) for name, figure in figures.items()}))


def _some(documents: Iterable[Document], size: float) -> Iterator[Document]:
    for document in documents:
        if size > 0:
            yield document
        size -= len(document.text.encode())


if __name__ == "__main__":
    main()
