"""All models that are served, each as its release moves.

Every POLL_SECONDS the ledger is asked what the releases point at. What changed is loaded beside what is served, takes
its place at once for new requests, and what was there before ends when its last answer has. A target that cannot be
loaded changes nothing but what `/ready` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from loresmith.errors import LoresmithError
from loresmith.serving.engines.standby import Standby
from loresmith.serving.gateway.problem import no_model
from loresmith.serving.gateway.served_model import ServedModel, load_model, place_model
from loresmith.serving.settings import ServedModelSettings

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

POLL_SECONDS = 0.5
SEPARATOR = ":"
"""Between the name of a model and that of an adapter."""


class ServedModels:
    """The models of one gateway; for one event loop.

    Args:
        standby: whether a process waits for the next engine.

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
    ) -> None:
        self._settings = dict(settings)
        self._ledger = ledger
        self._say = say
        self._standby = Standby() if standby else None
        self._models: dict[str, ServedModel] = {}
        self._loaded: dict[str, str] = {}
        self._failed: dict[str, str] = {}
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
        await asyncio.gather(*(model.host.close() for model in self._models.values()), *self._ending)
        if self._standby is not None:
            await self._standby.close()

    def reload(self, settings: Mapping[str, ServedModelSettings]) -> None:
        """Serve others from now on; they are loaded by and by."""
        self._settings = dict(settings)

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
        if self._failed.get(name) == wanted:
            return
        try:
            self._say(f"{name}: loading {settings.release}@{settings.channel}")
            model = await load_model(name, settings, self._ledger, self._say, self._standby)
        except LoresmithError:
            self._failed[name] = wanted
            raise
        before = self._models.get(name)
        self._models[name], self._loaded[name] = model, wanted
        self._failed.pop(name, None)
        self.problems.pop(name, None)
        facts = model.host.facts
        assert facts is not None
        self._say(f"{name}: serving {model.digest[:12]} ({facts.engine}, {facts.precision}, {facts.path} path)")
        if before is not None:
            self._end(before)

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
                except LoresmithError as error:
                    if self.problems.get(name) != str(error):
                        self.problems[name] = str(error)
                        self._say(f"{name}: {error.what}; what was served before still is")
            for name in self._models.keys() - self._settings.keys():
                self._loaded.pop(name, None)
                self.problems.pop(name, None)
                self._end(self._models.pop(name))
