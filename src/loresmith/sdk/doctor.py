"""Looks at a machine and a workspace: is everything there that Loresmith needs, and does it work?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import LoresmithError, UserError
from loresmith.factory.run import default_threads
from loresmith.ledger import schema
from loresmith.sdk.place import find_place
from loresmith.sdk.workspace import Workspace

Status = Literal["ok", "warning", "failed"]

GIB = 1 << 30
LITTLE_DISK_BYTES = 5 * GIB
LITTLE_MEMORY_BYTES = 4 * GIB
_PROBE = b"loresmith doctor was here\n"


class Finding(BaseModel):
    """One thing that was looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="What was looked at.")
    status: Status = Field(description="`warning`: it works, and you should know; `failed`: it does not work.")
    found: str = Field(description="What was found, in one sentence.")
    hint: str | None = Field(default=None, description="What to do about it.")


def examine(folder: Path) -> Iterator[Finding]:
    """Look at the machine, and at the workspace that `folder` is in, if it is in one."""
    yield _python()
    yield _packages()
    yield _threads()
    yield _memory()
    yield _disk(folder)
    yield _libraries()
    try:
        place = find_place(folder)
    except UserError as error:
        missing = "not in a Loresmith workspace" in error.what
        yield Finding(name="workspace", status="warning" if missing else "failed", found=str(error), hint=error.hint)
        return
    yield Finding(name="workspace", status="ok", found=str(place.folder))
    try:
        with Workspace.open(folder) as workspace:
            yield Finding(name="database", status="ok", found=f"{place.database}, schema {schema.VERSION}")
            for name, probe in _PROBES:
                yield _tried(name, probe, workspace)
    except LoresmithError as error:
        yield _failed("database", error)


def _python() -> Finding:
    found = f"Python {sys.version.split()[0]} ({sys.executable})"
    return Finding(name="python", status="ok", found=found)


def _packages() -> Finding:
    from packaging.requirements import Requirement

    wrong = []
    wanted = [Requirement(text) for text in requires("loresmith") or []]
    needed = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    if not needed:
        hint = "install it with pip, which keeps that list"
        return Finding(name="packages", status="warning", found="nothing says what Loresmith needs", hint=hint)
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found}, and {requirement.specifier} is needed")
    if wrong:
        hint = "install loresmith again in an environment of its own"
        return Finding(name="packages", status="failed", found="; ".join(wrong), hint=hint)
    shown = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "sqlalchemy"))
    return Finding(name="packages", status="ok", found=f"{len(needed)} as required ({shown})")


def _threads() -> Finding:
    threads = default_threads()
    load = os.getloadavg()[0]
    found = f"{threads} for a step; the machine's load is {load:.1f}"
    if load > threads * 0.75:
        hint = "training slows down tenfold, not twofold, when other processes hold its cores"
        return Finding(name="threads", status="warning", found=found, hint=hint)
    return Finding(name="threads", status="ok", found=found)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    found = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB available"
    enough = memory.available >= LITTLE_MEMORY_BYTES
    hint = None if enough else "training a small model takes about 2 GiB; end what else is running"
    return Finding(name="memory", status="ok" if enough else "warning", found=found, hint=hint)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    enough = free >= LITTLE_DISK_BYTES
    hint = None if enough else "a run keeps its sources, corpus, tokens and checkpoints; make room"
    found = f"{free / GIB:.1f} GiB free at {folder.absolute()}"
    return Finding(name="disk", status="ok" if enough else "warning", found=found, hint=hint)


def _libraries() -> Finding:
    try:
        # The order matters: whoever imports huggingface_hub first decides whether it goes online.
        from loresmith.models.offline import transformers  # isort: skip
        import torch
        from huggingface_hub import constants
    except (ImportError, OSError) as error:  # OSError: a shared library of torch that is not there
        hint = "install loresmith again in an environment of its own"
        return Finding(name="libraries", status="failed", found=f"do not import: {error}", hint=hint)
    found = f"torch {torch.__version__} and transformers {transformers.__version__} import"
    if not (constants.HF_HUB_OFFLINE and constants.HF_HUB_DISABLE_TELEMETRY):
        hint = "something imported huggingface_hub before Loresmith could switch it off"
        return Finding(name="libraries", status="failed", found=f"{found}, with telemetry or hub access on", hint=hint)
    return Finding(name="libraries", status="ok", found=f"{found}; telemetry and hub access are off")


def _blobs(workspace: Workspace) -> Finding:
    blobs = workspace.ledger.blobs
    blobs.verify(blobs.put_bytes(_PROBE))
    return Finding(name="blobs", status="ok", found=f"{workspace.place.blobs} can be written and read")


def _links(workspace: Workspace) -> Finding:
    blobs = workspace.ledger.blobs
    target = workspace.place.views / f".doctor-{os.getpid()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        blobs.place(blobs.put_bytes(_PROBE), target, "link")
        linked = target.stat().st_nlink > 1
    finally:
        target.unlink(missing_ok=True)
    if linked:
        return Finding(name="links", status="ok", found="assets are read in place, by hard links")
    found = "assets are copied, or share storage by reflinks, when they are read"
    hint = "to save space keep the blobs and the workspace on one file system that has hard links"
    return Finding(name="links", status="warning", found=found, hint=hint)


def _log(workspace: Workspace) -> Finding:
    check = workspace.verify()
    if check.problems:
        hint = "`loresmith ledger verify` says all; restore the database from a backup"
        return Finding(name="log", status="failed", found=check.problems[0], hint=hint)
    return Finding(name="log", status="ok", found=f"{check.size} leaves verify, root {check.root[:16]}...")


_PROBES: tuple[tuple[str, Callable[[Workspace], Finding]], ...] = (("blobs", _blobs), ("links", _links), ("log", _log))


def _tried(name: str, probe: Callable[[Workspace], Finding], workspace: Workspace) -> Finding:
    try:
        return probe(workspace)
    except LoresmithError as error:
        return _failed(name, error)
    except OSError as error:
        return Finding(name=name, status="failed", found=str(error))


def _failed(name: str, error: LoresmithError) -> Finding:
    place = f" ({error.where})" if error.where else ""
    return Finding(name=name, status="failed", found=f"{error.what}{place}", hint=error.hint)
