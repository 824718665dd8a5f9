"""Configurations that are taken: at the same time, wholly or not at all, and beside other work."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.serving.gateway import gateway as working
from loresmith.serving.gateway.gateway import Gateway, Place
from loresmith.serving.identity.authenticator import Authenticator
from loresmith.serving.identity.server_key import make_server_key
from loresmith.serving.identity.unauthenticated import Unauthenticated
from loresmith.serving.settings import read_config
from tests.serving.gateway.gateways import add_release, make_key, write_config
from tests.serving.gateway.idle_gateway import in_workspace, until

MODELS = {"acme": {"release": "acme"}}
RULE = b'@id("a") permit (principal, action, resource);\n'


def test_of_two_at_once_the_newer_one_holds(tmp_path: Path) -> None:
    """Also where the older one takes longer to read: here a policy comes from a pipe."""
    pipe = tmp_path / "slow.cedar"
    os.mkfifo(pipe)
    for folder in ("state", "workspace"):
        (tmp_path / folder).mkdir()

    def writes(**more: Any) -> Path:
        return write_config(tmp_path, {"models": MODELS, **more})

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


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations are taken when they are asked for alone."""
    monkeypatch.setattr(working, "WATCH_SECONDS", 60)


@pytest.mark.usefixtures("unwatched")
def test_a_refused_configuration_gives_nobody_a_label(tmp_path: Path) -> None:
    """Also where it is the quotas that are wrong."""
    workspace = tmp_path / "workspace"
    Workspace.init(workspace).close()
    header = f"Bearer {make_key(workspace, 'user:ada', 'staff')}"
    config = write_config(tmp_path, {"models": MODELS, "groups": {"staff": {}}})

    async def story(gateway: Gateway) -> None:
        before = gateway.authenticator.authenticate(header)
        assert before.groups == ("staff",)
        groups = {"staff": {"labels": ["secret"], "tenant": "other"}}
        quotas = {"groups": {"stuff": {"tokens_per_day": 1}}}
        write_config(tmp_path, {"models": MODELS, "groups": groups, "quotas": quotas})
        with pytest.raises(UserError, match="stuff"):
            await gateway.reload()
        assert gateway.authenticator.authenticate(header) == before
        write_config(tmp_path, {"models": MODELS, "groups": groups})
        await gateway.reload()
        assert gateway.authenticator.authenticate(header).labels == {"secret"}

    in_workspace(workspace, config, story)


@pytest.mark.usefixtures("unwatched")
def test_keys_are_switched_off_and_on_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that is revoked while none are taken opens nothing afterwards."""
    monkeypatch.setattr("loresmith.serving.identity.authenticator.POLL_SECONDS", 0.02)
    workspace = tmp_path / "workspace"
    Workspace.init(workspace).close()
    ada, eve = (f"Bearer {make_key(workspace, f'user:{name}')}" for name in ("ada", "eve"))

    def writes(*, keys: bool) -> Path:
        return write_config(tmp_path, {"models": MODELS, "identity": {"keys": keys}})

    async def story(gateway: Gateway) -> None:
        known = gateway.authenticator
        eves = known.authenticate(eve).credential
        writes(keys=False)
        assert await gateway.reload()
        assert not opens(known, ada)
        assert known.problems == ()
        with Workspace.open(workspace) as opened:
            opened.ledger.credentials.revoke(eves, "a test")
        writes(keys=True)
        assert await gateway.reload()
        assert known.authenticate(ada).id == "user:ada"
        assert not opens(known, eve)
        adas = known.authenticate(ada).credential
        gateway.ledger.credentials.revoke(adas, "a test")
        await until(lambda: not opens(known, ada))

    in_workspace(workspace, writes(keys=True), story)


def test_keys_that_were_not_taken_at_first_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loresmith.serving.identity.authenticator.POLL_SECONDS", 0.02)
    workspace = tmp_path / "workspace"
    Workspace.init(workspace).close()

    async def story(gateway: Gateway) -> None:
        write_config(tmp_path, {"models": MODELS})
        assert await gateway.reload()
        header = f"Bearer {await asyncio.to_thread(make_key, workspace)}"
        await until(lambda: opens(gateway.authenticator, header))

    in_workspace(workspace, write_config(tmp_path, {"models": MODELS, "identity": {"keys": False}}), story)


def opens(known: Authenticator, header: str) -> bool:
    try:
        return bool(known.authenticate(header))
    except Unauthenticated:
        return False


@pytest.mark.usefixtures("unwatched")
@pytest.mark.parametrize("limit", ["head_seconds", "drain_seconds"])
def test_what_has_no_effect_is_not_taken(tmp_path: Path, limit: str) -> None:
    async def story(gateway: Gateway) -> None:
        write_config(tmp_path, {"models": MODELS, "limits": {limit: 7}})
        with pytest.raises(UserError, match=f"limits.{limit} cannot change while the gateway works"):
            await gateway.reload()

    in_workspace(tmp_path / "workspace", write_config(tmp_path, {"models": MODELS}), story)


@asynccontextmanager
async def issuer(meanwhile: Callable[[], Awaitable[None]]) -> AsyncIterator[dict[str, Any]]:
    """The settings of an issuer for whom this event loop answers, when something has been done first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await meanwhile()
        writer.write(b'HTTP/1.0 200 OK\r\n\r\n{"keys": []}')
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        keys = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        yield {"issuer": "https://login.example.org/", "audiences": ["gateway"], "keys": keys}


@pytest.mark.usefixtures("unwatched")
def test_an_issuer_is_read_beside_other_work(tmp_path: Path) -> None:
    done = []

    async def other() -> None:
        done.append("other work")

    async def story(gateway: Gateway) -> None:
        async with issuer(other) as trusted:
            write_config(tmp_path, {"models": MODELS, "identity": {"tokens": [trusted]}})
            assert await gateway.reload()
            assert done == ["other work"]
            assert gateway.authenticator.problems == ()

    in_workspace(tmp_path / "workspace", write_config(tmp_path, {"models": MODELS}), story)


def test_an_embedder_that_is_renewed_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.02)
    monkeypatch.setattr("loresmith.serving.identity.issuer_keys._TIMEOUT_SECONDS", 20)
    embedding = {"models": MODELS, "embeddings": {"states": {"model": "states@production"}}}
    with Workspace.init(tmp_path / "workspace") as workspace:
        first, second = (add_release(workspace, tmp_path, (), "states", kind) for kind in ("qwen3", "llama"))
        workspace.ledger.releases.promote("states", first, "production", "for the tests")
    renewed = []

    async def story(gateway: Gateway) -> None:
        async def promote() -> None:
            gateway.ledger.releases.promote("states", second, "production", "for the tests")
            following = asyncio.create_task(gateway._follow())
            await until(lambda: gateway.rules.embedders["states"].embedder.facts.digest == second)
            following.cancel()
            renewed.append(gateway.rules.embedders["states"])

        async with issuer(promote) as trusted:
            write_config(tmp_path, {**embedding, "identity": {"tokens": [trusted]}})
            await gateway.reload()
            assert gateway.rules.config.identity.tokens
            assert [gateway.rules.embedders["states"]] == renewed

    in_workspace(tmp_path / "workspace", write_config(tmp_path, embedding), story)
