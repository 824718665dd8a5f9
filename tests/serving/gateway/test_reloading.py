"""Configurations that are taken at the same time."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from loresmith import Workspace
from loresmith.serving.gateway.gateway import Gateway, Place
from loresmith.serving.identity.server_key import make_server_key
from loresmith.serving.settings import read_config
from tests.serving.gateway.gateways import write_config

RULE = b'@id("a") permit (principal, action, resource);\n'


def test_of_two_at_once_the_newer_one_holds(tmp_path: Path) -> None:
    """Also where the older one takes longer to read: here a policy comes from a pipe."""
    models = {"acme": {"release": "acme"}}
    pipe = tmp_path / "slow.cedar"
    os.mkfifo(pipe)
    for folder in ("state", "workspace"):
        (tmp_path / folder).mkdir()

    def writes(**more: Any) -> Path:
        return write_config(tmp_path, {"models": models, **more})

    async def story() -> None:
        with Workspace.init(tmp_path / "workspace") as workspace:
            key = tmp_path / "key"
            make_server_key(key)
            config = writes()
            place = Place(tmp_path / "state", key, config, tmp_path)
            gateway = Gateway(read_config(config), workspace.ledger, place, lambda _: None)
            try:
                writes(policy={"files": ["slow.cedar"]})
                older = asyncio.create_task(gateway.reload())
                while (writing := await asyncio.to_thread(opened, pipe)) is None:
                    await asyncio.sleep(0.01)
                # The older one reads.
                writes(keep_previous_seconds=7)
                newer = asyncio.create_task(gateway.reload())
                await asyncio.wait((newer,), timeout=1)
                (tmp_path / "rule").write_bytes(RULE)
                (tmp_path / "rule").rename(pipe)  # what is read next
                os.write(writing, RULE)
                os.close(writing)
                async with asyncio.timeout(20):
                    assert await asyncio.gather(older, newer) == [True, True]
                assert gateway.rules.config.keep_previous_seconds == 7
                assert gateway.rules.config.policy.files == ()
                assert not await gateway.reload()
            finally:
                await gateway.close()

    asyncio.run(story())


def opened(pipe: Path) -> int | None:
    """A pipe for writing; None while nobody reads."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None
