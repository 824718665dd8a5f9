"""Ledgers on SQLite and on a real PostgreSQL: every test that asks for `place` or `ledger` runs on both."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from loresmith.ledger import Ledger
from loresmith.ledger.merkle import EMPTY_ROOT
from loresmith.ledger.schema import LOG_HEAD, METADATA, VERSION, VERSION_TABLE
from tests.ledger.places import Place
from tests.ledger.postgres import PostgresServer

MakePlace = Callable[[Path], Place]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="loresmith-pg-") as folder:
        server = PostgresServer(Path(folder))
        yield server
        server.stop()


@pytest.fixture(scope="session")
def shared_database(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a PostgreSQL database with a ledger that one test after the other empties and uses."""
    address = postgres.make_database()
    Place(tmp_path_factory.mktemp("shared"), address).open(create=True).close()
    return address


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with an empty ledger, from which others are copied: faster than making each."""
    folder = tmp_path_factory.mktemp("empty")
    Place(folder).open(create=True).close()
    return folder / "ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def make_place(request: pytest.FixtureRequest) -> MakePlace:
    """Makes a place in a folder, one after the other; whoever opens it first there must make the key (`create`)."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("empty_file")
        return lambda folder: copied(template, folder)
    address: str = request.getfixturevalue("shared_database")
    return lambda folder: emptied(Place(folder, address))


@pytest.fixture
def place(make_place: MakePlace, tmp_path: Path) -> Place:
    """A place with an empty ledger."""
    return made(make_place, tmp_path)


def copied(template: Path, folder: Path) -> Place:
    """A place in this folder with a copy of an SQLite file."""
    shutil.copy(template, folder / "ledger.db")
    return Place(folder)


def emptied(place: Place) -> Place:
    """The place without what another test left in its database; much faster than a new database."""
    with place.behind_its_back() as connection:
        for table in METADATA.tables.values():
            connection.execute(sql.delete(table))
        root, peaks = EMPTY_ROOT.hex(), "[]"
        connection.execute(sql.insert(LOG_HEAD).values(id=1, size=0, root=root, peaks=peaks))
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{VERSION}'")
    return place


def made(make_place: MakePlace, folder: Path) -> Place:
    """A place with an empty ledger in this folder."""
    place = make_place(folder)
    place.open(create=True).close()
    return place


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with place.open() as opened:
        yield opened
