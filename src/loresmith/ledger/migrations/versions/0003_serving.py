"""What the gateway writes: audit records, credentials, feedback, and the keys of tenants made and destroyed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0003"
down_revision = "0002"

# What may not be written twice, for SQLite's `INSERT OR REPLACE`, which deletes without asking a trigger.
APPEND_ONLY = {
    "audit_record": ("leaf",),
    "credential_event": ("leaf",),
    "feedback": ("id",),
    "tenant_key_event": ("leaf",),
}


def text(name: str, *constraints: SchemaItem, primary_key: bool = False, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, *constraints, primary_key=primary_key, nullable=nullable)


def leaf(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "leaf",
        sa.BigInteger,
        sa.ForeignKey("log_leaf.index"),
        primary_key=primary_key,
        autoincrement=False,
        nullable=False,
    )


def upgrade() -> None:
    op.create_table(
        "audit_record",
        leaf(primary_key=True),
        text("response"),
        text("phase", sa.CheckConstraint("phase IN ('intent', 'outcome')")),
        text("at"),
        text("tenant"),
        text("principal"),
        text("release"),
        text("facts"),
        sa.Column("content", sa.LargeBinary),
    )
    op.create_index("ix_audit_record_response", "audit_record", ["response"])
    op.create_index("ix_audit_record_at", "audit_record", ["at"])
    op.create_table(
        "credential_event",
        leaf(primary_key=True),
        text("key"),
        text("action", sa.CheckConstraint("action IN ('created', 'revoked', 'rotated')")),
        text("principal"),
        text("groups"),
        text("hash"),
        text("expires_at", nullable=True),
        text("previous_until", nullable=True),
        text("reason"),
        text("actor"),
        text("at"),
    )
    op.create_index("ix_credential_event_key", "credential_event", ["key"])
    op.create_table(
        "feedback",
        text("id", primary_key=True),
        text("response"),
        text("tenant"),
        text("principal"),
        text("facts"),
        sa.Column("content", sa.LargeBinary),
        text("at"),
        leaf(),
    )
    op.create_index("ix_feedback_response", "feedback", ["response"])
    op.create_index("ix_feedback_leaf", "feedback", ["leaf"])
    op.create_table(
        "tenant_key_event",
        leaf(primary_key=True),
        text("tenant"),
        text("key"),
        text("action", sa.CheckConstraint("action IN ('made', 'destroyed')")),
        text("reason"),
        text("actor"),
        text("at"),
    )
    op.create_index("ix_tenant_key_event_tenant", "tenant_key_event", ["tenant"])
    if op.get_context().dialect.name == "postgresql":
        guard_postgresql()
    else:
        guard_sqlite()


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
