"""The database itself refuses to change what was written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sql

from loresmith.ledger import Ledger
from loresmith.ledger.schema import APPEND_ONLY
from tests.ledger.places import Place, furnish
from tests.ledger.postgres import plain_engine


@pytest.fixture
def engine(ledger: Ledger, place: Place) -> sql.Engine:
    """A connection of somebody else to a ledger with rows in every table."""
    furnish(ledger, place)
    return plain_engine(place.database)


def test_update_delete_and_truncate_are_refused(engine: sql.Engine, place: Place) -> None:
    before = place.counts()
    for table in APPEND_ONLY:
        for attempt in attempts(table, on_sqlite=place.is_sqlite):
            with engine.connect() as connection, pytest.raises(sql.exc.DBAPIError, match=f"{table} is append-only"):
                connection.execute(attempt)
    assert place.counts() == before
    engine.dispose()


def attempts(table: sql.Table, *, on_sqlite: bool) -> Iterator[sql.Executable]:
    column = next(column for column in table.columns if isinstance(column.type, sql.Text))
    yield sql.update(table).values({column.name: "x"})
    yield sql.delete(table)
    yield sql.delete(table).where(column == sql.select(column).limit(1).scalar_subquery())
    if on_sqlite:
        row = sql.select(*table.columns).limit(1)
        yield sql.insert(table).prefix_with("OR REPLACE").from_select(list(table.columns), row)
    else:
        yield sql.text(f"TRUNCATE {table.name} CASCADE")
