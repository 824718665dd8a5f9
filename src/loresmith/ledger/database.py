"""The database under a ledger: SQLite or PostgreSQL, and the transactions on it.

SQLite runs in write-ahead mode: readers see the last finished transaction and never wait, writers queue for the one
write lock. On PostgreSQL the same order is kept by a row lock on the head of the log.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sql
from sqlalchemy.engine import URL, Connection, Engine, make_url

from loresmith.errors import Failure, UserError
from loresmith.ledger import schema
from loresmith.ledger.faults import database_faults, file_faults, row_faults
from loresmith.nearest import unknown_name

LOCK_WAIT_SECONDS = 30.0
"""How long a writer waits for others; an address may say otherwise (`sqlite:////...?lock_wait=5`)."""

# Any number will do, as long as no other program takes the same one in the same database.
_MIGRATION_LOCK = 7_310_414_926


class Database:
    """One open database, at the schema that this Loresmith knows.

    Args:
        address: `sqlite:////absolute/path.db` or `postgresql+pg8000://user@host/name`.
        create: make the ledger where there is none; otherwise that is a UserError.
    """

    def __init__(self, address: str, *, create: bool = False) -> None:
        url, lock_wait = _parsed(address)
        self._lock_wait = lock_wait
        self.path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
        self.where = str(self.path) if self.path else url.render_as_string(hide_password=True)
        self.writable = True
        self._file: tuple[int, int] | None = None
        if self.path:
            self._prepare_file(self.path, create=create)
            self.engine = _sqlite_engine(url, self.path, lock_wait, writable=self.writable)
        else:
            self.engine = _postgresql_engine(url, lock_wait)
        try:
            self._bring_up_to_date(create=create)
            self._file = self._file_there()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the ledger throughout, and delays nobody."""
        with self._transaction("BEGIN") as connection:
            if not self.path:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            with row_faults(self.where):
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction in which nobody else adds to the log; all of it is kept, or none.

        Raises:
            Failure: the ledger is read-only, or stayed locked.
        """
        with self.write_aside() as connection:
            if not self.path:
                connection.execute(sql.select(schema.LOG_HEAD.c.size).with_for_update())
            yield connection

    @contextmanager
    def write_aside(self) -> Iterator[Connection]:
        """A transaction on the operational tables, which the log does not cover (claims, heartbeats)."""
        if not self.writable:
            raise Failure("the ledger cannot be written: it is read-only", where=self.where)
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        """A transaction on the file that was opened first, and on no other that lies at its path by now."""
        self._require_its_file()
        with (
            database_faults(self.where),
            self.engine.connect().execution_options(begin=begin) as connection,
            connection.begin(),
        ):
            try:
                self._require_its_file()
            except Failure:
                connection.invalidate()  # it may lead to another file, and the pool must not keep it
                raise
            yield connection

    def _file_there(self) -> tuple[int, int] | None:
        """Which file lies at the path; None of a server's database, and where there is none."""
        with file_faults(self.where):
            try:
                there = self.path.stat() if self.path else None
            except (FileNotFoundError, NotADirectoryError):
                return None
        return None if there is None else (there.st_dev, there.st_ino)

    def _require_its_file(self) -> None:
        """Refuse to go on with a file that was replaced: what others write into the new one would never be seen."""
        if self._file is not None and self._file_there() != self._file:
            raise Failure(
                "the ledger's file was replaced or removed while it was open",
                where=self.where,
                hint="put the file back that was there, or start again whatever has it open",
            )

    def _prepare_file(self, path: Path, *, create: bool) -> None:
        if not path.exists():
            if not create:
                raise UserError("there is no ledger here", where=str(path), hint="make one with `loresmith init`")
            with file_faults(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o644)
            return
        if path.is_dir():
            raise UserError("this is a directory, not a ledger", where=str(path))
        self.writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)

    def _bring_up_to_date(self, *, create: bool) -> None:
        with self.read() as connection:
            found = _version(connection)
            foreign = found is None and bool(sql.inspect(connection).get_table_names())
        if found == schema.VERSION:
            return
        if foreign:
            raise UserError("this database belongs to something else", where=self.where, hint="give the ledger its own")
        if found is None and not create:
            raise UserError("there is no ledger here", where=self.where, hint="make one with `loresmith init`")
        if found is not None and (not found.isdigit() or found > schema.VERSION):
            raise UserError(
                f"this workspace was made by a newer Loresmith: schema {found}, and this one knows {schema.VERSION}",
                where=self.where,
                hint="upgrade Loresmith",
            )
        self._migrate()

    def _write_ahead(self) -> None:
        """Put a SQLite file into write-ahead mode. This is remembered in the file, and not done in a transaction.

        SQLite does not wait here for others that do the same, so we do.
        """
        deadline = time.monotonic() + self._lock_wait
        with database_faults(self.where), self.engine.connect().execution_options(begin="") as connection:
            while True:
                try:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                except sql.exc.OperationalError as error:
                    busy = str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY")
                    if not busy or time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def _migrate(self) -> None:
        from loresmith.ledger.migrations import upgrade

        if self.path:
            self._write_ahead()
        with self.write_aside() as connection:
            if not self.path:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            if _version(connection) != schema.VERSION:
                upgrade(connection)


def _parsed(address: str) -> tuple[URL, float]:
    """The address without what is ours, and how many seconds to wait for a lock."""
    try:
        url = make_url(address)
        lock_wait = float(str(url.query.get("lock_wait", LOCK_WAIT_SECONDS)))
    except (sql.exc.ArgumentError, ValueError) as error:
        # The address itself is not repeated: there may be a password in it.
        raise UserError(
            f"this is not a database's address: {error}",
            hint="sqlite:////absolute/path.db or postgresql://user@host/name",
        ) from error
    url = url.difference_update_query(["lock_wait"])
    backend = url.get_backend_name()
    known = {"unix_sock"} if backend == "postgresql" else set()
    for setting in url.query.keys() - known:
        where = url.render_as_string(hide_password=True)
        raise UserError(unknown_name("setting", setting, {*known, "lock_wait"}, inside="the address"), where=where)
    if backend == "postgresql":
        # As PostgreSQL's own programs do, who names nobody is taken for the user of the machine.
        user = url.username or getpass.getuser()
        return url.set(drivername="postgresql+pg8000", username=user), lock_wait
    if backend != "sqlite":
        raise UserError(f"a ledger lives in SQLite or PostgreSQL, not in {backend}", where=url.render_as_string())
    if not url.database or url.database == ":memory:":
        raise UserError("the ledger needs a file", where=address, hint="sqlite:////absolute/path/ledger.db")
    return url, lock_wait


def _version(connection: Connection) -> str | None:
    """The ledger's schema version; None for a database without a ledger."""
    if not sql.inspect(connection).has_table(schema.VERSION_TABLE):
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalar()
    return None if found is None else str(found)


def _sqlite_engine(url: URL, path: Path, lock_wait: float, *, writable: bool) -> Engine:
    # A file that has gone is not made anew: an empty one would stand where the ledger has to be put back.
    query = {"mode": "rw", "uri": "true"}
    if not writable:
        # A ledger that was closed properly has no write-ahead file. SQLite would want to make one, and cannot here;
        # told that nothing can change, it does not.
        log = path.with_name(path.name + "-wal")
        settled = not (log.exists() and log.stat().st_size)
        query |= {"mode": "ro"} | ({"immutable": "1"} if settled else {})
    target = url.set(database="file:" + quote(str(path)), query={**url.query, **query})
    engine = sql.create_engine(target, connect_args={"timeout": lock_wait})

    @sql.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # The driver's own guesses about when a transaction starts are switched off: `begin` below decides.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")

    @sql.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if statement := connection.get_execution_options().get("begin", "BEGIN"):
            connection.exec_driver_sql(statement)

    return engine


def _postgresql_engine(url: URL, lock_wait: float) -> Engine:
    arguments: dict[str, Any] = {"startup_params": {"lock_timeout": str(round(lock_wait * 1000))}}
    if "unix_sock" in url.query:
        # There is no TLS on a socket of this machine, and preparing for it costs more than the rest of connecting.
        arguments["ssl_context"] = False
    try:
        engine = sql.create_engine(url, pool_pre_ping=True, connect_args=arguments)
    except ImportError as error:
        raise UserError("PostgreSQL needs the extra `postgres`", hint="pip install 'loresmith[postgres]'") from error
    _ping_cut_connections(engine)
    return engine


def _ping_cut_connections(engine: Engine) -> None:
    """Let a connection that was cut be told from one that lives, so that the pool makes a new one.

    pg8000 lets an error of the socket through as it is where a reset meets the first bytes of an answer, and SQLAlchemy
    asks errors of the driver only whether the connection is gone.
    """
    ping = engine.dialect.do_ping

    def ping_or_say_cut(connection: Any) -> bool:
        try:
            return ping(connection)
        except ConnectionError:
            return False

    engine.dialect.do_ping = ping_or_say_cut  # type: ignore[assignment, method-assign]
