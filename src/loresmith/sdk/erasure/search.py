"""Where a document is: every asset of a workspace is looked through, and nothing is changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.ledger import Asset, ErasedDocument, Ledger
from loresmith.nearest import unknown_name
from loresmith.sdk.erasure.asset_tables import AssetTables, Files

if TYPE_CHECKING:
    from loresmith.data.erasure.record_tables import NamedRecord
    from loresmith.data.erasure.remembered_texts import RememberedText

_LISTED_AT_MOST = 5
_NEAREST_OF = 20_000
"""Paths among which the nearest is looked for: comparing takes a while."""

_TEXT_FILES = (".md", ".json", ".jsonl", ".html", ".txt", ".csv")


@dataclass
class Documents:
    """What is to be erased.

    Attributes:
        paths: where the documents came from, by their ids.
        same_text: the ids that were not asked for, and whose text is that of one that was.
        texts: digests of their texts, by id.
        words: the texts themselves; they never leave this process.
        silent: the ids of which the text was not found, and so neither what says the same.
    """

    paths: dict[str, set[str]]
    same_text: set[str] = field(default_factory=set)
    texts: dict[str, set[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)


@dataclass
class Found:
    """Where they are.

    Attributes:
        blobs: what goes, by digest, with its size in bytes.
        files: the sha256 of files of snapshots of which nothing is to be kept, by document.
        erased: assets that lose files, with the names of those, or have lost them to an earlier erasure.
        tainted: assets that were made from them and are still there.
    """

    blobs: dict[str, int] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)
    erased: dict[str, list[str]] = field(default_factory=dict)
    tainted: set[str] = field(default_factory=set)


class Search:
    """One look through a ledger.

    Args:
        caches: the folder in which steps keep what they remember of their sources.
        with_erased: whether to look, too, at blobs that were erased and are there all the same.
    """

    def __init__(self, ledger: Ledger, caches: Path, *, with_erased: bool = False) -> None:
        self._ledger = ledger
        self._caches = caches
        self._inside = AssetTables(ledger, with_erased=with_erased)
        self.assets = self._inside.assets

    def documents(self, document: str | None, path: str | None) -> Documents:
        """The documents that a person means, with those that say the same.

        Args:
            document: an id, or the beginning of one.
            path: where documents came from: a file, with all that is in it, or a record.

        Raises:
            UserError: there is none, it was erased already, or an id is not whole enough.
        """
        found = Documents({})
        for table in self._inside.tables(self._inside.named_in):
            records: Iterable[NamedRecord] = table.by_id(document) if document else table.by_path(path or "")
            for record in records:
                found.paths.setdefault(record.id, set()).add(record.path)
        if not found.paths:
            raise self._unknown(document, path)
        if document and len(found.paths) > 1:
            listed = [f"{id_} ({min(paths)})" for id_, paths in sorted(found.paths.items())[:_LISTED_AT_MOST]]
            raise UserError(
                f"{len(found.paths)} documents have ids that begin with {document}: {', '.join(listed)}",
                hint="give the whole id",
            )
        self._add_same_texts(found)
        return found

    def again(self, documents: Iterable[ErasedDocument]) -> Documents:
        """Documents of an erasure that is on record already, as far as they are still there."""
        found = Documents({document.id: set() for document in documents})
        self._read_texts(found, set(found.paths), self._inside.content)
        return found

    def locate(self, documents: Documents) -> Found:
        """Everything that holds some of them, and everything that was made from it."""
        found = Found()
        ids = documents.paths.keys()
        holding: dict[str, set[str]] = {}  # ids by asset: in its tables or its books
        clean: set[str] = set()
        for asset in self.assets.values():
            held, lost = self._held_by(asset, ids)
            holding[asset.digest] = held
            for name in lost:
                self._lose(found, asset, name)
            if held and any(file.digest in self._inside.gone for file in asset.files.values()):
                found.erased[asset.digest] = []  # an earlier erasure has taken them along
            elif not lost and (self._inside.content_files(asset) or _is_tokens(asset) or _is_index(asset)):
                clean.add(asset.digest)
        for asset in self.assets.values():
            if "listing.jsonl" in asset.files:
                for name, of_document in self._snapshot_files(asset, documents, holding).items():
                    self._lose(found, asset, f"files/{name}")
                    for id_ in of_document:
                        found.files.setdefault(id_, set()).add(asset.files[f"files/{name}"].digest)
        self._spread(found)
        found.tainted = self._ledger.made_from(found.erased, clean - found.erased.keys()) - found.erased.keys()
        self._find_quotations(found, documents)
        found.tainted -= found.erased.keys()
        return found

    def releases(self, marked: Iterable[str]) -> list[tuple[str, str]]:
        """The channels that point at some assets, as `name@channel` with the digest."""
        wanted = set(marked)
        return [
            (f"{release.name}@{channel}", digest)
            for release in self._ledger.releases.list()
            for channel, digest in release.channels.items()
            if digest in wanted
        ]

    def near(self, documents: Documents) -> dict[str, str]:
        """Documents that stay and are near-identical to one of them in a corpus: paths by id."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from loresmith.data.media import MEDIA_FILES
        from loresmith.data.open_tables import read_columns

        ids = pa.array(sorted(documents.paths), pa.string())
        found: dict[str, str] = {}
        for asset in self.assets.values():
            for name in self._inside.content_files(asset) if asset.kind == "corpus" else ():
                if fnmatch(name, MEDIA_FILES):  # pictures and recordings are compared with nothing
                    continue
                with self._inside.open(asset, name) as file:
                    table = read_columns(file, ["id", "path", "group"])
                groups = table.filter(pc.is_in(table["id"], value_set=ids))["group"].unique()
                alike = table.filter(pc.is_in(table["group"], value_set=groups))
                for row in alike.select(["id", "path"]).to_pylist():
                    if row["id"] not in documents.paths:
                        found[row["id"]] = row["path"]
        return found

    def _add_same_texts(self, found: Documents) -> None:
        """Add what says just the same under other names, in turn, until there is no more of it."""
        from loresmith.data.document_row import text_digest

        asked, new = set(found.paths), set(found.paths)
        while new:
            known = set().union(*found.texts.values())
            self._read_texts(found, new, self._inside.read)
            for remembered in self._remembered():
                if remembered.id in new and remembered.text:
                    found.words.append(remembered.text)
                    found.texts.setdefault(remembered.id, set()).add(text_digest(remembered.text))
            digests = set().union(*found.texts.values()) - known
            new = set()
            if not digests:
                break
            for table in self._inside.tables(self._inside.read):
                new |= table.ids_of_texts(digests) - found.paths.keys()
            for remembered in self._remembered():
                if remembered.id not in found.paths and text_digest(remembered.text) in digests:
                    new.add(remembered.id)
            for id_ in new:
                found.paths[id_] = set()
        unnamed = {id_ for id_, paths in found.paths.items() if not paths}
        for table in self._inside.tables(self._inside.named_in) if unnamed else ():
            for record in table.records():
                if record.id in unnamed:
                    found.paths[record.id].add(record.path)
        found.same_text = found.paths.keys() - asked
        said = {path for id_ in found.texts for path in found.paths[id_]}
        found.silent = {
            id_
            for id_ in found.paths.keys() - found.texts.keys()
            if not any(other.startswith((f"{path}!/", f"{path}#")) for path in found.paths[id_] for other in said)
        }
        # As curation left them, for who quotes them: masked, or without what repeats.
        self._read_texts(Documents({}, words=found.words), set(found.paths), self._inside.curated)

    def _read_texts(self, found: Documents, ids: set[str], files: Files) -> None:
        for table in self._inside.tables(files):
            if table.has_texts:
                for record in table.texts(ids):
                    found.words.append(record.text)
                    if record.digest:
                        found.texts.setdefault(record.id, set()).add(record.digest)

    def _remembered(self) -> Iterator[RememberedText]:
        """What is remembered of the files of snapshots, of those whose tables an erasure has taken."""
        from loresmith.data.erasure.remembered_texts import remembered_texts
        from loresmith.data.erasure.source_files import listed_files

        for asset in self.assets.values():
            if "listing.jsonl" not in asset.files:
                continue
            siblings = {other for made in self._ledger.makers(asset.digest).values() for other in made.values()}
            if any(file.digest in self._inside.gone for each in siblings for file in self.assets[each].files.values()):
                with self._inside.open(asset, "listing.jsonl") as listing:
                    files = listed_files(listing)
                for name, sha256 in files.items():
                    yield from remembered_texts(self._caches, sha256, name)

    def _held_by(self, asset: Asset, ids: Collection[str]) -> tuple[set[str], list[str]]:
        """Which of the ids an asset has in tables and books, and the files of it that hold more than their names."""
        held, lost = set[str](), []
        content = self._inside.content_files(asset)
        for name in self._inside.table_files(asset):
            with self._inside.open(asset, name) as file:
                inside = self._inside.table(file, asset, name).holds(ids)
            held |= inside
            if inside and name in content:
                lost.append(name)
        if _is_tokens(asset) and self._inside.is_there(asset, "index.json"):
            from loresmith.data.erasure.token_spans import shards_with

            lost += sorted(shards_with(ids, lambda name: self._inside.open(asset, name)))
        if _is_index(asset):
            from loresmith.serving.retrieval.erasure import files_with

            there = [name for name in asset.files if self._inside.is_there(asset, name)]
            lost += sorted(files_with(ids, there, lambda name: self._inside.open(asset, name)))
        return held, lost

    def _snapshot_files(
        self, asset: Asset, documents: Documents, holding: Mapping[str, set[str]]
    ) -> dict[str, set[str]]:
        """The files of a snapshot that documents were read from; for each the documents, if it holds nothing else."""
        from loresmith.data.document_row import document_id
        from loresmith.data.erasure.source_files import file_of, listed_files

        with self._inside.open(asset, "listing.jsonl") as listing:
            files = listed_files(listing)
        siblings = {other for made in self._ledger.makers(asset.digest).values() for other in made.values()}
        read_with = set().union(*(holding.get(sibling, set()) for sibling in siblings))
        found: dict[str, set[str]] = {}
        for id_, paths in documents.paths.items():
            for path in paths:
                name = file_of(path, files)
                if name is None and id_ in read_with and len(files) == 1:
                    name = next(iter(files))  # the rows of a query
                if name is not None and (id_ in read_with or document_id(path, files[name]) == id_):
                    found.setdefault(name, set()).add(id_)
        if not found:
            return {}
        others = set()
        for sibling in siblings:
            other = self.assets[sibling]
            for table_name in self._inside.table_files(other):
                with self._inside.open(other, table_name) as file:
                    for record in self._inside.table(file, other, table_name).records():
                        if record.id not in documents.paths and (name := file_of(record.path, files)) in found:
                            others.add(name)
        return {name: set() if name in others else ids for name, ids in found.items()}

    def _find_quotations(self, found: Found, documents: Documents) -> None:
        """Reports that quote them lose what quotes them."""
        from loresmith.data.erasure.quotes import Quotes

        quotes = Quotes(documents.words)
        for digest in sorted(found.tainted) if quotes else ():
            asset = self.assets[digest]
            for name in asset.files if asset.kind == "report" else ():
                if name.endswith(_TEXT_FILES) and self._inside.is_there(asset, name):
                    with self._inside.open(asset, name) as file:
                        if quotes.are_in(file.read().decode("utf-8", "replace")):
                            self._lose(found, asset, name)
        self._spread(found)

    def _lose(self, found: Found, asset: Asset, name: str) -> None:
        """A file without bytes is everybody's, and says nothing."""
        file = asset.files.get(name)
        if file is None or not file.size:
            return
        if file.digest in self._inside.gone:
            found.erased.setdefault(asset.digest, [])
        else:
            found.blobs[file.digest] = file.size

    def _spread(self, found: Found) -> None:
        """Whatever has the same bytes loses them too."""
        for asset in self.assets.values():
            lost = [name for name, file in asset.files.items() if file.digest in found.blobs]
            if lost:
                found.erased[asset.digest] = lost

    def _unknown(self, document: str | None, path: str | None) -> UserError:
        if document in self._ledger.erasures.known():
            return UserError(f"the document {document} was erased already", hint="`loresmith data erasures` lists them")
        ids, paths = set[str](), set[str]()
        for table in self._inside.tables(self._inside.named_in):
            for record in table.records():
                if len(paths) >= _NEAREST_OF:
                    break
                ids.add(record.id)
                paths.add(record.path)
        known = ids if document else paths
        said = unknown_name("document" if document else "path", document or path or "", known)
        return UserError(said, hint="`loresmith data show ASSET` lists the documents of an asset")


def _is_tokens(asset: Asset) -> bool:
    return asset.kind == "tokens" and "index.json" in asset.files


def _is_index(asset: Asset) -> bool:
    return asset.kind == "index" and any(name.endswith("/passages.parquet") for name in asset.files)
