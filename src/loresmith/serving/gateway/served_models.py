"""All models that are served, each as its release moves.

Every POLL_SECONDS the ledger is asked what the releases point at. What changed is loaded beside what is served, takes
its place at once for new requests. What was there before is kept for a while, so that a rollback need not load it
again; it ends then, or when a third is loaded, as soon as its last answer has. A target that cannot be loaded
changes nothing but what `/ready` says. It is tried again when it changes; and where the target was not wrong but the
work failed, after AGAIN_SECONDS too.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loresmith.errors import LoresmithError, UserError
from loresmith.serving.engines.standby import Standby
from loresmith.serving.gateway.background import as_failure, tell
from loresmith.serving.gateway.problem import no_model
from loresmith.serving.gateway.served_model import (
    ServedModel,
    load_model,
    place_model,
    require_loadable,
    require_parity,
)
from loresmith.serving.policy.served import SEPARATOR
from loresmith.serving.settings import ServedModelSettings

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

POLL_SECONDS = 0.5
AGAIN_SECONDS = 10.0


@dataclass(frozen=True)
class _Kept:
    """A model whose release has moved on, with what its release pointed at.

    Attributes:
        until: ends it in a while.
    """

    wanted: str
    model: ServedModel
    until: asyncio.TimerHandle


class ServedModels:
    """The models of one gateway; for one event loop.

    Args:
        standby: whether a process waits for the next engine.
        keep_previous: seconds that a model stays loaded after its release has moved on.

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
    ) -> None:
        self._settings = dict(settings)
        self._ledger = ledger
        self._say = say
        self._standby = Standby() if standby else None
        self._models: dict[str, ServedModel] = {}
        self._loaded: dict[str, str] = {}
        self._keep_previous = keep_previous
        self._kept: dict[str, _Kept] = {}
        self._failed: dict[str, tuple[str, float]] = {}  # what could not be loaded, and when it is tried again
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
            await self._load(name, settings)
        self._following = asyncio.create_task(self._follow(), name="models: follow releases")

    async def close(self) -> None:
        """End all engines."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        for name in list(self._kept):
            self._let_go(name)
        await asyncio.gather(*(model.host.close() for model in self._models.values()), *self._ending)
        if self._standby is not None:
            await self._standby.close()

    def reload(self, settings: Mapping[str, ServedModelSettings], keep_previous: float) -> None:
        """Serve others from now on; they are loaded by and by."""
        self._settings = dict(settings)
        self._keep_previous = keep_previous

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

    async def _load(self, name: str, settings: ServedModelSettings) -> None:
        _, wanted = await asyncio.to_thread(place_model, name, settings, self._ledger)
        if self._loaded.get(name) == wanted:
            self.problems.pop(name, None)
            return
        failed, again = self._failed.get(name, ("", 0.0))
        if failed == wanted and time.monotonic() < again:
            return
        try:
            model = await self._kept_one(name, wanted)
            if model is None:
                loadable = await asyncio.to_thread(require_loadable, settings, self._ledger)
                self._let_go(name)  # two at a time have room
                self._say(f"{name}: loading {settings.release}@{settings.channel}")
                model = await load_model(name, settings, self._ledger, loadable, self._say, self._standby)
        except Exception as error:
            again = math.inf if isinstance(error, UserError) else time.monotonic() + AGAIN_SECONDS
            self._failed[name] = wanted, again
            raise
        before = self._models.get(name)
        if before is not None:
            self._keep(name, self._loaded[name], before)
        self._models[name], self._loaded[name] = model, wanted
        self._failed.pop(name, None)
        self.problems.pop(name, None)
        facts = model.host.facts
        assert facts is not None
        self._say(f"{name}: serving {model.digest[:12]} ({facts.engine}, {facts.precision}, {facts.path} path)")

    async def _kept_one(self, name: str, wanted: str) -> ServedModel | None:
        """What is kept of this name, if it is what is wanted and may still be served."""
        kept = self._kept.get(name)
        if kept is None or kept.wanted != wanted:
            return None
        model = kept.model
        facts = model.host.facts
        if facts is None or not model.host.ready:
            return None
        adapters = {adapter: one.digest for adapter, one in model.adapters.items()}
        await asyncio.to_thread(
            require_parity, self._ledger, model.digest, adapters, model.settings, facts.version
        )  # a receipt may have come that says otherwise
        if self._kept.get(name) is not kept:  # its time came in between
            return None
        kept.until.cancel()
        del self._kept[name]
        return model

    def _keep(self, name: str, wanted: str, model: ServedModel) -> None:
        """Have a model at hand for a while after its release has moved on."""
        self._let_go(name)
        until = asyncio.get_running_loop().call_later(self._keep_previous, self._let_go, name)
        self._kept[name] = _Kept(wanted, model, until)

    def _let_go(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            kept.until.cancel()
            self._end(kept.model)

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
            for name, settings in self._settings.items():
                try:
                    await self._load(name, settings)
                except Exception as error:  # noqa: BLE001 - whatever it is: the others are followed, and this one again
                    self._note(name, as_failure(error))
            for name in self._models.keys() - self._settings.keys():
                self._loaded.pop(name, None)
                self.problems.pop(name, None)
                self._let_go(name)
                self._end(self._models.pop(name))
