"""The ledger: blobs, assets, runs, actions, receipts and releases under an append-only log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0001"
down_revision = None

EMPTY_ROOT = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# What may not be written twice, for SQLite's `INSERT OR REPLACE`, which deletes without asking a trigger.
APPEND_ONLY = {
    "log_leaf": ("index",),
    "blob": ("digest",),
    "asset": ("digest",),
    "run": ("id",),
    "run_event": ("leaf",),
    "metric": ("leaf", "ordinal"),
    "action": ("key",),
    "edge": ("action", "direction", "role"),
    "receipt": ("leaf", "ordinal"),
    "release_event": ("leaf",),
    "checkpoint": ("leaf",),
}


def text(name: str, *constraints: SchemaItem, primary_key: bool = False, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *constraints, primary_key=primary_key, nullable=nullable)


def whole(name: str, *constraints: SchemaItem, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, *constraints, primary_key=primary_key, autoincrement=False, nullable=False)


def leaf(*, primary_key: bool = False) -> sa.Column[int]:
    return whole("leaf", sa.ForeignKey("log_leaf.index"), primary_key=primary_key)


def upgrade() -> None:
    make_log()
    make_assets()
    make_runs()
    make_actions()
    make_releases()
    make_operational()
    if op.get_context().dialect.name == "postgresql":
        guard_postgresql()
    else:
        guard_sqlite()


def make_log() -> None:
    op.create_table(
        "log_leaf",
        whole("index", primary_key=True),
        text("kind"),
        text("key"),
        text("payload"),
        text("hash"),
        text("root"),
    )
    head = op.create_table(
        "log_head",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
        whole("size"),
        text("root"),
        text("peaks"),
    )
    op.bulk_insert(head, [{"id": 1, "size": 0, "root": EMPTY_ROOT, "peaks": "[]"}])


def make_assets() -> None:
    op.create_table("blob", text("digest", primary_key=True), whole("size"), leaf())
    op.create_index("ix_blob_leaf", "blob", ["leaf"])
    op.create_table(
        "asset",
        text("digest", primary_key=True),
        text("kind"),
        whole("size"),
        text("manifest"),
        text("created_at"),
        leaf(),
    )
    op.create_index("ix_asset_kind", "asset", ["kind"])
    op.create_index("ix_asset_leaf", "asset", ["leaf"])


def make_runs() -> None:
    op.create_table(
        "run",
        text("id", primary_key=True),
        text("plan_digest"),
        text("recipe"),
        text("plan"),
        text("host"),
        whole("pid"),
        text("process_started"),
        text("actor"),
        text("started_at"),
        leaf(),
    )
    op.create_index("ix_run_leaf", "run", ["leaf"])
    op.create_table(
        "run_event",
        leaf(primary_key=True),
        text("run", sa.ForeignKey("run.id")),
        text("kind"),
        text("step", nullable=True),
        text("data"),
        text("at"),
    )
    op.create_index("ix_run_event_run", "run_event", ["run"])
    op.create_table(
        "metric",
        leaf(primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        text("run", sa.ForeignKey("run.id")),
        text("step"),
        text("name"),
        sa.Column("value", sa.Float(53)),
        sa.Column("position", sa.Float(53), nullable=False),
        text("at"),
    )
    op.create_index("ix_metric_run", "metric", ["run"])


def make_actions() -> None:
    op.create_table(
        "action",
        text("key", primary_key=True),
        text("run", sa.ForeignKey("run.id")),
        text("name"),
        text("recipe"),
        text("step"),
        sa.Column("step_version", sa.Integer, nullable=False),
        text("config"),
        whole("seed"),
        text("environment"),
        text("host"),
        text("books"),
        sa.Column("seconds", sa.Float(53), nullable=False),
        whole("peak_bytes"),
        whole("output_bytes"),
        text("actor"),
        text("finished_at"),
        leaf(),
    )
    op.create_index("ix_action_run", "action", ["run"])
    op.create_index("ix_action_step", "action", ["step"])
    op.create_index("ix_action_leaf", "action", ["leaf"])
    op.create_table(
        "edge",
        text("action", sa.ForeignKey("action.key"), primary_key=True),
        text("direction", sa.CheckConstraint("direction IN ('input', 'output')"), primary_key=True),
        text("role", primary_key=True),
        text("asset", sa.ForeignKey("asset.digest")),
        leaf(),
    )
    op.create_index("ix_edge_asset", "edge", ["asset"])
    op.create_index("ix_edge_leaf", "edge", ["leaf"])
    op.create_table(
        "receipt",
        leaf(primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        text("subject", sa.ForeignKey("asset.digest")),
        text("kind"),
        sa.Column("passed", sa.Boolean, nullable=False),
        text("envelope"),
        text("at"),
    )
    op.create_index("ix_receipt_subject", "receipt", ["subject"])
    op.create_table(
        "checkpoint",
        leaf(primary_key=True),
        text("action_key"),
        text("run", sa.ForeignKey("run.id")),
        text("path"),
        text("digest"),
        sa.Column("position", sa.Float(53), nullable=False),
        whole("bytes"),
        text("at"),
    )
    op.create_index("ix_checkpoint_action_key", "checkpoint", ["action_key"])


def make_releases() -> None:
    op.create_table(
        "release_event",
        leaf(primary_key=True),
        text("name"),
        text("channel"),
        text("action", sa.CheckConstraint("action IN ('promote', 'rollback')")),
        text("asset", sa.ForeignKey("asset.digest")),
        text("previous", sa.ForeignKey("asset.digest"), nullable=True),
        text("reason"),
        text("actor"),
        text("at"),
    )
    op.create_index("ix_release_event_name", "release_event", ["name"])
    op.create_index("ix_release_event_asset", "release_event", ["asset"])
    op.create_table(
        "release_channel",
        text("name", primary_key=True),
        text("channel", primary_key=True),
        text("asset", sa.ForeignKey("asset.digest")),
        whole("event", sa.ForeignKey("release_event.leaf")),
    )
    op.create_index("ix_release_channel_asset", "release_channel", ["asset"])


def make_operational() -> None:
    op.create_table(
        "claim",
        text("action_key", primary_key=True),
        text("run", sa.ForeignKey("run.id")),
        text("at"),
    )
    op.create_table("heartbeat", text("run", sa.ForeignKey("run.id"), primary_key=True), text("at"))


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
    op.execute(
        "CREATE FUNCTION ledger_refuses_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_refuses_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION ledger_refuses_change()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_refuses_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses_change()"
        )
