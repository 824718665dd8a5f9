"""The step `pack`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loresmith.data.corpus import require_use
from loresmith.data.steps.stopping import stopper
from loresmith.factory.step import Check, Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


class PackConfig(StepConfig):
    """Documents to token shards."""

    shard_bytes: int = Field(
        default=256 << 20,
        ge=1 << 10,
        description="Largest size of a shard file, in bytes; larger streams have several.",
    )


def _pack(context: StepContext, config: PackConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.pack import pack

    stop = stopper(context)
    require_use(inputs["corpus"].directory, "train")
    total = inputs["corpus"].metadata.get("bytes")

    def look(done_bytes: int, done_tokens: int) -> None:
        stop()
        context.progress(done_bytes, total, "bytes", tokens=done_tokens)

    directory = context.output("tokens")
    packed = pack(inputs["corpus"].directory, inputs["tokenizer"].directory, directory, config.shard_bytes, look)
    context.metric("tokens", packed.entered["tokens"], packed.entered["bytes"])
    metadata = {
        **{unit: {name: split[unit] for name, split in packed.splits.items()} for unit in packed.entered},
        "vocabulary_size": packed.vocabulary_size,
        "encoder": packed.encoder,
    }
    if packed.first_retain_until:
        metadata["first_retain_until"] = packed.first_retain_until
    if packed.encoder["reason"]:
        context.log(f"encoded by {packed.encoder['library']}, the slower way: {packed.encoder['reason']}")
    accounts = tuple(
        Account(
            unit=unit,
            entered=entered,
            left=(Entry(disposition="kept", reason="", count=sum(split[unit] for split in packed.splits.values())),),
        )
        for unit, entered in packed.entered.items()
    )
    equal = packed.round_trip["equal"] == packed.round_trip["documents"]
    return Result(
        {"tokens": Made(directory, metadata)},
        Books(accounts=accounts),
        (Check("tokens", "round-trip", equal, packed.round_trip),),
    )


PACK = Step(
    name="pack",
    version=3,
    summary="Encode the documents of a corpus into shards of token ids.",
    config=PackConfig,
    inputs={
        "corpus": Input("corpus", "The documents."),
        "tokenizer": Input("tokenizer", "What encodes them; a copy goes with the tokens."),
    },
    outputs={"tokens": Output("tokens", "Memory-mapped shards for each split, with an index of documents.")},
    run=_pack,
    packages=("tokenizers", "tiktoken", "pyarrow"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=20 << 20),
)
