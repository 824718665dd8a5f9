"""The whole of curation, from a `documents` asset on disk to a corpus on disk: speed beside datatrove's, and time per
byte as the corpus grows.

    python -m benchmarks.data.curation [--only NAMES] [--megabytes 24] [--text DIR] [--json]

| name   | what is measured                                                                                       |
|--------|--------------------------------------------------------------------------------------------------------|
| peer   | MB/s of CPU time of one core, ours and datatrove's, on the same documentation in the same process        |
| growth | CPU seconds per byte at 1, 4 and 16 times as much text, and what the largest is above the smallest       |

Ours is what the step `curate` does with `profile: manuals` and one worker: rights, repair, page furniture, navigation,
boilerplate, language by paragraph, all measures of Gopher, C4 and FineWeb, exact and near duplicates, the split, books,
scores and edits. datatrove (extra `bench`) does of that what it has: ftfy, the filters of Gopher, C4 and FineWeb, and
MinHash deduplication, and reads and writes Parquet. Each of its filters looks at every document, as ours do, instead of
at those that the one before let pass. It is given `str.split` and a regular expression for words and sentences, which
is faster than the spaCy that it uses itself, and no language filter, which would fetch a model.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data.growth import growth_of
from benchmarks.data.real_text import real_texts
from benchmarks.data.rules import documentation
from loresmith.data.curation.curate import curate
from loresmith.data.curation.curation_rules import CurationRules
from loresmith.data.curation.expectations import Expectations
from loresmith.data.documents import DOCUMENT_COLUMNS, DocumentWriter
from loresmith.data.engine.local_engine import local_engine
from loresmith.data.splitting import Shares

NAMES = ["peer", "growth"]
GROWTH = (1, 4, 16)
ROUNDS = 3
MEMORY = 2 << 30


class Silent:
    """Hears how far curation is, and says nothing."""

    threads = 1

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None: ...

    def log(self, message: str) -> None: ...

    def stop_requested(self) -> bool:
        return False

    def stopped(self) -> None: ...


def write_documents(texts: Sequence[tuple[str, str]], folder: Path) -> Path:
    """A `documents` asset of (path, text) in a new folder."""
    folder.mkdir(parents=True)
    empty = {"id": "", "language": "", "licence": "", "collected_at": "", "owner": "", "retain_until": ""}
    same = {"labels": [], "metadata": "{}", "uses": ["train"], "source_start": 0, "source_bytes": 0, "pages": []}
    with DocumentWriter(folder, DOCUMENT_COLUMNS) as writer:
        for number, (path, text) in enumerate(texts):
            own = {"id": f"{number:032x}", "path": path, "text": text, "bytes": len(text.encode())}
            writer.add({**empty, **same, **own, "media_type": "text/plain"})
    return folder


def ours(documents: Path, work: Path) -> None:
    rules = CurationRules(Shares(0.03, 0.05), expectations=Expectations("manuals"))
    (work / "corpus").mkdir(parents=True)
    with local_engine(1, MEMORY, work / "tables") as engine:
        curate(documents, work / "corpus", rules, work / "stages", engine, Silent())


def datatrove(documents: Path, work: Path) -> None:
    import datatrove.utils.text as cutting
    import datatrove.utils.word_tokenizers as tokenizers
    import xxhash
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter
    from datatrove.utils.logging import logger

    class Split(tokenizers.WordTokenizer):  # type: ignore[misc, name-defined]
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return re.split(r"(?<=[.!?])\s+", text)

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [found.span() for found in re.finditer(r"(?s).+?[.!?](?=\s)|.+", text)]

    logger.remove()
    split = Split()
    for module in (tokenizers, cutting):
        module.load_word_tokenizer = lambda _language: split
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]
    repair = FTFYFormatter()
    config = MinhashConfig()
    signatures = MinhashDedupSignature(str(work / "signatures"), config, language=split)
    signatures._hash_func = lambda text: xxhash.xxh64_intdigest(text.encode())

    def looked_at() -> Any:
        for document in ParquetReader(str(documents), glob_pattern="documents-*.parquet").run():
            document.text = repair.format(document.text)
            for each in filters:
                each.filter(Document(text=document.text, id=document.id, metadata=dict(document.metadata)))
            yield document

    for _ in ParquetWriter(str(work / "looked")).run(looked_at()):
        pass
    looked = str(work / "looked")
    signatures.run(ParquetReader(looked).run())
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config).run(
            None, bucket, config.num_buckets
        )
    MinhashDedupCluster(str(work / "buckets"), str(work / "clusters"), config=config).run(None)
    last = MinhashDedupFilter(str(work / "clusters")).run(ParquetReader(looked).run())
    for _ in ParquetWriter(str(work / "corpus")).run(last):
        pass


def peer(size: int, more: Path | None) -> dict[str, Any]:
    texts = []
    total = 0
    found = [(document.path, document.text) for document in documentation(more) if document.text]
    random.Random(0).shuffle(found)
    for path, text in found:
        if total < size:
            texts.append((path, text))
            total += len(text.encode())
    result: dict[str, Any] = {"megabytes": round(total / 1e6, 1), "documents": len(texts)}
    contestants: dict[str, Callable[[Path, Path], None]] = {"ours": ours, "datatrove": datatrove}
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    with tempfile.TemporaryDirectory() as name:
        documents = write_documents(texts, Path(name) / "documents")
        for _ in range(ROUNDS):
            for contestant, work in contestants.items():
                folder = Path(name) / contestant
                try:
                    seconds[contestant].append(_seconds(work, documents, folder))
                except ImportError as error:
                    print(f"{contestant} is not installed: {error}", file=sys.stderr)
                shutil.rmtree(folder, ignore_errors=True)
    for contestant, each in seconds.items():
        if each:
            result[contestant] = {"mb_s": round(total / 1e6 / min(each), 3), "seconds": [round(one, 2) for one in each]}
    if seconds["datatrove"]:
        result["ratio"] = round(min(seconds["datatrove"]) / min(seconds["ours"]), 2)
    return result


def _seconds(work: Callable[[Path, Path], None], documents: Path, folder: Path) -> float:
    started = time.process_time()
    work(documents, folder)
    return time.process_time() - started


def growth(size: int) -> dict[str, Any]:
    """Each corpus holds the smaller ones. Where the machine has too little text, words are drawn anew for more."""
    texts = list(real_texts(size, 0))
    chance = random.Random(1)
    words = sorted({word for text in texts[:200] for word in re.findall(r"\w+", text)})
    total = sum(len(text.encode()) for text in texts)
    while total < size:
        text = re.sub(
            r"\w+", lambda found: chance.choice(words) if chance.random() < 0.5 else found[0], chance.choice(texts)
        )
        texts.append(text)
        total += len(text.encode())
    chance.shuffle(texts)
    taken: dict[int, tuple[float, int]] = {}
    for times in GROWTH:
        part = []
        bytes_ = 0
        for number, text in enumerate(texts):
            if bytes_ < total * times // GROWTH[-1]:
                part.append((f"{number:06}.txt", text))
                bytes_ += len(text.encode())
        best = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as name:
                best.append(_seconds(ours, write_documents(part, Path(name) / "documents"), Path(name) / "work"))
        taken[times] = min(best), bytes_
    return {**growth_of(taken), "megabytes": round(total / 1e6, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES)
    parser.add_argument(
        "--megabytes", type=float, default=24, help="of documentation, and of the largest corpus at 2/3"
    )
    parser.add_argument("--text", type=Path, help="a folder of documentation")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = int(options.megabytes * 1e6)
    results: dict[str, Any] = {}
    for name in options.only:
        results[name] = peer(size, options.text) if name == "peer" else growth(size)
    print(json.dumps(results, indent=None if options.json else 2))


if __name__ == "__main__":
    main()
