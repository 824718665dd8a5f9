"""The models of a gateway: how they are loaded, and what is left of one that cannot be."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.serving.engines.standby import Standby
from loresmith.serving.engines.starting import EngineStart
from loresmith.serving.gateway.served_model import ServedModel, load_model, require_loadable
from loresmith.serving.gateway.served_models import ServedModels
from loresmith.serving.settings import ServedModelSettings, read_config
from tests.serving.gateway.gateways import make_workspace, write_config
from tests.serving.gateway.test_reload import certified

SETTINGS = ServedModelSettings(release="acme", window=256, slots=2, threads=1)


class TokenizerVanishes(Standby):
    """Somebody takes away the model's tokenizer as soon as the engine has it."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def prepare(self, start: EngineStart) -> None:
        self._directory.chmod(0o755)
        (self._directory / "tokenizer.json").unlink()


def test_a_models_first_chat_does_not_hold_up_the_event_loop(tmp_path: Path) -> None:
    """What copies a tokenizer of a real size is done in the thread in which a model is loaded."""
    words = {f"word{number}": number for number in range(80_000)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<unk>": len(words), **words}, unk_token="<unk>")), unk_token="<unk>"
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} word7 {% endfor %}"
    tokenizer.save_pretrained(tmp_path)

    async def worked() -> float:
        labels: frozenset[str] = frozenset()
        host: Any = None
        model = await asyncio.to_thread(
            ServedModel, "acme", ServedModelSettings(release="acme"), "", labels, {}, tmp_path, host
        )
        begun = time.thread_time()
        assert model.renderer is not None
        assert model.ends == ()
        return time.thread_time() - begun

    # Once is enough: now and then memory is tidied up just then.
    assert any(asyncio.run(worked()) < 0.02 for _ in range(5))


def engines() -> list[int]:
    """Processes of this one that compute."""
    found = []
    for one in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # it ends just now
            if "engines.worker" in " ".join(one.cmdline()):
                found.append(one.pid)
    return found


@pytest.mark.slow
def test_a_model_that_cannot_be_described_leaves_no_engine(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    digest = make_workspace(workspace)
    with Workspace.open(workspace) as opened:
        standby = TokenizerVanishes(opened.ledger.assets.directory(digest))

        async def story() -> None:
            loadable = require_loadable(SETTINGS, opened.ledger)
            with pytest.raises(UserError, match="tokenizer"):
                await load_model("acme", SETTINGS, opened.ledger, loadable, lambda _: None, standby)
            assert engines() == []

        asyncio.run(story())


@pytest.mark.slow
def test_a_model_that_is_refused_takes_nobodys_place(tmp_path: Path) -> None:
    """Nor that of the one which is kept for a rollback."""
    workspace = tmp_path / "workspace"
    first = make_workspace(workspace)
    second = certified(workspace, tmp_path, "second")
    refused = certified(workspace, tmp_path, "refused", sound=False)
    with Workspace.open(workspace) as opened:
        said: list[str] = []
        models = ServedModels({"acme": SETTINGS}, opened.ledger, said.append, keep_previous=600)

        async def promote(digest: str, serves: str) -> None:
            opened.ledger.releases.promote("acme", digest, "production", "for the tests")
            async with asyncio.timeout(60):
                while models.find("acme")[0].digest != serves or bool(models.problems) != (digest == refused):
                    await asyncio.sleep(0.05)

        async def story() -> None:
            try:
                await models.start()
                before = models.find("acme")[0]
                await promote(second, second)
                two = set(engines())
                assert len(two) == 2
                await promote(refused, second)
                await asyncio.sleep(1)  # an engine that is let go ends by then
                assert set(engines()) == two
                await promote(first, first)
                assert models.find("acme")[0] is before
            finally:
                await models.close()

        asyncio.run(story())
    assert sum("loading" in one for one in said) == 2


def test_files_of_engines_lie_where_the_configuration_does(tmp_path: Path) -> None:
    exported = {"release": "acme", "engine": "openvino", "precision": "int8", "exported": {"directory": "ir"}}
    remote = {"url": "https://gpu/v1", "model": "acme", "certificates": "house.pem"}
    models = {
        "here": exported,
        "elsewhere": {**exported, "exported": {"directory": "/exports/ir"}},
        "far": {"release": "acme", "engine": "openai", "remote": remote},
    }
    read = read_config(write_config(tmp_path, {"models": models})).models
    assert read["here"].options == {"directory": str(tmp_path / "ir")}
    assert read["elsewhere"].options == {"directory": "/exports/ir"}
    assert read["far"].options == {**remote, "certificates": str(tmp_path / "house.pem")}
