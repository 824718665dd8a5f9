"""What the operating system and the database say when they refuse, in words that tell a person what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from loresmith.errors import Failure, os_failure


@contextmanager
def file_faults(where: object) -> Iterator[None]:
    """Turn an OSError of the block into the Failure that tells what the operating system refused."""
    try:
        yield
    except OSError as error:
        raise os_failure(error, where=str(where)) from error


@contextmanager
def database_faults(where: str) -> Iterator[None]:
    """Turn what the database driver raises in the block into a Failure that names the ledger."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise database_failure(error, where) from error


@contextmanager
def row_faults(where: str) -> Iterator[None]:
    """Turn a row that does not say what such a row says, in the block, into a Failure that tells how to find it."""
    try:
        yield
    except (ValueError, KeyError) as error:  # of JSON, and of Pydantic
        what = str(error).splitlines()[0]
        raise Failure(
            f"the ledger is damaged: a row cannot be read ({type(error).__name__}: {what})",
            where=where,
            hint="`loresmith ledger verify` names the row; restore the ledger from a backup",
        ) from error


def database_failure(error: sqlalchemy.exc.DBAPIError, where: str) -> Failure:
    """The Failure that says what a driver's error means."""
    sqlite = getattr(error.orig, "sqlite_errorname", None)
    if isinstance(sqlite, str):
        return _sqlite_failure(sqlite, error, where)
    said = _from_postgresql(error.orig)
    if said is not None:
        return _postgresql_failure(said.get("C", ""), said.get("M", ""), where)
    reason = error.orig.args[0] if error.orig is not None and error.orig.args else error
    return Failure(
        f"the database cannot be reached: {reason}", where=where, hint="is the server running, and the address right?"
    )


def _from_postgresql(error: BaseException | None) -> dict[str, str] | None:
    """The fields of the server's own error, if that is what it comes from.

    When a server refuses a connection, pg8000 tries to take leave of it, and the error of that hides the refusal.
    """
    while error is not None:
        if error.args and isinstance(error.args[0], dict):
            return error.args[0]
        error = error.__cause__ or error.__context__
    return None


def _sqlite_failure(name: str, error: sqlalchemy.exc.DBAPIError, where: str) -> Failure:
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Failure(
            "the ledger is locked by another process, and stayed so",
            where=where,
            hint="nothing was written; find the process that holds it, or try again",
        )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return Failure(
            f"the ledger is damaged: {error.orig}",
            where=where,
            hint="restore the file from a backup; blobs are not lost",
        )
    if name.startswith("SQLITE_FULL"):
        return Failure("the disk is full", where=where, hint="make room and start again; nothing was registered")
    if name.startswith("SQLITE_READONLY"):
        return Failure("the ledger cannot be written: it is read-only", where=where)
    if name.startswith("SQLITE_CANTOPEN"):
        return Failure(
            "the ledger cannot be opened",
            where=where,
            hint="check the folder's owner and mode, and that the disk is there",
        )
    return Failure(f"the ledger cannot be used: {error.orig}", where=where)


def _postgresql_failure(code: str, message: str, where: str) -> Failure:
    if code.startswith("28"):
        return Failure(
            f"the database refuses the user: {message}", where=where, hint="check user and password in the address"
        )
    if code == "3D000":
        return Failure(f"there is no such database: {message}", where=where, hint="create it, or correct the address")
    if code == "53100":
        return Failure(
            "the database's disk is full", where=where, hint="make room and start again; nothing was registered"
        )
    if code == "25006":
        return Failure("the ledger cannot be written: the database is read-only", where=where)
    if code == "55P03":
        return Failure(
            "the ledger is locked by another process, and stayed so", where=where, hint="nothing was written"
        )
    return Failure(f"the database refused: {message or code}", where=where)
