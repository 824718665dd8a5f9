"""The steps of the data room, as the factory runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from pydantic import Field

from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


def _stopper(context: StepContext) -> Callable[[], None]:
    """A function that leaves the step when a stop was asked for."""

    def look() -> None:
        if context.stop_requested():
            context.stopped()

    return look


def _kept(unit: str, count: int) -> Account:
    return Account(unit=unit, entered=count, left=(Entry(disposition="kept", reason="", count=count),))


class TrainTokenizerConfig(StepConfig):
    """A byte-level byte-pair vocabulary, learnt from the training split."""

    vocabulary_size: int = Field(
        default=8192,
        ge=300,
        le=1_000_000,
        description="Tokens in all, special ones included. More make texts shorter and the model's embedding larger.",
    )
    reserved_tokens: int = Field(
        default=16, ge=0, le=1024, description="Special tokens kept free for what later training wants to mark."
    )


def _train_tokenizer(context: StepContext, config: TrainTokenizerConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.corpus import read_documents
    from loresmith.data.tokenizer_report import report_on
    from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs

    corpus = inputs["corpus"]
    look = _stopper(context)
    read = {"documents": 0, "bytes": 0}

    def texts() -> Iterator[str]:
        for batch in read_documents(corpus.directory, ("text",), "train"):
            look()
            for text in batch.column("text").to_pylist():
                read["documents"] += 1
                read["bytes"] += len(text.encode("utf-8"))
                yield text
            context.progress(read["bytes"], None, "bytes")

    tokenizer = train_byte_pairs(texts(), config.vocabulary_size, config.reserved_tokens)
    directory = context.output("tokenizer")
    save_tokenizer(tokenizer, directory)
    report = report_on(directory, corpus.directory, look)
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for split, numbers in report["splits"].items():
        context.metric(f"bytes_per_token/{split}", numbers["bytes_per_token"], read["bytes"])
    metadata = {
        "vocabulary_size": report["vocabulary_size"],
        "bytes_per_token": {split: numbers["bytes_per_token"] for split, numbers in report["splits"].items()},
    }
    accounts = (_kept("documents", read["documents"]), _kept("bytes", read["bytes"]))
    return Result({"tokenizer": Made(directory, metadata)}, Books(accounts=accounts))


class PackConfig(StepConfig):
    """Documents to token shards."""

    shard_bytes: int = Field(
        default=256 << 20,
        ge=1 << 10,
        description="Largest size of a shard file, in bytes; larger streams have several.",
    )


def _pack(context: StepContext, config: PackConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.pack import pack

    stop = _stopper(context)
    total = inputs["corpus"].metadata.get("bytes")

    def look(done_bytes: int, done_tokens: int) -> None:
        stop()
        context.progress(done_bytes, total, "bytes", tokens=done_tokens)

    directory = context.output("tokens")
    packed = pack(inputs["corpus"].directory, inputs["tokenizer"].directory, directory, config.shard_bytes, look)
    tokens = sum(packed.tokens.values())
    context.metric("tokens", tokens, sum(packed.bytes.values()))
    metadata = {
        "documents": packed.documents,
        "bytes": packed.bytes,
        "tokens": packed.tokens,
        "vocabulary_size": packed.vocabulary_size,
    }
    accounts = tuple(
        _kept(unit, sum(counts.values()))
        for unit, counts in (("documents", packed.documents), ("bytes", packed.bytes), ("tokens", packed.tokens))
    )
    return Result({"tokens": Made(directory, metadata)}, Books(accounts=accounts))


TRAIN_TOKENIZER = Step(
    name="train-tokenizer",
    version=1,
    summary="Learn a byte-level byte-pair vocabulary from the training split of a corpus.",
    config=TrainTokenizerConfig,
    inputs={"corpus": Input("corpus", "The text to learn from; only its training split is read to learn.")},
    outputs={"tokenizer": Output("tokenizer", "A transformers fast tokenizer with a chat template, and a report.")},
    run=_train_tokenizer,
    packages=("tokenizers", "transformers"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=1 << 20),
)

PACK = Step(
    name="pack",
    version=1,
    summary="Encode the documents of a corpus into shards of token ids.",
    config=PackConfig,
    inputs={
        "corpus": Input("corpus", "The documents."),
        "tokenizer": Input("tokenizer", "What encodes them; a copy goes with the tokens."),
    },
    outputs={"tokens": Output("tokens", "Memory-mapped shards for each split, with an index of documents.")},
    run=_pack,
    packages=("tokenizers", "pyarrow"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=20 << 20),
)
