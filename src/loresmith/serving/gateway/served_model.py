"""A model that is served: what its release pointed at when it was loaded, and the engine that computes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import UserError
from loresmith.serving.engines.host import EngineHost
from loresmith.serving.engines.standby import Standby
from loresmith.serving.engines.starting import EngineStart, engine_start
from loresmith.serving.parity.receipt import PARITY, computed_by, receipt_covers
from loresmith.serving.settings import ServedModelSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from loresmith.ledger import Asset, Ledger
    from loresmith.models.conversation import ConversationRenderer

_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_ONE_BYTE = re.compile("<0x([0-9A-F]{2})>")


class Uncertified(UserError):
    """Nobody has compared a model with the reference yet: cheap to find out, and a receipt may come at any time."""


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter beside its model.

    Attributes:
        digest: its asset.
        labels: its own; the model's come on top.
    """

    digest: str
    labels: frozenset[str]


class ServedModel:
    """One model, ready to be asked.

    Attributes:
        name: by which callers ask for it.
        settings: with which it was loaded.
        digest: its asset.
        labels: that it inherited from what it was trained on.
        adapters: by name.
        tokenizer: the one that it ships with.
        host: its engine.
        users: answers under way; it is kept for them when its release has moved on.
    """

    def __init__(
        self,
        name: str,
        settings: ServedModelSettings,
        digest: str,
        labels: frozenset[str],
        adapters: Mapping[str, ServedAdapter],
        directory: Path,
        host: EngineHost,
    ) -> None:
        from loresmith.models.storage import load_tokenizer

        self.name = name
        self.settings = settings
        self.digest = digest
        self.labels = labels
        self.adapters = adapters
        self.directory = directory
        self.host = host
        self.users = 0
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(directory)
        # What transformers changes of a tokenizer at its first use is changed before threads share it.
        self.tokenizer("a", add_special_tokens=False)
        # Both copy the tokenizer, which would keep the event loop from other work at the first chat.
        with suppress(UserError):  # of the template: whoever chats is told
            _ = self.renderer, self.ends

    @cached_property
    def renderer(self) -> ConversationRenderer | None:
        """Renders conversations; None where the model has no chat template."""
        from loresmith.models.conversation import ConversationRenderer

        return ConversationRenderer(self.tokenizer) if self.tokenizer.chat_template else None

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end an assistant's turn, besides those that the engine knows."""
        end = None if self.renderer is None else self.renderer.end_of_turn
        return () if end is None else (end,)

    def token_bytes(self, id: int) -> bytes | None:
        """What a token stands for, which may be a part of a letter alone; None where that cannot be known."""
        from loresmith.data.fast_encoding import byte_letters

        text = str(self.tokenizer.decode([id]))
        if _UNKNOWN not in text:
            return text.encode()
        written = str(self.tokenizer.convert_ids_to_tokens(id))
        if one := _ONE_BYTE.fullmatch(written):
            return bytes.fromhex(one[1])
        bytes_of = {letter: byte for byte, letter in enumerate(byte_letters())}
        return bytes(bytes_of[letter] for letter in written) if bytes_of.keys() >= set(written) else None

    @cached_property
    def placed(self) -> str:
        """What was loaded, as `place_model` calls it."""
        adapters = {name: adapter.digest for name, adapter in self.adapters.items()}
        return _placed(self.digest, adapters, self.settings)

    @property
    def window(self) -> int:
        facts = self.host.facts
        return self.settings.window if facts is None else facts.window

    def labels_of(self, adapter: str | None) -> frozenset[str]:
        """What an answer of the model, or of it with an adapter, carries."""
        return self.labels if adapter is None else self.labels | self.adapters[adapter].labels


def place_model(settings: ServedModelSettings, ledger: Ledger) -> str:
    """What is to be loaded now: a digest of the model that the release points at, its adapters and its settings.

    Raises:
        UserError: there is no such release, or what it points at is no model.
    """
    asset = ledger.assets.find(f"{settings.release}@{settings.channel}", kind="model")
    adapters = {key: ledger.assets.find(reference, kind="adapter").digest for key, reference in _adapters(settings)}
    return _placed(asset.digest, adapters, settings)


@dataclass(frozen=True)
class Loadable:
    """A model that may be loaded, and what starts its engine."""

    asset: Asset
    adapters: Mapping[str, Asset]
    directory: Path
    start: EngineStart


def require_loadable(settings: ServedModelSettings, ledger: Ledger) -> Loadable:
    """What a release points at, once all is well that can be known of it before anything is loaded.

    Raises:
        UserError: as `place_model` and `require_parity`, or files of it were erased, or the engine cannot do what it
            is asked for.
        Failure: files of it are missing.
    """
    asset = ledger.assets.find(f"{settings.release}@{settings.channel}", kind="model")
    adapters = {key: ledger.assets.find(reference, kind="adapter") for key, reference in _adapters(settings)}
    digests = {key: adapter.digest for key, adapter in adapters.items()}
    require_parity(ledger, asset.digest, digests, settings)
    directory = ledger.assets.directory(asset.digest)
    start = engine_start(
        settings.engine,
        directory=directory,
        precision=settings.precision,
        device=settings.device,
        slots=settings.slots,
        window=settings.window,
        threads=settings.threads,
        adapters={key: ledger.assets.directory(adapter.digest) for key, adapter in adapters.items()},
        base=asset.digest,
        options=settings.options,
    )
    return Loadable(asset, adapters, directory, start)


async def load_model(
    name: str,
    settings: ServedModelSettings,
    ledger: Ledger,
    loadable: Loadable,
    say: Callable[[str], None],
    standby: Standby | None = None,
) -> ServedModel:
    """Start the engine of a model, in a process in waiting if there is one.

    Raises:
        UserError: it cannot be loaded, or nobody certified this version of the engine for it.
        Failure: the engine did not start.
    """
    asset, adapters, directory = loadable.asset, loadable.adapters, loadable.directory
    digests = {key: adapter.digest for key, adapter in adapters.items()}
    host = EngineHost(loadable.start, lambda said: say(f"{name}: {said}"), standby)
    facts = await host.start()
    served = {key: ServedAdapter(adapter.digest, frozenset(adapter.labels)) for key, adapter in adapters.items()}
    labels = frozenset(asset.labels)
    try:
        # A remote server says its version only when it is asked.
        await asyncio.to_thread(require_parity, ledger, asset.digest, digests, settings, facts.version)
        return await asyncio.to_thread(ServedModel, name, settings, asset.digest, labels, served, directory, host)
    except BaseException:
        await host.close()  # whatever it was: nobody else knows of the process
        raise


def require_parity(
    ledger: Ledger, model: str, adapters: Mapping[str, str], settings: ServedModelSettings, engine_version: str = ""
) -> None:
    """Refuse a model, or an adapter on it, that nobody compared with the reference on this engine as it is now.

    Args:
        model: its digest.
        adapters: their digests by name.
        engine_version: of the engine that runs, where it is known.

    Raises:
        UserError: there is no receipt that covers it (Uncertified: none at all), or the newest one says that it failed.
    """
    command = f"loresmith models certify {settings.release}@{settings.channel} --engine {settings.engine}"
    named = "".join(f" --adapter {name}={reference}" for name, reference in _adapters(settings))
    hint = f"`{command} --precision {settings.precision}{named}` compares them and keeps the receipt"
    for name, digest in ((None, model), *adapters.items()):
        said = f"{settings.release}@{settings.channel}" + ("" if name is None else f" with {name}")
        where = f"{said} on the engine {settings.engine} at {settings.precision}"
        base = None if name is None else model
        receipts = [
            one
            for one in ledger.receipts.list(digest)
            if one.kind == PARITY
            and (one.evidence.get("engine"), one.evidence.get("precision")) == (settings.engine, settings.precision)
            and one.evidence.get("base") == base
        ]
        if not receipts:
            raise Uncertified(f"nobody has compared {where} with the reference", hint=hint)
        newest = receipts[-1]
        ledger.receipts.verify(newest)
        by = computed_by(settings.engine, settings.options)
        if reason := receipt_covers(newest, settings.engine, settings.precision, engine_version, by):
            raise UserError(f"the receipt of {where} does not hold any more: {reason}", hint=hint)
        if not newest.passed:
            because = newest.evidence.get("because", "see the receipt")
            raise UserError(
                f"{where} does not compute what the reference does: {because}",
                hint="serve it with another precision or engine",
            )


def _placed(model: str, adapters: Mapping[str, str], settings: ServedModelSettings) -> str:
    from loresmith.ledger.digest import digest_of

    return digest_of({"model": model, "adapters": dict(adapters), "settings": settings.model_dump(mode="json")})


def _adapters(settings: ServedModelSettings) -> list[tuple[str, str]]:
    return sorted(settings.adapters.items())
