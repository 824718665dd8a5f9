"""The tables of records in a workspace's assets, opened where their bytes lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from loresmith.ledger import Asset, Ledger

if TYPE_CHECKING:
    from loresmith.data.erasure.record_tables import RecordTable

_RECORDS = ("documents", "corpus", "dataset")
"""Kinds of assets whose tables have a row for each record."""

_READ = ("documents", "dataset")
"""Those of them with the texts as they were read, and not as curation left them."""

Files = list[tuple[Asset, str]]
"""Files of assets, by their names."""


class AssetTables:
    """The tables of all assets; a blob that several have is looked at once.

    Args:
        with_erased: whether to look, too, at blobs that were erased and are there all the same.
    """

    def __init__(self, ledger: Ledger, *, with_erased: bool = False) -> None:
        self._ledger = ledger
        erased = ledger.erasures.tombstones()
        self.gone = {blob for blob in erased if not (with_erased and ledger.blobs.exists(blob))}
        self.assets = {asset.digest: asset for asset in reversed(ledger.assets.list())}

    @cached_property
    def named_in(self) -> Files:
        """All tables in which records have names: books, too."""
        return self._files_of(_RECORDS, self.table_files)

    @cached_property
    def content(self) -> Files:
        """All tables with what records say."""
        return self._files_of(_RECORDS, self.content_files)

    @cached_property
    def read(self) -> Files:
        """Those with what records said when they were read; all, where there are none."""
        return self._files_of(_READ, self.content_files) or self.content

    @cached_property
    def curated(self) -> Files:
        """Those with what curation has made of them."""
        return self._files_of(("corpus",), self.content_files)

    def _files_of(self, kinds: tuple[str, ...], names: Callable[[Asset], list[str]]) -> Files:
        """Files of assets of some kinds, each once."""
        found: dict[str, tuple[Asset, str]] = {}
        for asset in self.assets.values():
            for name in names(asset) if asset.kind in kinds else ():
                found.setdefault(asset.files[name].digest, (asset, name))
        return list(found.values())

    def tables(self, files: Files) -> Iterator[RecordTable]:
        """Open one after the other. Raises Failure, naming it, for one that is damaged."""
        for asset, name in files:
            with self.open(asset, name) as file:
                table = self.table(file, asset, name)
                if table.names_records:
                    yield table

    def table_files(self, asset: Asset) -> list[str]:
        """The tables of an asset in which records have names."""
        if asset.kind not in _RECORDS:
            return []
        return [name for name in asset.files if self._kind_of(asset, name)]

    def content_files(self, asset: Asset) -> list[str]:
        """The tables of an asset that have what records say."""
        return [name for name in self.table_files(asset) if self._kind_of(asset, name) == "texts"]

    def _kind_of(self, asset: Asset, name: str) -> str:
        """`texts`, `names`, or nothing for what is no table of records."""
        digest = asset.files[name].digest
        if digest not in self._kinds:
            self._kinds[digest] = ""
            if name.endswith(".parquet") and self.is_there(asset, name):
                with self.open(asset, name) as file:
                    table = self.table(file, asset, name)
                    self._kinds[digest] = "texts" if table.has_texts else "names" if table.names_records else ""
        return self._kinds[digest]

    @cached_property
    def _kinds(self) -> dict[str, str]:
        return {}

    def is_there(self, asset: Asset, name: str) -> bool:
        """Whether an asset has such a file, and it was not erased."""
        file = asset.files.get(name)
        return file is not None and file.digest not in self.gone

    def open(self, asset: Asset, name: str) -> BinaryIO:
        """A file of an asset, for reading."""
        return self._ledger.blobs.open(asset.files[name].digest)

    def table(self, file: BinaryIO, asset: Asset, name: str) -> RecordTable:
        """An open file of an asset as a table. Raises Failure, naming it, for one that is damaged."""
        from loresmith.data.erasure.record_tables import RecordTable

        return RecordTable(file, f"asset {asset.digest[:12]}, {name}")
