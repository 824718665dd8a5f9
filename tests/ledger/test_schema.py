"""A ledger is made by its migrations, opened by who knows its schema, and left alone by who does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from loresmith.errors import UserError
from loresmith.ledger import Ledger, migrations, schema
from tests.ledger.places import Place, add_asset
from tests.ledger.postgres import PostgresServer, plain_engine
from tests.ledger.processes import together


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place without a ledger."""
    if request.param == "sqlite":
        return Place(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Place(tmp_path, server.make_database())


def tables(place: Place) -> set[str]:
    engine = plain_engine(place.database)
    with engine.connect() as connection:
        found = set(sql.inspect(connection).get_table_names())
    engine.dispose()
    return found


def test_the_migrations_make_just_the_tables_that_the_code_knows(place: Place) -> None:
    engine = plain_engine(place.database)
    with engine.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.METADATA) == []
    engine.dispose()


def test_the_code_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.VERSION]


def test_a_ledger_is_made_only_when_asked_for(bare: Place) -> None:
    with pytest.raises(UserError, match="there is no ledger here"):
        bare.open()
    assert not bare.is_sqlite or not (bare.folder / "ledger.db").exists()
    assert not bare.key_file.exists()
    bare.open(create=True).close()
    with bare.open(create=True) as ledger:
        digest = add_asset(ledger, bare, "text").digest
    with bare.open() as ledger:
        assert ledger.assets.get(digest).size == 4


def test_many_that_make_the_ledger_at_once_all_get_the_same(bare: Place) -> None:
    def make(number: int) -> str:
        with bare.open(create=True) as ledger:
            return add_asset(ledger, bare, f"text {number}").digest

    made = together(make, [(number,) for number in range(4)])
    with bare.open() as ledger:
        assert {asset.digest for asset in ledger.assets.list()} == set(made)
        assert ledger.log.verify().problems == ()


@pytest.mark.parametrize("version", ["0004", "9999", "banana"])
def test_a_newer_workspace_is_left_alone(place: Place, version: str) -> None:
    with place.behind_its_back() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{version}'")
    before = place.counts()
    for create in (False, True):
        with pytest.raises(UserError, match=f"newer Loresmith: schema {version}, and this one knows 0003"):
            place.open(create=create)
    assert place.counts() == before


def test_a_database_of_something_else_is_left_alone(bare: Place) -> None:
    engine = plain_engine(bare.database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE invoices (id INTEGER)")
    engine.dispose()
    for create in (False, True):
        with pytest.raises(UserError, match="belongs to something else"):
            bare.open(create=create)
    assert tables(bare) == {"invoices"}


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("what is this", "not a database's address"),
        ("mysql://host/name", "SQLite or PostgreSQL, not in mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////tmp/x.db?lock_wait=soon", "not a database's address"),
        ("sqlite:////tmp/x.db?lock_weight=5", "did you mean 'lock_wait'"),
        ("postgresql://127.0.0.1/x?sslmode=require", "unknown setting 'sslmode'"),
        ("sqlite:////tmp", "a directory, not a ledger"),
        ("sqlite:////absent/folder/ledger.db", "there is no ledger here"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(tmp_path: Path, address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Place(tmp_path, address).open()


def test_opening_an_up_to_date_ledger_costs_no_migration_tool(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.open(create=True).close()
    script = f"""
import sys
from pathlib import Path
from loresmith.ledger import Ledger
folder = Path({str(tmp_path)!r})
Ledger.open(database={place.database!r}, blobs=folder / "blobs", views=folder / "views", key_file=folder / "key.pem",
            actor="ada@host").close()
print(*(name for name in ("alembic", "cryptography", "securesystemslib", "fsspec") if name in sys.modules))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_a_steps_books_cost_no_database() -> None:
    script = "import sys, loresmith.ledger.books; print('sqlalchemy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_a_closed_ledger_leaves_one_file(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.open(create=True) as ledger:
        add_asset(ledger, place, "text")
    assert [path.name for path in tmp_path.glob("ledger.db*")] == ["ledger.db"]


def test_everything_public_can_be_imported_from_the_package() -> None:
    import loresmith.ledger as package

    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert package.Ledger is Ledger
    with pytest.raises(AttributeError, match="Absent"):
        package.Absent  # noqa: B018
