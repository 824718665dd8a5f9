"""The models of a gateway: how they are loaded, and what is left of one that cannot be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.serving.engines.standby import Standby
from loresmith.serving.engines.starting import EngineStart
from loresmith.serving.gateway.served_model import load_model
from loresmith.serving.settings import ServedModelSettings
from tests.serving.gateway.gateways import make_workspace

SETTINGS = ServedModelSettings(release="acme", window=256, slots=2, threads=1)


class TokenizerVanishes(Standby):
    """Somebody takes away the model's tokenizer as soon as the engine has it."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def prepare(self, start: EngineStart) -> None:
        self._directory.chmod(0o755)
        (self._directory / "tokenizer.json").unlink()


def engines() -> list[int]:
    """Processes of this one that compute."""
    return [one.pid for one in psutil.Process().children() if "engines.worker" in " ".join(one.cmdline())]


@pytest.mark.slow
def test_a_model_that_cannot_be_described_leaves_no_engine(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    digest = make_workspace(workspace)
    with Workspace.open(workspace) as opened:
        standby = TokenizerVanishes(opened.ledger.assets.directory(digest))

        async def story() -> None:
            with pytest.raises(UserError, match="tokenizer"):
                await load_model("acme", SETTINGS, opened.ledger, lambda _: None, standby)
            assert engines() == []

        asyncio.run(story())
