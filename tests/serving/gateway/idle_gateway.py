"""A gateway in this process that has loaded no model: for what it refuses, and for what it follows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loresmith import Workspace
from loresmith.serving.gateway.gateway import Gateway, Place
from loresmith.serving.identity.server_key import NAME
from loresmith.serving.settings import read_config


@asynccontextmanager
async def idle(
    workspace: Workspace, config: Path, say: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Gateway]:
    """One that knows its keys, follows its configuration, and heeds what is erased."""
    state = workspace.place.state
    place = Place(state, state / NAME, config, config.parent)
    gateway = Gateway(read_config(config), workspace.ledger, place, say)
    gateway.authenticator.start()
    tasks = [asyncio.create_task(work()) for work in (gateway._watch, gateway._heed)]
    try:
        yield gateway
    finally:
        for task in tasks:
            task.cancel()
        await gateway.close()


def in_workspace(
    folder: Path,
    config: Path,
    story: Callable[[Gateway], Coroutine[Any, Any, None]],
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Tell a story of an idle gateway of the workspace `folder`, which is made if need be."""

    async def told(workspace: Workspace) -> None:
        async with idle(workspace, config, say) as gateway:
            await story(gateway)

    with Workspace.open(folder) if folder.exists() else Workspace.init(folder) as workspace:
        asyncio.run(told(workspace))


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)
