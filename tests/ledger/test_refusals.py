"""When the disk or the database refuses, one clear message says so, and what was there stays as it was."""

from __future__ import annotations

import os
import select
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sql

from loresmith.errors import Failure, LoresmithError, UserError
from loresmith.ledger import Ledger
from loresmith.ledger.database import Database
from loresmith.ledger.schema import LOG_HEAD
from tests.ledger.disks import powerless, small_disk
from tests.ledger.places import AT, Place, add_asset, furnish
from tests.ledger.postgres import PostgresServer, plain_engine
from tests.ledger.processes import Child, in_child

MEGABYTE = b"x" * (1 << 20)
REPLACED = r"ledger\.db: .*replaced or removed while it was open"


def fill(ledger: Ledger, place: Place, text: bytes) -> Failure:
    """Add assets until that fails."""
    for number in range(100):
        directory = place.files(f"fill-{number}", {"data": text + str(number).encode()})
        try:
            ledger.assets.add("source", directory, {"text": "y" * 20_000})
        except Failure as failure:
            return failure
    raise AssertionError("the disk was never full")


def test_a_full_disk_of_blobs_harms_nothing(place: Place, tmp_path: Path) -> None:
    def work() -> str:
        disk = tmp_path / "disk"
        disk.mkdir()
        small_disk(disk, 4)
        with place.open(blobs=disk / "blobs") as ledger:
            # Where no disk can be mounted, the limit is on each file.
            said = fill(ledger, place, MEGABYTE * 5 if not os.path.ismount(disk) else MEGABYTE)
            assert ledger.log.verify().problems == ()
            assert all(ledger.assets.verify(asset.digest).problems == () for asset in ledger.assets.list())
            assert list((disk / "blobs" / "incoming").iterdir()) == []
            add_asset(ledger, place, "a small one still fits")
            return str(said)

    said = in_child(work)
    assert "the disk is full" in said or "File too large" in said


def test_a_full_disk_of_the_database_harms_nothing(tmp_path: Path) -> None:
    def work() -> str:
        disk = tmp_path / "disk"
        disk.mkdir()
        small_disk(disk, 2)
        place = Place(tmp_path, f"sqlite:///{disk}/ledger.db")
        with place.open(create=True) as ledger:
            kept = add_asset(ledger, place, "before")
            said = fill(ledger, place, b"x")
            assert ledger.log.verify().problems == ()
            count = len(ledger.assets.list())
        if os.path.ismount(disk):
            assert Path(disk, "ledger.db").exists()
        with place.open() as ledger:
            assert ledger.log.verify().problems == ()
            assert len(ledger.assets.list()) == count
            assert ledger.assets.get(kept.digest) == kept
        return str(said)

    said = in_child(work)
    assert "the disk is full" in said or "cannot be used" in said


@pytest.fixture
def read_only() -> Iterator[Place]:
    """A workspace with something in it that may be read and not written, in a folder that everybody can reach."""
    folder = Path(tempfile.mkdtemp(prefix="loresmith-"))
    place = Place(folder)
    with place.open(create=True) as ledger:
        furnish(ledger, place)
        newest = ledger.assets.list()[0].digest
        ledger.assets.directory(newest)
        ledger.releases.promote("acme", newest, "production", "to have something to go back from")
    seal(folder)
    yield place
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def seal(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_read_only_workspace_can_be_read_and_says_that_it_cannot_be_written(read_only: Place) -> None:
    def work() -> list[str]:
        powerless()
        with read_only.open() as ledger:
            newest = ledger.assets.list()[0]
            assert ledger.log.verify().problems == ()
            assert ledger.assets.verify(newest.digest).problems == ()
            assert ledger.assets.find("acme").digest == ledger.releases.target("acme", "production")
            assert ledger.lineage(newest.digest).nodes
            assert (ledger.assets.directory(newest.digest) / "text.txt").exists()
            run = ledger.runs.list()[0]
            assert ledger.runs.events(run.id)
            assert ledger.claims.holder("0" * 64) is None
            writes: list[Callable[[], object]] = [
                lambda: ledger.runs.start("0" * 64, "demo", {}),
                lambda: ledger.runs.event(run.id, "failed"),
                lambda: ledger.runs.beat(run.id),
                lambda: ledger.claims.acquire("0" * 64, run.id),
                lambda: ledger.releases.promote("acme", newest.digest, "production", "because"),
                lambda: ledger.releases.rollback("acme"),
                lambda: ledger.blobs.put_bytes(b"new"),
                lambda: ledger.assets.directory(ledger.assets.list()[1].digest),
            ]
            said = []
            for write in writes:
                with pytest.raises(LoresmithError) as caught:
                    write()
                said.append(str(caught.value))
            return said

    before = {path: path.stat().st_mtime_ns for path in read_only.folder.rglob("*")}
    said = in_child(work)
    assert all("read-only" in words or "permission denied" in words for words in said)
    assert {path: path.stat().st_mtime_ns for path in read_only.folder.rglob("*")} == before


def test_a_read_only_workspace_whose_last_writer_was_killed_is_read_to_its_last_word(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="loresmith-"))
    try:
        place = Place(folder)
        place.open(create=True).close()

        def write_and_die() -> None:
            ledger = place.open()
            add_asset(ledger, place, "the last word")
            os.kill(os.getpid(), 9)

        Child(write_and_die)._process.join()
        assert (folder / "ledger.db-wal").stat().st_size > 0
        seal(folder)

        def read() -> int:
            powerless()
            with place.open() as ledger:
                assert ledger.log.verify().problems == ()
                return len(ledger.assets.list())

        assert in_child(read) == 1
    finally:
        folder.chmod(0o755)
        for path in folder.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
        shutil.rmtree(folder)


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (tmp_path / "ledger.db").write_bytes(b"what" * 1000)
    for create in (False, True):
        with pytest.raises(Failure, match=r"ledger\.db: the ledger is damaged"):
            place.open(create=create)
    assert (tmp_path / "ledger.db").read_bytes() == b"what" * 1000


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.open(create=True) as ledger:
        furnish(ledger, place)
    whole = (tmp_path / "ledger.db").read_bytes()
    page = 4096
    for keep in (page, 3 * page + 100):
        (tmp_path / "ledger.db").write_bytes(whole[:keep] + b"\xff" * (len(whole) - keep))
        with pytest.raises(Failure, match="the ledger is damaged"):
            use(place)


def test_a_ledger_that_is_replaced_while_it_is_open_is_used_no_more(tmp_path: Path) -> None:
    """What others write into the new file would not be seen, and what goes into the old one is lost."""
    place = Place(tmp_path)
    file, aside = tmp_path / "ledger.db", tmp_path / "aside.db"
    with place.open(create=True) as ledger:
        furnish(ledger, place)
        for replace in (lambda: None, lambda: shutil.copy(aside, file)):
            file.rename(aside)
            replace()
            for use_it in (ledger.credentials.version, lambda: ledger.audit_records.note("something", "else")):
                with pytest.raises(Failure, match=REPLACED):
                    use_it()
            aside.rename(file)
            ledger.audit_records.note("something", "else")
        assert ledger.log.verify().first_bad is None


def test_a_ledger_that_was_away_for_a_while_is_used_again(tmp_path: Path) -> None:
    """Whoever asks meanwhile makes no file in its place."""
    place = Place(tmp_path)
    file, aside = tmp_path / "ledger.db", tmp_path / "aside.db"
    with place.open(create=True) as ledger:
        furnish(ledger, place)
    with closing(Database(place.database)) as database:
        with database.read():  # so that those who ask now need another connection
            file.rename(aside)
            for _ in range(3):
                with pytest.raises(Failure, match=REPLACED), database.read():
                    pass
                assert not file.exists()
            aside.rename(file)
        with database.read() as one, database.read() as another, database.write_aside() as writer:
            assert all(size(connection) for connection in (one, another, writer))


def test_a_connection_to_a_file_that_lay_in_the_ledgers_place_is_not_kept(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file, aside = tmp_path / "ledger.db", tmp_path / "aside.db"
    with place.open(create=True) as ledger:
        furnish(ledger, place)
    with closing(Database(place.database)) as database:

        def replaced(*_: object) -> None:
            file.rename(aside)
            file.touch()

        with database.read():
            sql.event.listen(database.engine, "do_connect", replaced, once=True)
            with pytest.raises(Failure, match=REPLACED), database.read():
                pass
            aside.rename(file)
        with database.read() as one, database.read() as another:
            assert size(one)
            assert size(another)


def size(connection: sql.Connection) -> int:
    return int(connection.execute(sql.select(LOG_HEAD.c.size)).scalar_one())


def test_what_the_system_says_of_a_ledgers_file_is_told_in_our_words(tmp_path: Path) -> None:
    folder, aside = tmp_path / "folder", tmp_path / "aside"
    folder.mkdir()
    place = Place(folder)
    file = folder / "ledger.db"
    with place.open(create=True) as ledger:
        furnish(ledger, place)
        folder.rename(aside)
        folder.write_text("a file where the folder was")
        with pytest.raises(Failure, match=REPLACED):
            ledger.credentials.version()
        folder.unlink()
        folder.mkdir()
        file.symlink_to(file)
        with pytest.raises(Failure, match=r"(?i)ledger\.db: .*symbolic links"):
            ledger.credentials.version()


def use(place: Place) -> None:
    with place.open() as ledger:
        ledger.log.verify()
        add_asset(ledger, place, "more")


def test_a_ledger_that_stays_locked_is_named_and_can_still_be_read(place: Place) -> None:
    with place.open() as ledger:
        add_asset(ledger, place, "before")
    mark = "&" if "?" in place.database else "?"
    impatient = Place(place.folder, f"{place.database}{mark}lock_wait=0.2")
    engine = plain_engine(place.database)
    with engine.connect() as somebody, impatient.open() as ledger:
        somebody.execute(sql.update(LOG_HEAD).values(size=LOG_HEAD.c.size))
        with pytest.raises(Failure, match="locked by another process"):
            add_asset(ledger, place, "more")
        assert len(ledger.assets.list()) == 1
        assert ledger.log.verify().problems == ()
        somebody.rollback()
        add_asset(ledger, place, "more")
    engine.dispose()


def test_a_postgresql_that_is_not_there_is_named(postgres: PostgresServer, tmp_path: Path) -> None:
    addresses = {
        "postgresql+pg8000://ada:secret@127.0.0.1:1/ledger": "cannot be reached",
        "postgresql://127.0.0.1:1/ledger": "cannot be reached",
        postgres.url("absent"): "there is no such database",
        postgres.url("postgres").replace("postgres@", "nobody@"): "refuses the user",
        f"postgresql+pg8000://postgres@/x?unix_sock={tmp_path}/absent": "cannot be reached",
    }
    for address, said in addresses.items():
        with pytest.raises(Failure, match=said) as caught:
            Place(tmp_path, address).open()
        assert "secret" not in str(caught.value)


def test_a_connection_that_was_cut_is_made_again(postgres: PostgresServer, tmp_path: Path) -> None:
    place = Place(tmp_path, postgres.make_database())
    with place.open(create=True) as ledger:
        add_asset(ledger, place, "before")
        with place.behind_its_back() as connection:
            others = "pid <> pg_backend_pid() AND datname = current_database()"
            connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        add_asset(ledger, place, "after")
        assert len(ledger.assets.list()) == 2


class Relay:
    """Stands between a client and a server's socket, and resets what goes through it when told."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut = False
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        while True:
            for ready in select.select([client, server], [], [])[0]:
                said = ready.recv(1 << 16)
                if self.cut:
                    self.cut = False
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    said = b""
                if not said:
                    client.close()
                    server.close()
                    return
                other[ready].sendall(said)


def test_a_connection_that_was_reset_is_made_again(postgres: PostgresServer, tmp_path: Path) -> None:
    address = postgres.make_database()
    relay = Relay(address.partition("unix_sock=")[2])
    database = address.partition("?")[0].rpartition("/")[2]
    place = Place(tmp_path, f"postgresql+pg8000://postgres@127.0.0.1:{relay.port}/{database}")
    with place.open(create=True) as ledger:
        relay.cut = True
        add_asset(ledger, place, "after")
        assert len(ledger.assets.list()) == 1


def test_a_postgresql_that_may_only_be_read_is_read(postgres: PostgresServer, place: Place) -> None:
    if place.is_sqlite:
        return
    with place.open() as ledger:
        furnish(ledger, place)
    with place.behind_its_back() as connection:
        connection.exec_driver_sql("ALTER ROLE postgres SET default_transaction_read_only = on")
    try:
        with place.open() as ledger:
            assert ledger.log.verify().problems == ()
            with pytest.raises(Failure, match="read-only"):
                add_asset(ledger, place, "more")
    finally:
        engine = plain_engine(place.database)
        with engine.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ WRITE")
            connection.exec_driver_sql("ALTER ROLE postgres RESET default_transaction_read_only")
            connection.commit()
        engine.dispose()


def test_a_metric_that_is_no_number_is_refused_before_anything_is_written(ledger: Ledger, place: Place) -> None:
    run = ledger.runs.start("0" * 64, "demo", {})
    before = place.counts()
    with pytest.raises((TypeError, ValueError, UserError)):
        ledger.runs.add_metrics(run, "train", [("loss", 1.0, 0.0, AT), ("loss", "high", 1.0, AT)])  # type: ignore[list-item]
    assert place.counts() == before
