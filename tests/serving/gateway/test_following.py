"""Models that follow their releases: what is served while others are loaded, cannot be, or are wanted no more.

Their engines load as fast as the tests want (`gated_engine`), and compute nothing.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from loresmith import Workspace
from loresmith.serving.engines.starting import FACTORIES
from loresmith.serving.gateway.gateway import Gateway, Place
from loresmith.serving.gateway.served_models import ServedModels
from loresmith.serving.identity.server_key import NAME
from loresmith.serving.settings import ServedModelSettings, read_config
from tests.serving.engines.served_models import write_tiny
from tests.serving.gateway.gateways import certify_unseen, write_config
from tests.serving.gateway.test_served_models import engines


class Followed:
    """A workspace with the releases `x` and `y`, and what is served of it."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.workspace = Workspace.init(folder / "workspace")
        self.gates = folder / "gates"
        self.gates.mkdir()
        self.said: list[str] = []
        self._folder = folder
        self._made = made

    def model(self, name: str, *labels: str, certified: bool = True) -> str:
        """The digest of one more model."""
        shutil.copytree(self._made, self._folder / name)
        (self._folder / name / "name").write_text(name)
        digest = self.workspace.ledger.assets.add("model", self._folder / name, {"test": name}, labels).digest
        if certified:
            certify_unseen(self.workspace, digest)
        return digest

    def promote(self, release: str, digest: str) -> None:
        self.workspace.ledger.releases.promote(release, digest, "production", "for the tests")

    def gate(self, digest: str) -> Path:
        """The file that says what is up with a model's engine."""
        return self.gates / self.workspace.ledger.assets.directory(digest).name

    def loads(self, digest: str) -> int:
        """How often its engine was to be loaded."""
        loads = self.gates / "loads"
        return loads.read_text().split().count(self.gate(digest).name) if loads.exists() else 0

    def told(self, words: str) -> int:
        return sum(words in said for said in self.said)

    @asynccontextmanager
    async def served(self, *names: str, keep: float = 600) -> AsyncIterator[ServedModels]:
        models = ServedModels(settings(*names), self.workspace.ledger, self.said.append, keep_previous=keep)
        try:
            await models.start()
            yield models
        finally:
            await models.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("made"), "qwen3", torch.bfloat16)


@pytest.fixture
def followed(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Followed]:
    one = Followed(tmp_path, made)
    monkeypatch.setenv("GATES", str(one.gates))
    monkeypatch.setitem(FACTORIES, "torch", "tests.serving.engines.gated_engine:start")  # type: ignore[index]
    monkeypatch.setattr("loresmith.serving.gateway.served_models.POLL_SECONDS", 0.02)
    yield one
    one.workspace.close()


def settings(*names: str, slots: int = 2) -> Mapping[str, ServedModelSettings]:
    return {name: ServedModelSettings(release=name, window=256, slots=slots, threads=1) for name in names}


def digests(models: ServedModels) -> dict[str, str]:
    return {model.name: model.digest for model in models.all()}


async def until(what: Callable[[], Any], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.01)


def test_what_could_not_be_loaded_is_tried_at_once_when_it_is_promoted_again(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loresmith.serving.gateway.trying_again.AGAIN_SECONDS", 90.0)
    first, second = followed.model("first"), followed.model("second", certified=False)
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.promote("x", second)
            await until(lambda: "nobody has compared" in models.problems.get("x", ""))
            followed.promote("x", first)
            await until(lambda: not models.problems)
            certify_unseen(followed.workspace, second)
            followed.promote("x", second)
            await until(lambda: digests(models) == {"x": second})  # sooner than any pause
            assert models.problems == {}

    asyncio.run(story())


def test_a_receipt_that_comes_after_the_promotion_counts(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loresmith.serving.gateway.trying_again.AGAIN_SECONDS", 0.1)
    first, second = followed.model("first"), followed.model("second", certified=False)
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.promote("x", second)
            await until(lambda: models.problems)
            certify_unseen(followed.workspace, second)
            await until(lambda: digests(models) == {"x": second})
            assert models.problems == {}
            assert followed.told("loading") == 2

    asyncio.run(story())


@pytest.mark.parametrize("trouble", ["die", "it cannot be read"])
def test_what_fails_while_it_is_loaded_is_tried_again(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr("loresmith.serving.gateway.trying_again.AGAIN_SECONDS", 0.02)
    first, second = followed.model("first"), followed.model("second")
    followed.promote("x", first)
    followed.gate(second).write_text(trouble)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.promote("x", second)
            await until(lambda: followed.loads(second) >= 3)
            assert digests(models) == {"x": first}
            assert followed.told("what was served before still is") == 1
            followed.gate(second).unlink()
            await until(lambda: digests(models) == {"x": second})
            assert models.problems == {}

    asyncio.run(story())


def test_a_rollback_waits_for_no_other_model(followed: Followed) -> None:
    first, second, slow = (followed.model(name) for name in ("first", "second", "slow"))
    followed.promote("x", first)
    followed.promote("y", first)

    async def story() -> None:
        async with followed.served("x", "y") as models:
            followed.promote("y", second)
            await until(lambda: digests(models)["y"] == second)
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
            followed.promote("y", first)
            await until(lambda: digests(models) == {"x": first, "y": first})
            assert followed.loads(first) == 2  # once for each name
            followed.gate(slow).unlink()
            await until(lambda: digests(models) == {"x": slow, "y": first})

    asyncio.run(story())


def test_models_are_loaded_one_after_the_other(followed: Followed) -> None:
    first, slow, other = (followed.model(name) for name in ("first", "slow", "other"))
    for release in ("x", "y"):
        followed.promote(release, first)

    async def story() -> None:
        async with followed.served("x", "y") as models:
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
            followed.promote("y", other)
            await asyncio.sleep(0.5)
            assert followed.told("y: loading") == 1  # when it was first loaded
            followed.gate(slow).unlink()
            await until(lambda: digests(models) == {"x": slow, "y": other})

    asyncio.run(story())


def test_what_was_rolled_back_while_it_was_loaded_never_serves(followed: Followed) -> None:
    first, slow = followed.model("first"), followed.model("slow")
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
            followed.promote("x", first)
            followed.gate(slow).unlink()
            await until(lambda: followed.told("not what its release points at any more"))
            assert followed.told(f"serving {slow[:12]}") == 0
            assert digests(models) == {"x": first}
            followed.promote("x", slow)  # it is at hand
            await until(lambda: digests(models) == {"x": slow})
            assert followed.loads(slow) == 1
            assert len(engines()) == 2
        assert engines() == []

    asyncio.run(story())


def test_whatever_is_loaded_is_announced_also_when_it_was_once_in_vain(followed: Followed) -> None:
    first, slow = followed.model("first"), followed.model("slow")
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x", keep=0) as models:
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
            followed.promote("x", first)
            followed.gate(slow).unlink()
            await until(lambda: followed.told("not what its release points at any more"))
            followed.promote("x", slow)
            await until(lambda: digests(models) == {"x": slow})
            assert followed.loads(slow) == 2
            assert followed.told("loading") == 3

    asyncio.run(story())


def test_trouble_with_one_target_is_not_told_of_the_next(followed: Followed) -> None:
    first, refused, slow = (followed.model(name) for name in ("first", "refused", "slow"))
    followed.promote("x", first)
    followed.gate(refused).write_text("it cannot be read")

    async def story() -> None:
        async with followed.served("x") as models:
            followed.promote("x", refused)
            await until(lambda: "it cannot be read" in models.problems.get("x", ""))
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
            assert models.problems == {}

    asyncio.run(story())


def test_what_was_loaded_for_a_name_that_has_gone_is_ended(followed: Followed) -> None:
    first, slow = followed.model("first"), followed.model("slow")
    followed.promote("x", first)
    followed.promote("y", slow)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.gate(slow).write_text("wait")
            models.reload(settings("x", "y"), 600)
            await until(lambda: followed.loads(slow))
            models.reload(settings("x"), 600)
            followed.gate(slow).unlink()
            await until(lambda: len(engines()) == 1)
            assert digests(models) == {"x": first}

    asyncio.run(story())


def test_ending_waits_for_nothing_that_is_being_loaded(followed: Followed) -> None:
    first, slow = followed.model("first"), followed.model("slow")
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x"):
            followed.gate(slow).write_text("wait")
            followed.promote("x", slow)
            await until(lambda: followed.loads(slow))
        await until(lambda: engines() == [])

    asyncio.run(story())


def test_nothing_is_said_of_a_name_that_has_gone(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loresmith.serving.gateway.trying_again.AGAIN_SECONDS", 90.0)
    followed.promote("x", followed.model("first"))
    followed.promote("y", followed.model("second", certified=False))

    async def story() -> None:
        async with followed.served("x") as models:
            models.reload(settings("x", "y", "nowhere"), 600)
            await until(lambda: models.problems.keys() == {"y", "nowhere"})
            models.reload(settings("x"), 600)
            await until(lambda: not models.problems)
            # Nothing is remembered against it: when it comes back, it is looked at anew.
            models.reload(settings("x", "y"), 600)
            await until(lambda: models.problems.keys() == {"y"})

    asyncio.run(story())


def test_less_is_kept_from_the_moment_that_less_is_to_be(followed: Followed) -> None:
    first, second = followed.model("first"), followed.model("second")
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x", keep=600) as models:
            followed.promote("x", second)
            await until(lambda: digests(models) == {"x": second})
            models.reload(settings("x"), 1200)
            await asyncio.sleep(0.3)
            assert len(engines()) == 2
            models.reload(settings("x"), 0)
            await until(lambda: len(engines()) == 1)
            followed.promote("x", first)
            await until(lambda: digests(models) == {"x": first})
            assert followed.loads(first) == 2

    asyncio.run(story())


def test_an_engine_with_other_settings_is_not_kept(followed: Followed) -> None:
    first, second = followed.model("first"), followed.model("second")
    followed.promote("x", first)

    async def story() -> None:
        async with followed.served("x") as models:
            followed.promote("x", second)
            await until(lambda: digests(models) == {"x": second})
            models.reload(settings("x", slots=3), 600)
            await until(lambda: models.all()[0].settings.slots == 3)
            await until(lambda: len(engines()) == 1)
            assert digests(models) == {"x": second}

    asyncio.run(story())


def test_whoever_operates_it_is_told_of_each_model_that_nobody_may_ask(
    followed: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that a promotion or a configuration brings when it comes into service, and after a change of groups."""
    monkeypatch.setattr("loresmith.serving.gateway.gateway.WATCH_SECONDS", 0.05)
    followed.promote("x", followed.model("first"))
    followed.promote("y", followed.model("second", "secret"))
    x, y = ({name: {"release": name, "window": 256, "slots": 2, "threads": 1}} for name in "xy")

    def configured(**more: Any) -> Path:
        return write_config(tmp_path, {"standby": False, **more})

    def unasked(name: str) -> int:
        return followed.told(f"{name}: nobody may ask it, since it carries what no group holds: ")

    async def story() -> None:
        config, place = configured(models=x), followed.workspace.place
        gateway = Gateway(
            read_config(config),
            followed.workspace.ledger,
            Place(place.state, place.state / NAME, config, tmp_path),
            followed.said.append,
        )
        try:
            await gateway.start()
            configured(models={**x, **y})
            await until(lambda: "y" in digests(gateway.models))
            assert (unasked("x"), unasked("y")) == (0, 1)
            third = followed.model("third", "hidden")
            followed.promote("x", third)
            await until(lambda: digests(gateway.models)["x"] == third)
            assert (unasked("x"), unasked("y")) == (1, 1)
            configured(models={**x, **y}, groups={"staff": {"labels": ["secret"]}})
            await until(lambda: followed.told("the configuration was taken anew") == 2)
            assert (unasked("x"), unasked("y")) == (2, 1)
        finally:
            await gateway.close()

    asyncio.run(story())
