"""All models that are served, each as its release moves.

Every POLL_SECONDS the ledger is asked what the releases point at. What changed is loaded beside what is served, takes
its place at once for new requests. What was there before is kept for a while, so that a rollback need not load it
again; it ends then, or when a third is to be loaded, as soon as its last answer has. A target that cannot be loaded
changes nothing but what `/ready` says. It is tried again when it changes, and after a while too: see `TryingAgain`.

Models are loaded one after the other, while the ledger is asked all the same: what is kept is back in service at once,
whatever else is being loaded, and what has been loaded serves only if it is what its release still points at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loresmith.errors import LoresmithError
from loresmith.serving.engines.standby import Standby
from loresmith.serving.gateway.background import as_failure, tell
from loresmith.serving.gateway.problem import no_model
from loresmith.serving.gateway.served_model import (
    ServedModel,
    Uncertified,
    load_model,
    place_model,
    require_loadable,
    require_parity,
)
from loresmith.serving.gateway.trying_again import TryingAgain
from loresmith.serving.policy.served import SEPARATOR
from loresmith.serving.settings import ServedModelSettings

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class _Kept:
    """A model whose release has moved on.

    Attributes:
        since: when that was, by the loop's clock.
        until: ends it in a while.
    """

    model: ServedModel
    since: float
    until: asyncio.TimerHandle


class ServedModels:
    """The models of one gateway; for one event loop.

    Args:
        standby: whether a process waits for the next engine.
        keep_previous: seconds that a model stays loaded after its release has moved on.
        served: told of each model that comes into service.

    Attributes:
        problems: by the model's name, why what its release points at now is not served.
    """

    def __init__(
        self,
        settings: Mapping[str, ServedModelSettings],
        ledger: Ledger,
        say: Callable[[str], None],
        *,
        standby: bool = False,
        keep_previous: float = 0,
        served: Callable[[ServedModel], None] = lambda _: None,
    ) -> None:
        self._settings = dict(settings)
        self._ledger = ledger
        self._say = say
        self._standby = Standby() if standby else None
        self._models: dict[str, ServedModel] = {}
        self._loaded: dict[str, str] = {}
        self._keep_previous = keep_previous
        self._served = served
        self._kept: dict[str, _Kept] = {}
        self._trying = TryingAgain()
        self._announced: dict[str, str] = {}  # what is being loaded, so far as that was said
        self._deciding = asyncio.Lock()  # what is wanted is looked at and put into service by one at a time
        self._loading: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self.problems: dict[str, str] = {}

    def all(self) -> list[ServedModel]:
        """Those that are served now."""
        return list(self._models.values())

    async def start(self) -> None:
        """Load all models, and follow their releases from now on.

        Raises:
            UserError, Failure: one cannot be loaded.
        """
        for name, settings in self._settings.items():
            self._serve(name, await self._load(name, settings))
        self._following = asyncio.create_task(self._follow(), name="models: follow releases")

    async def close(self) -> None:
        """End all engines."""
        for task in (self._following, self._loading):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        for name in list(self._kept):
            self._let_go(name)
        await asyncio.gather(*(model.host.close() for model in self._models.values()), *self._ending)
        if self._standby is not None:
            await self._standby.close()

    def reload(self, settings: Mapping[str, ServedModelSettings], keep_previous: float) -> None:
        """Serve others from now on; they are loaded by and by. What is kept for longer than is asked for now ends, and
        so does what no release can lead to any more: it was loaded with other settings."""
        self._settings = dict(settings)
        self._keep_previous = keep_previous
        for name, kept in list(self._kept.items()):
            if self._settings.get(name) == kept.model.settings:
                self._keep(name, kept.model, kept.since)
            else:
                self._let_go(name)

    def find(self, name: str) -> tuple[ServedModel, str | None]:
        """The model that a name means, and the adapter.

        Raises:
            Problem: there is none.
        """
        base, _, adapter = name.partition(SEPARATOR)
        model = self._models.get(base)
        if model is None or (adapter and adapter not in model.adapters) or name.endswith(SEPARATOR):
            raise no_model(name)
        return model, adapter or None

    async def _look(self, name: str) -> None:
        """Put what is kept into service, or begin to load, where something else than what is served is wanted."""
        settings = self._settings.get(name)
        if settings is None:
            return
        wanted = await asyncio.to_thread(place_model, settings, self._ledger)
        if self._loaded.get(name) == wanted:
            self._forget_trouble(name)
            return
        if self._trying.waits(name, wanted):
            return
        try:
            model = await self._kept_one(name, wanted)
        except Exception as error:
            self._trying.note(name, wanted, costly=not isinstance(error, Uncertified))
            raise
        if model is not None:
            self._serve(name, model)
        elif self._loading is None:
            self._loading = asyncio.create_task(self._bring(name, settings, wanted), name=f"models: load {name}")

    async def _bring(self, name: str, settings: ServedModelSettings, wanted: str) -> None:
        """Load a model, and put it into service if it still is what is wanted."""
        try:
            model = await self._load(name, settings, wanted)
            try:
                async with self._deciding:
                    await self._settle(name, model)
            except BaseException:
                self._end(model)  # whatever it was: nobody else knows of it
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and tried again
            self._trying.note(name, wanted, costly=not isinstance(error, Uncertified))
            self._note(name, as_failure(error))
        finally:
            self._loading = None

    async def _load(self, name: str, settings: ServedModelSettings, wanted: str = "") -> ServedModel:
        loadable = await asyncio.to_thread(require_loadable, settings, self._ledger)
        self._let_go(name)  # two at a time have room
        if not wanted or self._announced.get(name) != wanted:  # else it is tried again
            self._announced[name] = wanted
            self.problems.pop(name, None)  # it is of what was wanted before
            self._say(f"{name}: loading {settings.release}@{settings.channel}")
        return await load_model(name, settings, self._ledger, loadable, self._say, self._standby)

    async def _settle(self, name: str, model: ServedModel) -> None:
        """Decide what becomes of a model now that it has been loaded: its release may have moved on meanwhile."""
        wanted = ""
        if name in self._settings:
            wanted = await asyncio.to_thread(place_model, self._settings[name], self._ledger)
        self._announced.pop(name, None)
        if self._settings.get(name) != model.settings:
            self._end(model)
        elif wanted == model.placed:
            self._serve(name, model)
        else:
            self._say(f"{name}: {model.digest[:12]} was loaded, and is not what its release points at any more")
            self._keep(name, model)

    def _serve(self, name: str, model: ServedModel) -> None:
        before = self._models.get(name)
        if before is not None and before.settings == model.settings:
            self._keep(name, before)
        elif before is not None:
            self._end(before)
        self._models[name], self._loaded[name] = model, model.placed
        self._forget_trouble(name)
        facts = model.host.facts
        assert facts is not None
        self._say(f"{name}: serving {model.digest[:12]} ({facts.engine}, {facts.precision}, {facts.path} path)")
        self._served(model)

    async def _kept_one(self, name: str, wanted: str) -> ServedModel | None:
        """What is kept of this name, if it is what is wanted and may still be served."""
        kept = self._kept.get(name)
        if kept is None or kept.model.placed != wanted:
            return None
        model = kept.model
        facts = model.host.facts
        if facts is None or not model.host.ready:
            return None
        adapters = {adapter: one.digest for adapter, one in model.adapters.items()}
        await asyncio.to_thread(
            require_parity, self._ledger, model.digest, adapters, model.settings, facts.version
        )  # a receipt may have come that says otherwise
        kept = self._kept.get(name)
        if kept is None or kept.model is not model:  # its time came in between
            return None
        kept.until.cancel()
        del self._kept[name]
        return model

    def _keep(self, name: str, model: ServedModel, since: float | None = None) -> None:
        """Have a model at hand for a while after its release has moved on."""
        kept = self._kept.get(name)
        if kept is not None and kept.model is model:
            kept.until.cancel()
        else:
            self._let_go(name)
        loop = asyncio.get_running_loop()
        since = loop.time() if since is None else since
        until = loop.call_at(since + self._keep_previous, self._let_go, name)
        self._kept[name] = _Kept(model, since, until)

    def _let_go(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.until.cancel()
            self._end(kept.model)

    def _forget_trouble(self, name: str) -> None:
        """What is wanted of this name is served."""
        self._trying.forget(name)
        self._announced.pop(name, None)
        self.problems.pop(name, None)

    def _note(self, name: str, error: LoresmithError) -> None:
        if self.problems.get(name) != str(error):
            self.problems[name] = str(error)
            tell(self._say, f"{name}: {error.what}; what was served before still is", error)

    def _end(self, model: ServedModel) -> None:
        """Close an engine when its last answer has ended."""

        async def end() -> None:
            while model.users:
                await asyncio.sleep(0.1)
            await model.host.close()

        task = asyncio.create_task(end(), name=f"models: end {model.digest[:12]}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for name in tuple(self._settings):
                try:
                    async with self._deciding:
                        await self._look(name)
                except Exception as error:  # noqa: BLE001 - whatever it is: the others are followed, and this one again
                    self._note(name, as_failure(error))
            self._forget_others()

    def _forget_others(self) -> None:
        """End what the configuration does not name any more, and say nothing of it."""
        for name in self._models.keys() - self._settings.keys():
            self._loaded.pop(name, None)
            self._let_go(name)
            self._end(self._models.pop(name))
        for name in self.problems.keys() - self._settings.keys():
            self.problems.pop(name)
        for name in self._announced.keys() - self._settings.keys():
            self._announced.pop(name)
        self._trying.keep_only(self._settings)
