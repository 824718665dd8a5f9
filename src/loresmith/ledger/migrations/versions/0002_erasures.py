"""Erasures: which documents were taken out, which blobs are gone for it, and which assets are marked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0002"
down_revision = "0001"

# What may not be written twice, for SQLite's `INSERT OR REPLACE`, which deletes without asking a trigger.
APPEND_ONLY = {
    "erasure": ("id",),
    "tombstone": ("erasure", "blob"),
    "mark": ("erasure", "asset"),
    "erasure_end": ("erasure",),
}


def text(name: str, *constraints: SchemaItem, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *constraints, primary_key=primary_key, nullable=False)


def whole(name: str, *constraints: SchemaItem) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, *constraints, autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "erasure", text("id", primary_key=True), text("because"), text("documents"), text("actor"), text("at"), leaf()
    )
    op.create_table(
        "tombstone",
        text("erasure", sa.ForeignKey("erasure.id"), primary_key=True),
        text("blob", sa.ForeignKey("blob.digest"), primary_key=True),
        leaf(),
    )
    op.create_index("ix_tombstone_blob", "tombstone", ["blob"])
    op.create_table(
        "mark",
        text("erasure", sa.ForeignKey("erasure.id"), primary_key=True),
        text("asset", sa.ForeignKey("asset.digest"), primary_key=True),
        text("effect", sa.CheckConstraint("effect IN ('erased', 'tainted')")),
        leaf(),
    )
    op.create_index("ix_mark_asset", "mark", ["asset"])
    op.create_table(
        "erasure_end",
        text("erasure", sa.ForeignKey("erasure.id"), primary_key=True),
        whole("bytes"),
        text("at"),
        leaf(),
    )
    for table in APPEND_ONLY:
        op.create_index(f"ix_{table}_leaf", table, ["leaf"])
    if op.get_context().dialect.name == "postgresql":
        guard_postgresql()
    else:
        guard_sqlite()


def leaf() -> sa.Column[int]:
    return whole("leaf", sa.ForeignKey("log_leaf.index"))


def guard_sqlite() -> None:
    for table, key in APPEND_ONLY.items():
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        same = " AND ".join(f'"{column}" = NEW."{column}"' for column in key)
        op.execute(
            f"CREATE TRIGGER {table}_refuses_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        )


def guard_postgresql() -> None:
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger_refuses_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses_change()"
        )
