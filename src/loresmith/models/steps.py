"""The steps of the model room, as the factory runs them."""

from __future__ import annotations

from collections.abc import Mapping

from loresmith.factory.step import Check, Guess, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry
from loresmith.models.base_source import BaseSource


class ImportModelConfig(StepConfig, BaseSource):
    """A base model from a folder, a file, a package, or the hub where that is allowed."""


def _import_model(context: StepContext, config: ImportModelConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    import shutil

    from loresmith.models.base_import import import_base

    def say(what: str) -> None:
        context.log(what)
        if context.stop_requested():
            context.stopped()

    model, tokenizer, scratch = context.output("model"), context.output("tokenizer"), context.work / "import"
    shutil.rmtree(scratch, ignore_errors=True)  # what an interrupted import left
    scratch.mkdir()
    made = import_base(config, model, tokenizer, scratch, say)
    shutil.rmtree(scratch)
    labels = tuple(sorted(set(config.labels)))
    return Result(
        {"model": Made(model, made.model, labels), "tokenizer": Made(tokenizer, made.tokenizer, labels)},
        Books(accounts=(_weights(made.weights_read, made.weights_written),)),
        (Check("model", "import-parity", bool(made.parity["passed"]), made.parity),) if made.parity else (),
    )


def _weights(read: int, written: int) -> Account:
    """Where a source's numbers went. In another type tied embeddings are written once, though they may stand twice."""
    left = [Entry(disposition="kept", reason="", count=written)]
    if read > written:
        left.append(Entry(disposition="merged", reason="tied to others", count=read - written))
    return Account(unit="weights", entered=read, left=tuple(left))


def _fingerprint(config: ImportModelConfig) -> str:
    from loresmith.models.base_import import base_fingerprint

    return base_fingerprint(config)


IMPORT_MODEL = Step(
    name="import-model",
    version=1,
    summary="Take over a base model and its tokenizer, as plain safetensors, from a folder, a file or a package.",
    config=ImportModelConfig,
    inputs={},
    outputs={
        "model": Output("model", "A Hugging Face model directory with its tokenizer."),
        "tokenizer": Output("tokenizer", "The tokenizer alone, for `pack`."),
    },
    run=_import_model,
    fingerprint=_fingerprint,
    packages=("torch", "transformers", "tokenizers", "safetensors", "gguf"),
    guess=lambda _config: Guess(seconds=60, peak_bytes=4 << 30, output_bytes=1 << 30),
)
