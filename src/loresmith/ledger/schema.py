"""The ledger's tables.

Every row of an append-only table names, in `leaf`, the leaf of the log that describes it; `log.py` writes both in one
transaction and compares them again when the ledger is verified. Text columns that hold JSON hold its canonical form.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

VERSION = "0003"
"""The newest migration; what a ledger that this Loresmith writes to has to be at."""

VERSION_TABLE = "ledger_version"

METADATA = MetaData()


def _leaf(*, primary_key: bool = False) -> Column[int]:
    # Without `autoincrement=False` a first integer key would be numbered by the database.
    return Column(
        "leaf",
        BigInteger,
        ForeignKey("log_leaf.index"),
        primary_key=primary_key,
        autoincrement=False,
        nullable=False,
        index=not primary_key,
    )


LOG_LEAF = Table(
    "log_leaf",
    METADATA,
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("root", Text, nullable=False),
)

BLOB = Table(
    "blob",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    _leaf(),
)

ASSET = Table(
    "asset",
    METADATA,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    # The canonical JSON of files, kind, labels and metadata: its SHA-256 is the asset's digest.
    Column("manifest", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    _leaf(),
)

RUN = Table(
    "run",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("plan_digest", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    _leaf(),
)

RUN_EVENT = Table(
    "run_event",
    METADATA,
    _leaf(primary_key=True),
    Column("run", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("step", Text),
    Column("data", Text, nullable=False),
    Column("at", Text, nullable=False),
)

METRIC = Table(
    "metric",
    METADATA,
    _leaf(primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("run", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("step", Text, nullable=False),
    Column("name", Text, nullable=False),
    # NULL is NaN, which SQLite cannot hold.
    Column("value", Float(53)),
    Column("position", Float(53), nullable=False),
    Column("at", Text, nullable=False),
)

ACTION = Table(
    "action",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("run", Text, ForeignKey("run.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("step", Text, nullable=False, index=True),
    Column("step_version", Integer, nullable=False),
    Column("config", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("environment", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("books", Text, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("peak_bytes", BigInteger, nullable=False),
    Column("output_bytes", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("finished_at", Text, nullable=False),
    _leaf(),
)

EDGE = Table(
    "edge",
    METADATA,
    Column("action", Text, ForeignKey("action.key"), primary_key=True),
    Column("direction", Text, CheckConstraint("direction IN ('input', 'output')"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("asset", Text, ForeignKey("asset.digest"), nullable=False, index=True),
    _leaf(),
)

RECEIPT = Table(
    "receipt",
    METADATA,
    _leaf(primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text, ForeignKey("asset.digest"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("at", Text, nullable=False),
)

RELEASE_EVENT = Table(
    "release_event",
    METADATA,
    _leaf(primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("channel", Text, nullable=False),
    Column("action", Text, CheckConstraint("action IN ('promote', 'rollback')"), nullable=False),
    Column("asset", Text, ForeignKey("asset.digest"), nullable=False, index=True),
    Column("previous", Text, ForeignKey("asset.digest")),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Text, nullable=False),
)

CHECKPOINT = Table(
    "checkpoint",
    METADATA,
    _leaf(primary_key=True),
    Column("action_key", Text, nullable=False, index=True),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("position", Float(53), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("at", Text, nullable=False),
)

ERASURE = Table(
    "erasure",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("because", Text, nullable=False),
    # The canonical JSON of the documents: their ids, and the digests of their texts and files; never the texts.
    Column("documents", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Text, nullable=False),
    _leaf(),
)

TOMBSTONE = Table(
    "tombstone",
    METADATA,
    Column("erasure", Text, ForeignKey("erasure.id"), primary_key=True),
    Column("blob", Text, ForeignKey("blob.digest"), primary_key=True, index=True),
    _leaf(),
)

MARK = Table(
    "mark",
    METADATA,
    Column("erasure", Text, ForeignKey("erasure.id"), primary_key=True),
    Column("asset", Text, ForeignKey("asset.digest"), primary_key=True, index=True),
    Column("effect", Text, CheckConstraint("effect IN ('erased', 'tainted')"), nullable=False),
    _leaf(),
)

ERASURE_END = Table(
    "erasure_end",
    METADATA,
    Column("erasure", Text, ForeignKey("erasure.id"), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("at", Text, nullable=False),
    _leaf(),
)

AUDIT_RECORD = Table(
    "audit_record",
    METADATA,
    _leaf(primary_key=True),
    Column("response", Text, nullable=False, index=True),
    Column("phase", Text, CheckConstraint("phase IN ('intent', 'outcome')"), nullable=False),
    Column("at", Text, nullable=False, index=True),
    Column("tenant", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("facts", Text, nullable=False),
    # Encrypted with a key of the tenant; NULL where content is not kept.
    Column("content", LargeBinary),
)

CREDENTIAL_EVENT = Table(
    "credential_event",
    METADATA,
    _leaf(primary_key=True),
    Column("key", Text, nullable=False, index=True),
    Column("action", Text, CheckConstraint("action IN ('created', 'revoked', 'rotated')"), nullable=False),
    Column("principal", Text, nullable=False),
    Column("groups", Text, nullable=False),
    # A keyed hash of the secret; what it is keyed with is not in the ledger.
    Column("hash", Text, nullable=False),
    Column("expires_at", Text),
    # Of a rotation: how long the secret before it is still good.
    Column("previous_until", Text),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Text, nullable=False),
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("response", Text, nullable=False, index=True),
    Column("tenant", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("content", LargeBinary),
    Column("at", Text, nullable=False),
    _leaf(),
)

TENANT_KEY_EVENT = Table(
    "tenant_key_event",
    METADATA,
    _leaf(primary_key=True),
    Column("tenant", Text, nullable=False, index=True),
    # Names the key; says nothing of its bytes.
    Column("key", Text, nullable=False),
    Column("action", Text, CheckConstraint("action IN ('made', 'destroyed')"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("at", Text, nullable=False),
)

DESCRIBED = (
    BLOB,
    ASSET,
    RUN,
    RUN_EVENT,
    METRIC,
    ACTION,
    EDGE,
    RECEIPT,
    RELEASE_EVENT,
    CHECKPOINT,
    ERASURE,
    TOMBSTONE,
    MARK,
    ERASURE_END,
    AUDIT_RECORD,
    CREDENTIAL_EVENT,
    FEEDBACK,
    TENANT_KEY_EVENT,
)
"""The tables whose every row a leaf describes, in an order in which rows can be inserted."""

APPEND_ONLY = (LOG_LEAF, *DESCRIBED)
"""The tables in which the database itself refuses UPDATE, DELETE and TRUNCATE."""

RELEASE_CHANNEL = Table(
    "release_channel",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("asset", Text, ForeignKey("asset.digest"), nullable=False, index=True),
    Column("event", BigInteger, ForeignKey("release_event.leaf"), nullable=False),
)

LOG_HEAD = Table(
    "log_head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("root", Text, nullable=False),
    # JSON list of the compact range's hashes, the largest subtree first.
    Column("peaks", Text, nullable=False),
)

CLAIM = Table(
    "claim",
    METADATA,
    Column("action_key", Text, primary_key=True),
    Column("run", Text, ForeignKey("run.id"), nullable=False),
    Column("at", Text, nullable=False),
)

HEARTBEAT = Table(
    "heartbeat",
    METADATA,
    Column("run", Text, ForeignKey("run.id"), primary_key=True),
    Column("at", Text, nullable=False),
)
