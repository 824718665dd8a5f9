"""The ledger: what exists in a workspace and how it came to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from loresmith.errors import LoresmithError
from loresmith.ledger.actions import Actions
from loresmith.ledger.assets import Assets
from loresmith.ledger.audit_records import AuditRecords
from loresmith.ledger.blobs import BlobStore, open_blobs
from loresmith.ledger.checkpoints import Checkpoints
from loresmith.ledger.claims import Claims
from loresmith.ledger.credentials import Credentials
from loresmith.ledger.database import Database
from loresmith.ledger.digest import canonical_json
from loresmith.ledger.erasures import Erasures
from loresmith.ledger.feedback import FeedbackRecords
from loresmith.ledger.lineage import Lineage, lineage_of, made_from, makers_of
from loresmith.ledger.log import Head, Log
from loresmith.ledger.receipts import Receipts
from loresmith.ledger.releases import Releases
from loresmith.ledger.runs import Runs
from loresmith.ledger.signing import make_key, sign
from loresmith.ledger.tenant_keys import TenantKeys

SIGNED_HEAD = "application/vnd.loresmith.log-head+json"
"""The payload type of `Ledger.signed`."""


class Ledger:
    """One open ledger.

    Any number of processes and threads may use the same ledger at once. Each process opens its own: an open ledger does
    not survive a fork.

    Attributes:
        blobs: bytes by digest.
        assets: immutable directories of files.
        actions: what steps did.
        runs: executions of plans.
        claims: who is at work on what.
        checkpoints: states from which a step can go on.
        receipts: signed outcomes of checks.
        releases: names that point at assets.
        erasures: what was taken out for good.
        audit_records: what the gateway was asked, by whom, and what came of it.
        credentials: the keys of the gateway's callers.
        feedback: what callers said of responses.
        tenant_keys: when the keys that tenants' content is encrypted with were made and destroyed.
        log: the Merkle log of every change.
        path: the file that the database is; None where it is a server.
        writable: whether it can be written.
    """

    def __init__(self, database: Database, blobs: BlobStore, views: Path, key_file: Path, actor: str) -> None:
        self._database = database
        self._key_file = key_file
        self.path = database.path
        self.writable = database.writable
        self.blobs = blobs
        self.log = Log(database, actor)
        self.assets = Assets(database, self.log, blobs, views)
        self.receipts = Receipts(database, self.log, key_file, actor)
        self.actions = Actions(database, self.log, self.assets, self.receipts, actor)
        self.runs = Runs(database, self.log, actor)
        self.claims = Claims(database)
        self.checkpoints = Checkpoints(database, self.log)
        self.erasures = Erasures(database, self.log, actor)
        self.releases = Releases(database, self.log, self.assets, self.erasures, actor)
        self.audit_records = AuditRecords(database, self.log)
        self.credentials = Credentials(database, self.log, actor)
        self.feedback = FeedbackRecords(database, self.log)
        self.tenant_keys = TenantKeys(database, self.log, actor)

    @classmethod
    def open(
        cls, *, database: str, blobs: str | Path, views: Path, key_file: Path, actor: str, create: bool = False
    ) -> Ledger:
        """Open a ledger.

        Args:
            database: `sqlite:////absolute/path.db`, or `postgresql+pg8000://user@host/name` (the extra `postgres`).
            blobs: a folder, or an fsspec URL.
            views: a folder in which assets appear as directories, best on the file system of the blobs.
            key_file: the private key that signs receipts; the public one lies beside it.
            actor: who is on the record for what is done through this object, such as `ada@host`.
            create: make the ledger, and the key, where there is none.

        Raises:
            UserError: there is no ledger, it belongs to a newer Loresmith, or an address is wrong.
            Failure: the database is damaged, locked or out of reach.
        """
        store = open_blobs(blobs)
        opened = Database(database, create=create)
        if create:
            try:
                make_key(key_file)
            except LoresmithError:
                opened.close()
                raise
        return cls(opened, store, views, key_file, actor)

    def lineage(self, digest: str) -> Lineage:
        """All that an asset came from. Raises UserError if there is no such asset."""
        return lineage_of(self._database, self.assets.get(digest).digest, self.erasures.marks())

    def makers(self, digest: str) -> dict[str, dict[str, str]]:
        """What each action that made an asset made in all: digests by role, by the action's key."""
        return makers_of(self._database, digest)

    def made_from(self, digests: Iterable[str], apart: Collection[str] = ()) -> set[str]:
        """The assets that were made from these, in any number of steps; those `apart`, and what was made from them
        alone, are left out."""
        return made_from(self._database, digests, apart)

    def signed(self, head: Head) -> dict[str, Any]:
        """A state of the log, signed with this workspace's key: a DSSE envelope around it.

        Raises:
            Failure: there is no key to sign with.
        """
        return sign(canonical_json(head.model_dump()), SIGNED_HEAD, self._key_file)

    def close(self) -> None:
        """Let go of the database. The ledger must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
