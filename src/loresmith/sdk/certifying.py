"""Comparing an engine on a model with the reference, and keeping receipts of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from loresmith.ledger.receipts import Receipt
from loresmith.serving.engines.starting import EngineName, engine_start

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class Certified(NamedTuple):
    """A receipt about a model (adapter None), or about an adapter on it."""

    adapter: str | None
    receipt: Receipt


def certify(
    workspace: Workspace,
    model: str,
    *,
    engine: EngineName,
    precision: str,
    threads: int,
    adapters: Mapping[str, str],
    device: str = "cpu",
    slots: int = 16,
    window: int = 1024,
    options: Mapping[str, Any],
    say: Callable[[str], None] = lambda _: None,
) -> list[Certified]:
    """Compare, in the engine's own process as the gateway runs it, and keep a receipt whatever comes of it.

    Args:
        model: a reference to its asset.
        adapters: references to assets by name; each gets a receipt of its own.
        options: those of the engine; see `engine_start`.

    Raises:
        UserError: there is no such asset, or the engine cannot be started with it.
        Failure: the engine did not start.
    """
    from loresmith.models.storage import load_tokenizer
    from loresmith.serving.engines.host import EngineHost
    from loresmith.serving.parity.asking import NEW_TOKENS, ask_all, asking_host
    from loresmith.serving.parity.comparison import compare
    from loresmith.serving.parity.prompts import parity_prompts
    from loresmith.serving.parity.receipt import PARITY, computed_by, evidence
    from loresmith.serving.parity.reference import Reference

    assets = workspace.ledger.assets
    asset = assets.find(model, kind="model")
    found = {name: assets.find(reference, kind="adapter") for name, reference in sorted(adapters.items())}
    directory = assets.directory(asset.digest)
    folders = {name: assets.directory(adapter.digest) for name, adapter in found.items()}
    start = engine_start(
        engine,
        directory=directory,
        precision=precision,
        device=device,
        slots=slots,
        window=window,
        threads=threads,
        adapters=folders,
        base=asset.digest,
        options=options,
    )
    by = computed_by(engine, start.arguments.get("server") or start.arguments.get("exported") or {})
    say(f"starting {engine}")
    host = EngineHost(start, say)
    with asyncio.Runner() as runner:
        facts = runner.run(host.start())
        try:
            prompts, left_out = parity_prompts(
                load_tokenizer(directory), facts.vocabulary_size, facts.window - NEW_TOKENS
            )
            answered = ask_all(asking_host(host, runner), facts, prompts, left_out, say)
        finally:
            runner.run(host.close())
    certified = []
    for name in (None, *found):
        subject = asset.digest if name is None else found[name].digest
        more = {"computed_by": by} if by else {}
        more |= {} if name is None else {"base": asset.digest}
        say("loading the reference" if name is None else f"loading the reference with {name}")
        reference = Reference(directory, None if name is None else folders[name], asset.digest)
        comparison = compare(answered, reference, name, say)
        del reference  # before the next one is loaded
        passed = not comparison.because()
        kept = workspace.ledger.receipts.add(subject, PARITY, passed, evidence(answered, comparison, more))
        certified.append(Certified(name, kept))
    return certified
