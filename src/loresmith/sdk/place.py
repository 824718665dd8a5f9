"""Where a workspace is and what its `loresmith.yaml` says."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.engine import URL

from loresmith.errors import UserError, os_failure
from loresmith.validation import validate
from loresmith.yaml_lines import read_yaml

CONFIG_NAME = "loresmith.yaml"
STATE_NAME = ".loresmith"

_WRITTEN = """\
# A Loresmith workspace: one ledger and its blobs. `loresmith doctor` checks it.
format: 1
# database: postgresql+pg8000://user@host/name   # default: SQLite in .loresmith/
# blobs: s3://bucket/prefix                      # default: a folder in .loresmith/
"""


class WorkspaceConfig(BaseModel):
    """The keys of `loresmith.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = Field(default=1, description="The version of this file's form.")
    database: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the ledger's database. Default: SQLite in the workspace's folder.",
    )
    blobs: str | None = Field(
        default=None, description="fsspec URL of the blob store. Default: a folder in the workspace's folder."
    )


class Place(BaseModel):
    """A workspace's folders and addresses, resolved."""

    model_config = ConfigDict(frozen=True)

    folder: Path
    database: str
    blobs: str

    @property
    def state(self) -> Path:
        """The folder of everything that Loresmith keeps there."""
        return self.folder / STATE_NAME

    @property
    def views(self) -> Path:
        return self.state / "views"

    @property
    def key_file(self) -> Path:
        return self.state / "key.pem"


def find_place(start: Path) -> Place:
    """The workspace that `start` is in: the nearest folder upwards that holds `loresmith.yaml`.

    Raises:
        UserError: there is none, or its file is wrong.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).is_file():
            return _place(folder)
    raise UserError(
        "this is not in a Loresmith workspace",
        where=str(start),
        hint="`loresmith init DIR` makes one; `--workspace DIR` or LORESMITH_WORKSPACE names one",
    )


def make_place(folder: Path) -> Place:
    """Write `loresmith.yaml` into a folder, which is made if needed; an existing file is left as it is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / CONFIG_NAME
        if not config.exists():
            config.write_text(_WRITTEN, encoding="utf-8")
        (folder / STATE_NAME).mkdir(exist_ok=True)
        ignore = folder / STATE_NAME / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
    except FileExistsError:
        raise UserError("there is a file of that name where a folder is needed", where=str(folder)) from None
    except OSError as error:
        raise os_failure(error, where=str(folder)) from error
    return _place(folder.absolute())


def _place(folder: Path) -> Place:
    written = read_yaml(folder / CONFIG_NAME)
    config = validate(WorkspaceConfig, written.data or {}, written.lines, written.source)
    state = folder / STATE_NAME
    blobs = config.blobs or str(state / "blobs")
    return Place(
        folder=folder,
        database=_from(folder, config.database) if config.database else _sqlite(state / "ledger.db"),
        blobs=blobs if "://" in blobs else str(folder / blobs),
    )


def _sqlite(path: Path) -> str:
    """The address of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path)).render_as_string()


def _from(folder: Path, address: str) -> str:
    """The address, with a relative file of SQLite's taken from the workspace's folder and not from where we stand."""
    scheme, relative, file = address.partition(":///")
    if scheme.partition("+")[0] != "sqlite" or not relative or file.startswith(("/", ":")) or not file:
        return address
    return f"{_sqlite(folder)}/{file}"


def present_actor() -> str:
    """Who acts, for the record: LORESMITH_ACTOR, or the account's name at this host."""
    named = os.environ.get("LORESMITH_ACTOR")
    if named:
        return named
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        account = str(os.getuid())
    return f"{account}@{socket.gethostname()}"
