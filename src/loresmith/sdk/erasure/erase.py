"""Erasing documents: looked for, put on record, and only then removed."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import Failure, UserError
from loresmith.factory.run import CACHES
from loresmith.ledger import ErasedDocument, Erasure, Ledger
from loresmith.ledger.faults import file_faults
from loresmith.sdk.erasure.removal import LOCK, Removal, require_idle

if TYPE_CHECKING:
    from loresmith.data.erasure.quotes import Quotes
    from loresmith.ledger.erasures import Effect
    from loresmith.sdk.erasure.search import Documents, Found, Search


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ErasedLine(_Part):
    """A document that goes."""

    id: str
    paths: tuple[str, ...] = Field(description="Where it was read from.")
    why: Literal["asked for", "same text"] = Field(
        description="Whether it was named, or says the same as one that was."
    )


class NearLine(_Part):
    """A document that stays."""

    id: str
    path: str


class MarkedAsset(_Part):
    """An asset that the erasure touches."""

    digest: str
    kind: str
    made_by: str = Field(description="`recipe/step` that made it; empty for what was added by hand.")
    effect: Literal["erased", "tainted"]
    files: tuple[str, ...] = Field(description="The files that it loses; none for what is merely tainted.")


class MarkedRelease(_Part):
    """A channel that points at such an asset."""

    release: str = Field(description="`name@channel`.")
    digest: str
    effect: Literal["erased", "tainted"]


class ErasureReport(_Part):
    """What an erasure does, or has done."""

    erasure: str | None = Field(description="Its id on record; null where nothing was done.")
    dry_run: bool
    because: str
    documents: tuple[ErasedLine, ...] = Field(description="What goes.")
    silent: tuple[str, ...] = Field(
        description="Ids of documents whose text is not there any more, or never was: what says the same is not found."
    )
    near: tuple[NearLine, ...] = Field(description="Near-identical documents of a corpus, which stay.")
    assets: tuple[MarkedAsset, ...] = Field(description="What loses content, and what was made from it.")
    releases: tuple[MarkedRelease, ...]
    blobs: int = Field(description="How many blobs go, as a whole.")
    bytes: int = Field(description="How many bytes they have.")
    left: tuple[str, ...] = Field(description="Other files of the workspace that quote the documents; look at them.")


def erase(
    ledger: Ledger, state: Path, *, document: str | None, path: str | None, because: str, dry_run: bool
) -> ErasureReport:
    """Erase documents, or say what that would do.

    Args:
        state: the folder in which the workspace keeps its files.
        document: an id, or the beginning of one.
        path: where documents came from.

    Raises:
        UserError: there is no such document, a run is under way, or there is no reason.
        Failure: what is to be looked through is damaged or out of reach, or the workspace cannot be written.
    """
    from loresmith.data.erasure.quotes import Quotes

    search, documents, found = _looked_for(ledger, state, document, path)
    effects: dict[str, Effect] = {
        **dict.fromkeys(sorted(found.tainted), "tainted"),
        **dict.fromkeys(sorted(found.erased), "erased"),
    }
    report = _report(ledger, search, documents, found, effects, because)
    known = ledger.erasures.known()
    if not found.blobs and all(id_ in known for id_ in documents.paths):
        raise UserError(
            "this was erased already", where=document or path, hint="`loresmith data erasures` lists all erasures"
        )
    if dry_run:
        return report
    require_idle(state)
    said = [
        ErasedDocument(
            id=id_,
            texts=tuple(sorted(documents.texts.get(id_, ()))),
            files=tuple(sorted(found.files.get(id_, ()))),
        )
        for id_ in sorted(documents.paths)
    ]
    erasure = ledger.erasures.enter(because, said, found.blobs, effects)
    left = _remove(ledger, state, erasure, Quotes(documents.words))
    return report.model_copy(update={"erasure": erasure.id, "dry_run": False, "left": tuple(left)})


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Wait until no other process of this machine erases from this workspace, and keep others waiting meanwhile."""
    with file_faults(state), (state / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _looked_for(ledger: Ledger, state: Path, document: str | None, path: str | None) -> tuple[Search, Documents, Found]:
    from loresmith.sdk.erasure.search import Search

    while True:
        erasures = len(ledger.erasures.list())
        try:
            search = Search(ledger, state / CACHES)
            documents = search.documents(document, path)
            return search, documents, search.locate(documents)
        except Failure:
            if len(ledger.erasures.list()) == erasures:
                raise
            # Somebody on another machine has erased what this one was looking through: it is looked at again.


def finish(ledger: Ledger, state: Path) -> list[Erasure]:
    """Finish what an erasure left undone that was killed, and remove again what came back from a backup.

    Returns:
        The erasures of which something was still to do.
    """
    from loresmith.data.erasure.quotes import Quotes
    from loresmith.sdk.erasure.search import Search

    done = []
    tombstones = ledger.erasures.tombstones()
    back = {stone.erasure for blob, stone in tombstones.items() if ledger.blobs.exists(blob)}
    for erasure in ledger.erasures.list():
        if erasure.done_at is None or erasure.id in back:
            require_idle(state)
            documents = Search(ledger, state / CACHES, with_erased=True).again(erasure.documents)
            _remove(ledger, state, erasure, Quotes(documents.words))
            done.append(erasure)
    return done


def _remove(ledger: Ledger, state: Path, erasure: Erasure, quotes: Quotes) -> list[str]:
    marked = {asset for asset, marks in ledger.erasures.marks().items() if any(m.erasure == erasure.id for m in marks)}
    blobs = {*ledger.erasures.tombstones(erasure.id), *(sha for each in erasure.documents for sha in each.files)}
    texts = {text for each in erasure.documents for text in each.texts}
    return Removal(ledger, state, marked, blobs, texts, quotes).carry_out(erasure)


def _report(
    ledger: Ledger,
    search: Search,
    documents: Documents,
    found: Found,
    effects: dict[str, Effect],
    because: str,
) -> ErasureReport:
    return ErasureReport(
        erasure=None,
        dry_run=True,
        because=because,
        documents=tuple(
            ErasedLine(
                id=id_, paths=tuple(sorted(paths)), why="same text" if id_ in documents.same_text else "asked for"
            )
            for id_, paths in sorted(documents.paths.items(), key=lambda item: sorted(item[1]))
        ),
        silent=tuple(sorted(documents.silent)),
        near=tuple(NearLine(id=id_, path=path) for id_, path in sorted(search.near(documents).items())),
        assets=tuple(
            MarkedAsset(
                digest=digest,
                kind=asset.kind,
                made_by=_maker(ledger, digest),
                effect=effects[digest],
                files=tuple(found.erased.get(digest, ())),
            )
            for digest, asset in search.assets.items()
            if digest in effects
        ),
        releases=tuple(
            MarkedRelease(release=name, digest=digest, effect=effects[digest])
            for name, digest in search.releases(effects)
        ),
        blobs=len(found.blobs),
        bytes=sum(found.blobs.values()),
        left=(),
    )


def _maker(ledger: Ledger, digest: str) -> str:
    actions = (ledger.actions.find(key) for key in ledger.makers(digest))
    first: Iterable[str] = sorted(f"{action.recipe}/{action.name}" for action in actions if action is not None)
    return next(iter(first), "")
