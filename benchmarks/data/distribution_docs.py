"""What the profile `manuals` keeps of the documentation that a machine's distribution and its Python packages carry.

    python -m benchmarks.data.distribution_docs [--folders DIR ...] [--show N] [--keep DIR] [--json]

The files of /usr/share/doc, /usr/share/info and /usr/share/man (PDF, HTML, text, packed ones too), and the PDF, HTML,
Markdown, reST and text files of installed Python packages go through the steps `ingest` and `curate`, as in a recipe,
`profile: auto`. What is held to `manuals` counts: source code in the folders of documentation is held to `code`.

Pictures and recordings have no text and do not count. Printed are, for each format, how many documents went in, were
merged as copies of another, and were kept; each one that was dropped or quarantined with the rule, its score, the
bound, and how the document begins; and `--show N` kept ones, drawn at random with a fixed seed, for somebody to judge.
The share that is kept is of what is no copy.

Of /usr/share/man 2,000 pages count, drawn at random: one package may well bring 18,000 that say nearly the same.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import sysconfig
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from loresmith import Workspace
from loresmith.data.rules.profiles import PROFILES

FOLDERS = ("/usr/share/doc", "/usr/share/info", "/usr/share/man")
ENDINGS = frozenset({".pdf", ".html", ".md", ".rst", ".txt"})
NO_DOCUMENTS = frozenset({"top_level.txt", "entry_points.txt", "requires.txt", "namespace_packages.txt"})
MAN_PAGES = 2000
LARGEST = 8 << 20
BEGINNING = 160
SEED = 4


def gather(folders: list[Path], to: Path) -> int:
    """Copy the documentation of this machine into one folder; links are left out. How many files it has."""
    chosen = [(path, f"{folder.name}/{path.relative_to(folder)}") for folder in folders for path in _files(folder)]
    packages = Path(sysconfig.get_path("purelib"))
    chosen += [
        (path, f"python/{path.relative_to(packages)}")
        for path in _files(packages)
        if path.suffix in ENDINGS and path.name not in NO_DOCUMENTS
    ]
    for path, name in chosen:
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return len(chosen)


def _files(folder: Path) -> list[Path]:
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and 0 < path.stat().st_size <= LARGEST
    )
    return sorted(random.Random(SEED).sample(found, min(MAN_PAGES, len(found)))) if folder.name == "man" else found


def curated(pages: Path, workspace: Path) -> tuple[Path, Path]:
    """The folders of the documents and of the corpus."""
    recipe = {
        "name": "documentation",
        "steps": {
            "files": {"step": "ingest", "path": str(pages), "encodings": ["utf-8", "auto"]},
            "corpus": {"step": "curate", "documents": "files"},
        },
    }
    workspace.mkdir(parents=True, exist_ok=True)
    path = workspace / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with Workspace.init(workspace) as opened:
        opened.run(path)
        found = [opened.assets[f"documentation/{name}"].directory for name in ("files.documents", "corpus")]
    return found[0], found[1]


def judged(documents: Path, corpus: Path) -> Iterator[dict[str, Any]]:
    """Each document with text that is held to `manuals`: what became of it, why, and its text as it was read."""
    scores = pq.read_table(corpus / "scores.parquet").to_pylist()
    fates = {score["id"]: score for score in scores if score["profile"] == "manuals"}
    for file in sorted(documents.glob("documents-*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(512, columns=["id", "text", "media_type"], use_threads=False):
            for row in batch.to_pylist():
                if row["id"] in fates and row["text"]:
                    yield {**fates[row["id"]], **row}


def bound_of(score: str) -> str:
    """The bound that `manuals` has for a score, in words."""
    for bound in PROFILES["manuals"].bounds:
        if bound.score == score:
            least = "" if bound.minimum is None else f"at least {bound.minimum:g}"
            return least if bound.maximum is None else f"at most {bound.maximum:g}"
    return "must not be there"


def explain(document: Mapping[str, Any]) -> str:
    """Why a document is not kept."""
    broken = [breach for breach in document["breaches"] if breach["consequence"] != "flag"]
    rules = "; ".join(
        f"{breach['name']} = {'present' if breach['value'] is None else format(breach['value'], '.4g')}, "
        f"{bound_of(breach['name'])}"
        for breach in broken
    )
    scores = dict(document["scores"])
    cut = [
        f"{scores[name]:.0%} was cut as {name.removesuffix('_characters')}"
        for name in ("boilerplate_characters", "navigation_characters", "furniture_characters")
        if scores.get(name, 0) > 0.1
    ]
    rules = "; ".join(filter(None, [rules, *cut, f"{document['bytes']} bytes are left"]))
    beginning = " ".join(document["text"][: 4 * BEGINNING].split())[:BEGINNING]
    return f"{document['disposition']:11} {document['path']}\n    {document['reason']}: {rules}\n    {beginning!r}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folders", type=Path, nargs="*", default=[Path(folder) for folder in FOLDERS])
    parser.add_argument("--show", type=int, default=0, help="print so many documents that are kept")
    parser.add_argument("--keep", type=Path, help="a folder for the workspace, which is removed otherwise")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        pages = Path(temporary) / "pages"
        files = gather([folder for folder in arguments.folders if folder.is_dir()], pages)
        documents, corpus = curated(pages, arguments.keep or Path(temporary) / "workspace")
        figures = report(list(judged(documents, corpus)), arguments.show)
        refused = Counter(
            row["reason"]
            for row in pq.read_table(documents / "books.parquet").to_pylist()
            if row["disposition"] == "quarantined"
        )
    print(f"quarantined by ingest, of {files} files: {dict(refused.most_common())}")
    if arguments.json:
        print(json.dumps({"files": files, **figures, "quarantined_by_ingest": dict(refused)}))


def report(documents: list[dict[str, Any]], show: int) -> dict[str, Any]:
    """Print what became of documents, and add it up."""
    formats: dict[str, Counter[str]] = defaultdict(Counter)
    for document in documents:
        formats[document["media_type"]][document["disposition"]] += 1
        formats["all"][document["disposition"]] += 1
    for document in documents:
        if document["disposition"] in ("dropped", "quarantined"):
            print(explain(document))
    kept = [document for document in documents if document["disposition"] == "kept"]
    for document in random.Random(SEED).sample(kept, min(show, len(kept))):
        print(f"kept        {document['path']}\n    {document['text'][:BEGINNING]!r}")
    heads = ("documents", "copies", "kept", "dropped", "quarantined", "kept share")
    print(f"{'format':24}", *(f"{head:>11}" for head in heads))
    shares = {}
    for name, fates in sorted(formats.items()):
        total, copies = sum(fates.values()), fates["merged"]
        shares[name] = fates["kept"] / max(1, total - copies)
        counts = (total, copies, fates["kept"], fates["dropped"], fates["quarantined"])
        print(f"{name:24}", *(f"{count:11}" for count in counts), f"{shares[name]:11.2%}")
    reasons = Counter(
        document["reason"] for document in documents if document["disposition"] in ("dropped", "quarantined")
    )
    return {
        "documents": len(documents),
        "copies": formats["all"]["merged"],
        "kept": formats["all"]["kept"],
        "dropped": formats["all"]["dropped"],
        "quarantined": formats["all"]["quarantined"],
        "kept_share": round(shares.get("all", 0.0), 4),
        "kept_share_by_format": {name: round(share, 4) for name, share in shares.items() if name != "all"},
        "reasons": dict(reasons.most_common()),
    }


if __name__ == "__main__":
    main()
