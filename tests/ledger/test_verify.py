"""Whatever somebody changes in the database behind the ledger's back is found, and the first bad leaf is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sql

from loresmith.errors import Failure
from loresmith.ledger import Ledger, LogCheck, merkle
from loresmith.ledger.database import Database
from loresmith.ledger.log import Log
from loresmith.ledger.schema import DESCRIBED, LOG_HEAD, LOG_LEAF, RELEASE_CHANNEL, RUN_EVENT
from tests.ledger.places import AT, Place, add_asset, furnish

OTHERS = {
    "input": "output",
    "output": "input",
    "promote": "rollback",
    "rollback": "promote",
    "erased": "tainted",
    "tainted": "erased",
    "intent": "outcome",
    "outcome": "intent",
    "created": "revoked",
    "rotated": "created",
    "made": "destroyed",
    "destroyed": "made",
}


@pytest.fixture
def furnished(ledger: Ledger, place: Place) -> Ledger:
    furnish(ledger, place)
    assert ledger.log.verify().problems == ()
    return ledger


@contextmanager
def undone(connection: sql.Connection, table: sql.Table, row: sql.Row[Any]) -> Iterator[None]:
    """Puts a row back as it was."""
    yield
    connection.execute(sql.delete(table).where(same(table, row)))
    connection.execute(sql.insert(table).values(row._mapping))
    connection.commit()


def same(table: sql.Table, row: sql.Row[Any]) -> sql.ColumnElement[bool]:
    return sql.and_(*(column == row._mapping[column] for column in table.primary_key))


@contextmanager
def restored(place: Place) -> Iterator[sql.Connection]:
    """Behind the ledger's back; in the end the log is put back as it was."""
    with place.behind_its_back() as connection:
        kept = {table: connection.execute(sql.select(table)).mappings().all() for table in (LOG_LEAF, LOG_HEAD)}
        yield connection
        for table, rows in kept.items():
            connection.execute(sql.delete(table))
            connection.execute(sql.insert(table), [dict(row) for row in rows])


def another(column: sql.Column[Any], value: Any) -> Any:
    """A value that the column allows and that is not this one."""
    if value in OTHERS:
        return OTHERS[value]
    if isinstance(column.type, sql.Boolean):
        return not value
    if isinstance(column.type, sql.Text):
        return f"{value or ''}x"
    if isinstance(column.type, sql.LargeBinary):
        return bytes([value[0] ^ 1]) + value[1:]
    return (value or 0) + 1


def test_an_honest_ledger_has_no_problems(furnished: Ledger) -> None:
    head = furnished.log.head()
    assert furnished.log.verify() == LogCheck(size=head.size, root=head.root, problems=(), first_bad=None)


def test_an_altered_cell_of_any_row_is_found(furnished: Ledger, place: Place) -> None:
    # With another key it is another row: that one is missing, and this one was added (below).
    cells = [(table, cell) for table in DESCRIBED for cell in table.columns if not cell.primary_key]
    with place.behind_its_back() as connection:
        for table, cell in cells:
            row = connection.execute(sql.select(table).order_by(table.c.leaf.desc()).limit(1)).one()
            with undone(connection, table, row):
                changed = {cell.name: another(cell, row._mapping[cell])}
                connection.execute(sql.update(table).where(same(table, row)).values(changed))
                connection.commit()
                check = furnished.log.verify()
                assert check.first_bad == row.leaf, (table.name, cell.name)
                assert table.name in check.problems[0]
    assert furnished.log.verify().problems == ()


def test_a_missing_row_is_found(furnished: Ledger, place: Place) -> None:
    with place.behind_its_back() as connection:
        for table in DESCRIBED:
            row = connection.execute(sql.select(table).order_by(table.c.leaf).limit(1)).one()
            with undone(connection, table, row):
                connection.execute(sql.delete(table).where(same(table, row)))
                connection.commit()
                check = furnished.log.verify()
                assert check.first_bad == row.leaf
                assert table.name in check.problems[0]


def test_a_row_that_no_leaf_describes_is_found(furnished: Ledger, place: Place) -> None:
    size = furnished.log.head().size
    with place.behind_its_back() as connection:
        for table, leaf in product(DESCRIBED, (3, size, size + 1_000_000, -1)):
            row = dict(connection.execute(sql.select(table).limit(1)).one()._mapping)
            keys = {column.name: another(column, row[column.name]) for column in table.primary_key}
            extra = {**row, **keys, "leaf": leaf}
            if table.c.leaf.primary_key and leaf == 3:
                extra |= {"ordinal": 99} if "ordinal" in row else {"leaf": size}
            connection.execute(sql.insert(table).values(extra))
            connection.commit()
            assert any(table.name in problem for problem in furnished.log.verify().problems)
            mine = sql.and_(*(column == extra[column.name] for column in table.primary_key))
            connection.execute(sql.delete(table).where(mine))
            connection.commit()
    assert furnished.log.verify().problems == ()


def test_an_altered_leaf_is_named(furnished: Ledger, place: Place) -> None:
    index = furnished.log.head().size // 2
    for column in ("kind", "key", "payload", "hash", "root"):
        with restored(place) as connection:
            text = connection.execute(sql.select(LOG_LEAF.c[column]).where(LOG_LEAF.c.index == index)).scalar_one()
            altered = f"{text} " if column == "payload" else ("b" if text[0] == "a" else "a") + text[1:]
            connection.execute(sql.update(LOG_LEAF).where(LOG_LEAF.c.index == index).values({column: altered}))
            connection.commit()
            assert furnished.log.verify().first_bad == index


def test_an_altered_payload_with_its_hash_recomputed_is_found(furnished: Ledger, place: Place) -> None:
    index = 3
    for rewrite_root in (False, True):
        with restored(place) as connection:
            leaves = connection.execute(sql.select(LOG_LEAF).order_by(LOG_LEAF.c.index)).all()
            # The time of the leaf itself, which no row has.
            payload = leaves[index].payload.replace('"at":"20', '"at":"19', 1)
            assert payload != leaves[index].payload
            hashes = [*(bytes.fromhex(leaf.hash) for leaf in leaves[:index]), merkle.leaf_hash(payload.encode())]
            changed = {"payload": payload, "hash": hashes[-1].hex()}
            if rewrite_root:
                changed["root"] = merkle.root_of(hashes).hex()
            connection.execute(sql.update(LOG_LEAF).where(LOG_LEAF.c.index == index).values(changed))
            connection.commit()
            # Who also rewrites the root after the leaf is caught by the next one.
            assert furnished.log.verify().first_bad == index + rewrite_root


def test_a_rewritten_log_is_found_by_an_older_head(furnished: Ledger, place: Place) -> None:
    kept = furnished.log.head()
    with place.behind_its_back() as connection:
        leaves = connection.execute(sql.select(LOG_LEAF).order_by(LOG_LEAF.c.index)).all()
        span = merkle.CompactRange()
        for number, leaf in enumerate(leaves):
            payload = leaf.payload.replace("ada@host", "eve@host")
            span.append(merkle.leaf_hash(payload.encode()))
            changed = {"payload": payload, "hash": merkle.leaf_hash(payload.encode()).hex(), "root": span.root().hex()}
            connection.execute(sql.update(LOG_LEAF).where(LOG_LEAF.c.index == number).values(changed))
    furnished.runs.start("0" * 64, "demo", {})
    assert furnished.log.consistency_proof(kept.size).old_root != kept.root


def test_a_deleted_leaf_is_named(furnished: Ledger, place: Place) -> None:
    size = furnished.log.head().size
    for index in (0, size // 2, size - 1):
        with restored(place) as connection:
            connection.execute(sql.delete(LOG_LEAF).where(LOG_LEAF.c.index == index))
            connection.commit()
            assert furnished.log.verify().first_bad == index


def test_an_added_leaf_is_named(furnished: Ledger, place: Place) -> None:
    size = furnished.log.head().size
    leaf = {"kind": "x", "key": "x", "payload": "{}", "hash": "x", "root": "x"}
    for index in (size, size + 10**12, -1):
        with restored(place) as connection:
            connection.execute(sql.insert(LOG_LEAF).values(index=index, **leaf))
            connection.commit()
            check = furnished.log.verify()
            assert check.problems
            assert check.first_bad == (size if index > 0 else None)


def test_two_leaves_in_each_others_place_are_found(furnished: Ledger, place: Place) -> None:
    with place.behind_its_back() as connection:
        for old, new in ((2, -1), (3, 2), (-1, 3)):
            connection.execute(sql.update(LOG_LEAF).where(LOG_LEAF.c.index == old).values(index=new))
    assert furnished.log.verify().first_bad == 2


def test_an_altered_head_is_found(furnished: Ledger, place: Place) -> None:
    changes: list[dict[str, Any]] = [{"size": 3}, {"size": 10**12}, {"root": "0" * 64}, {"peaks": "[]"}, {"peaks": "?"}]
    for changed in changes:
        with restored(place) as connection:
            connection.execute(sql.update(LOG_HEAD).values(changed))
            connection.commit()
            assert furnished.log.verify().problems


def test_nothing_is_written_on_a_damaged_head(furnished: Ledger, place: Place) -> None:
    before = place.counts()
    with place.behind_its_back() as connection:
        connection.execute(sql.update(LOG_HEAD).values(peaks="what"))
    with pytest.raises(Failure, match="head of the log is damaged"):
        add_asset(furnished, place, "more")
    assert place.counts() == before


def test_an_altered_channel_is_found(furnished: Ledger, place: Place) -> None:
    event = furnished.releases.history("acme")[-1]
    other = next(asset.digest for asset in furnished.assets.list() if asset.digest != event.asset)
    mine = (RELEASE_CHANNEL.c.name == "acme") & (RELEASE_CHANNEL.c.channel == "production")
    for change in (
        sql.update(RELEASE_CHANNEL).where(mine).values(asset=other),
        sql.delete(RELEASE_CHANNEL).where(mine),
    ):
        with place.behind_its_back() as connection:
            connection.execute(change)
        check = furnished.log.verify()
        assert check.first_bad == event.index
        assert "acme@production" in check.problems[0]


def test_an_invented_channel_is_found(furnished: Ledger, place: Place) -> None:
    with place.behind_its_back() as connection:
        made = {"name": "evil", "channel": "production", "event": 0}
        connection.execute(sql.insert(RELEASE_CHANNEL).values(**made, asset=furnished.assets.list()[0].digest))
    assert "evil@production" in furnished.log.verify().problems[0]


def test_a_long_log_is_read_in_pieces_and_its_one_bad_leaf_found(ledger: Ledger, place: Place) -> None:
    run = ledger.runs.start("0" * 64, "demo", {})
    database = Database(place.database)
    log = Log(database, "ada@host")
    with database.write() as connection:
        for number in range(600):
            event = {"run": run, "kind": "step-started", "step": f"step {number}", "data": "{}", "at": ""}
            log.append(connection, "run-step-started", run, {RUN_EVENT: [event]})
    database.close()
    assert ledger.log.verify().problems == ()
    with place.behind_its_back() as connection:
        connection.execute(sql.update(RUN_EVENT).where(RUN_EVENT.c.leaf == 513).values(at=AT))
    check = ledger.log.verify()
    assert (check.first_bad, len(check.problems)) == (513, 1)
