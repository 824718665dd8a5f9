"""Removing what an erasure names from everything that a workspace keeps on disk: caches, work under way, logs, views
and blobs, in this order.

What is found by the text goes before the blobs that the text is in. So whoever is killed in between can do all of it
again, and finds what is left.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.factory.reproduction.scratch import discard_idle
from loresmith.factory.run import CACHES
from loresmith.ledger import Erasure, Ledger
from loresmith.ledger.faults import file_faults
from loresmith.sdk.erasure.asset_tables import AssetTables

if TYPE_CHECKING:
    from loresmith.data.erasure.quotes import Quotes

_REPRODUCTIONS = "reproductions"
_LOGS = "runs"
_WORK = "work"
_LEDGER = ("ledger.db", "ledger.db-wal", "ledger.db-shm")
LISTING = "listing.jsonl"
LOCK = "erasing.lock"
"""Held while something is erased."""

_LEFT_ALONE = {"blobs", "views", CACHES, _WORK, _LOGS, _REPRODUCTIONS, LOCK, *_LEDGER}
_MOST_BYTES = 64 << 20


class Removal:
    """What goes from a workspace's own folder.

    Args:
        state: the folder in which a workspace keeps its files.
        marked: the assets that the erasure marks.
        blobs: what it erases.
        texts: digests of what the documents say.
        quotes: what the documents say.
    """

    def __init__(
        self,
        ledger: Ledger,
        state: Path,
        marked: Collection[str],
        blobs: Collection[str],
        texts: Collection[str],
        quotes: Quotes,
    ) -> None:
        self._ledger = ledger
        self._state = state
        self._marked = frozenset(marked)
        self._blobs = frozenset(blobs)
        self._texts = frozenset(texts)
        self._quotes = quotes

    def carry_out(self, erasure: Erasure) -> list[str]:
        """Remove all of it, and put on record that it is gone; returns files that a person has to look at."""
        with file_faults(self._state):
            self._forget_extractions()
            self._remove_work()
            discard_idle(self._state / _REPRODUCTIONS)
            self._clean_logs()
            left = list(self._others())
        for asset in self._ledger.assets.list():
            if any(file.digest in self._blobs for file in asset.files.values()):
                self._ledger.assets.forget_view(asset.digest)
        self._ledger.erasures.end(erasure.id, self._ledger.blobs.erase(sorted(self._blobs)))
        return left

    def _forget_extractions(self) -> None:
        from loresmith.data.reading.memory import forget_everywhere

        forget_everywhere(self._state / CACHES, sorted(self._blobs), self._texts, self._files_of_snapshots())

    def _files_of_snapshots(self) -> set[str]:
        """The sha256 of all files that steps have read, less what was erased."""
        from loresmith.data.erasure.source_files import listed_files

        assets, found = AssetTables(self._ledger), set[str]()
        for asset in assets.assets.values():
            if assets.is_there(asset, LISTING):
                with assets.open(asset, LISTING) as listing:
                    found.update(listed_files(listing).values())
        return found - assets.gone

    def _remove_work(self) -> None:
        """What was left of steps that read the documents, or could have. They cannot go on anyway."""
        for work in _folders(self._state / _WORK):
            if self._ledger.claims.holder(work.name) is None and self._could_have_read(work):
                shutil.rmtree(work, ignore_errors=True)

    def _could_have_read(self, work: Path) -> bool:
        try:
            request = json.loads((work / "request.json").read_text(encoding="utf-8"))
            inputs = {given["digest"] for given in request["inputs"].values()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return True
        return not inputs or not inputs.isdisjoint(self._marked)

    def _clean_logs(self) -> None:
        """Lines that quote the documents go from the logs of runs; the others stay."""
        for log in (path for path in (self._state / _LOGS).rglob("*") if path.is_file() and self._quotes):
            text = log.read_text(encoding="utf-8", errors="surrogateescape")
            if not self._quotes.are_in(text):
                continue
            lines = [line for line in text.splitlines(keepends=True) if not self._quotes.have(line)]
            kept = "" if self._quotes.are_in("".join(lines)) else "".join(lines)  # broken in other places
            draft = log.with_name(f".{log.name}.new")
            draft.write_text(kept, encoding="utf-8", errors="surrogateescape")
            draft.replace(log)

    def _others(self) -> Iterator[str]:
        """Other files here that quote the documents: nobody knows what they are for."""
        for top in sorted(self._state.iterdir()) if self._quotes else ():
            if top.name in _LEFT_ALONE:
                continue
            for path in (top, *top.rglob("*")) if top.is_dir() else (top,):
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_BYTES:
                    with suppress(OSError):
                        if self._quotes.are_in(path.read_text(encoding="utf-8", errors="replace")):
                            yield str(path)


def require_idle(state: Path) -> None:
    """Raise UserError if a lineage is being reproduced: it writes again what is erased under it."""
    if busy := discard_idle(state / _REPRODUCTIONS, only_look=True):
        raise UserError(
            f"a reproduction is under way, in {busy[0]}", hint="wait until it has finished, or stop it, and try again"
        )


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
