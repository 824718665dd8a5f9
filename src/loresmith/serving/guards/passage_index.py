"""An index of the passages of restricted documents, by which an answer that repeats one is known.

    index.json       what it is made of: words of a passage, documents, labels, how many hashes
    passages.npy     uint64, ascending: the hash of every run of so many words
    seeds.npy        uint64, ascending: the hash of every run of eight words

Both are memory-mapped, 16 bytes a word in all. Nobody can read a document in it, but whoever has a text can tell
whether it stands in one: it carries the documents' labels.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from loresmith.data.corpus import read_documents
from loresmith.errors import UserError
from loresmith.serving.guards.passage_hashes import NORMALISATION, SEED_WORDS, looking, word_runs

INDEX_FILE = "index.json"
PASSAGES_FILE = "passages.npy"
SEEDS_FILE = "seeds.npy"

_PARTS = 64
"""Into how many parts, by their highest bits, hashes are sorted; one is in memory at a time."""


class IndexFacts(BaseModel):
    """What an index is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, description="Of these files.")
    normalisation: int = Field(default=NORMALISATION, description="How texts become words; see `passage_hashes`.")
    words: int = Field(description="Words of a passage.")
    seed_words: int = Field(default=SEED_WORDS, description="Words of a seed.")
    documents: int = Field(description="Documents whose passages are in it.")
    passages: int = Field(description="Different passages.")
    seeds: int = Field(description="Different seeds.")
    labels: tuple[str, ...] = Field(description="The labels of those documents, all together.")


class PassageIndex:
    """An index that was made.

    Attributes:
        facts: what it is made of.
    """

    def __init__(self, directory: Path) -> None:
        """Open it.

        Raises:
            UserError: it is none, or one of another version.
        """
        file = directory / INDEX_FILE
        if not file.is_file():
            raise UserError(
                "there is no index of passages here", where=str(directory), hint="the step `index-passages` makes one"
            )
        self.facts = IndexFacts.model_validate_json(file.read_bytes())
        if (self.facts.format, self.facts.normalisation, self.facts.seed_words) != (1, NORMALISATION, SEED_WORDS):
            raise UserError("another version made this index", where=str(directory), hint="make it again")
        self._passages: NDArray[np.uint64] = np.load(directory / PASSAGES_FILE, mmap_mode="r")
        self._seeds: NDArray[np.uint64] = np.load(directory / SEEDS_FILE, mmap_mode="r")

    def has_passages(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some hashes are those of passages."""
        return _stand_in(self._passages, hashes)

    def has_seeds(self, hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which of some hashes are those of seeds."""
        return _stand_in(self._seeds, hashes)


def _stand_in(known: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(known) or not len(hashes):
        return np.zeros(len(hashes), dtype=bool)
    places = np.searchsorted(known, hashes)
    places[places == len(known)] = 0
    found: NDArray[np.bool_] = known[places] == hashes
    return found


def build_index(
    corpus: Path,
    directory: Path,
    work: Path,
    words: int,
    labels: Sequence[str] = (),
    except_public: bool = True,
    look: Callable[[int], None] = lambda _documents: None,
) -> tuple[IndexFacts, dict[str, int]]:
    """Make an index; the same corpus and settings give the same bytes.

    Args:
        corpus: an asset of documents or a corpus.
        directory: where the index is written; it is empty.
        work: a folder of its own for what is on the way, which is emptied.
        words: of a passage.
        labels: documents that carry one of these are restricted; empty: those that carry any.
        except_public: whether what also stands in a document that is not restricted is left out.
        look: called with how many documents are done.

    Returns:
        What was made, and how many documents were `indexed`, `too short` and `not restricted`.
    """
    shutil.rmtree(work, ignore_errors=True)
    counts = {"indexed": 0, "too short": 0, "not restricted": 0}
    seen: set[str] = set()
    parts = {kind: _Parts(work / kind) for kind in ("passages", "seeds", "public passages", "public seeds")}
    done = 0
    for batch in read_documents(corpus, ["text", "labels"]):
        for row in batch.to_pylist():
            text, carried = row["text"], row["labels"] or []
            restricted = bool(set(carried) & set(labels) if labels else carried)
            runs = word_runs(looking(text))
            if restricted:
                counts["indexed" if len(runs.words) >= words else "too short"] += 1
                seen.update(carried)
            else:
                counts["not restricted"] += 1
            if restricted or except_public:
                kind = "" if restricted else "public "
                parts[f"{kind}passages"].add(runs.of(words))
                parts[f"{kind}seeds"].add(runs.of(SEED_WORDS))
        done += batch.num_rows
        look(done)
    passages = _write(directory / PASSAGES_FILE, _without(parts["passages"], parts["public passages"]), work)
    seeds = _write(directory / SEEDS_FILE, _without(parts["seeds"], None), work)
    facts = IndexFacts(
        words=words, documents=counts["indexed"], passages=passages, seeds=seeds, labels=tuple(sorted(seen))
    )
    (directory / INDEX_FILE).write_text(facts.model_dump_json(indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(work, ignore_errors=True)
    return facts, counts


class _Parts:
    """Hashes on disk, in parts by their highest bits."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)

    def add(self, hashes: NDArray[np.uint64]) -> None:
        if not len(hashes):
            return
        ascending = np.unique(hashes)
        borders = np.searchsorted(ascending, np.arange(1, _PARTS, dtype=np.uint64) << np.uint64(58))
        for number, part in enumerate(np.split(ascending, borders)):
            if len(part):
                with (self._folder / f"{number:02d}").open("ab") as file:
                    file.write(part.astype("<u8").tobytes())

    def part(self, number: int) -> NDArray[np.uint64]:
        file = self._folder / f"{number:02d}"
        return np.unique(np.fromfile(file, dtype="<u8")) if file.exists() else np.empty(0, dtype=np.uint64)


def _without(parts: _Parts, others: _Parts | None) -> Iterator[NDArray[np.uint64]]:
    for number in range(_PARTS):
        part = parts.part(number)
        yield part if others is None else np.setdiff1d(part, others.part(number), assume_unique=True)


def _write(path: Path, parts: Iterator[NDArray[np.uint64]], work: Path) -> int:
    """Write ascending parts one behind the other as one .npy file; says how many hashes it has."""
    raw, count = work / "raw", 0
    with raw.open("wb") as file:
        for part in parts:
            file.write(part.astype("<u8").tobytes())
            count += len(part)
    with path.open("wb") as file, raw.open("rb") as written:
        np.lib.format.write_array_header_1_0(file, {"descr": "<u8", "fortran_order": False, "shape": (count,)})
        shutil.copyfileobj(written, file)
    return count
