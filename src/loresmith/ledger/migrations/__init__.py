"""How the ledger's tables came to be, one Alembic revision a change. A revision is never edited once released."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import Connection


def upgrade(connection: Connection) -> None:
    """Bring the database to the newest revision, inside the transaction that `connection` is in."""
    # Alembic takes half a second to import, and an up-to-date ledger does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
