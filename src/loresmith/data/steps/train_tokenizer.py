"""The step `train-tokenizer`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Literal

from pydantic import Field, model_validator

from loresmith.data.corpus import require_use
from loresmith.data.special_tokens import smallest_vocabulary
from loresmith.data.steps.stopping import stopper
from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class TrainTokenizerConfig(StepConfig):
    """A byte-level byte-pair vocabulary, learnt from the training split."""

    vocabulary_size: int = Field(
        default=8192,
        ge=256,
        le=1_000_000,
        description="Tokens in all, special ones included. More make texts shorter and the model's embedding larger.",
    )
    reserved_tokens: int = Field(
        default=16, ge=0, le=1024, description="Special tokens kept free for what later training wants to mark."
    )
    pre_tokenizer: Literal["code", "gpt2"] = Field(
        default="code",
        description="What no token may cross. `code` is close to GPT-4's: numbers by three digits, runs of spaces "
        "together. `gpt2` is GPT-2's, which the fastest encoders know.",
    )
    training_bytes: int = Field(
        default=256 << 20,
        ge=1,
        description="About how much text, in bytes, the vocabulary is learnt from; of more, a sample of documents is "
        "taken.",
    )

    @model_validator(mode="after")
    def _bytes_and_special_tokens_fit(self) -> TrainTokenizerConfig:
        smallest = smallest_vocabulary(self.reserved_tokens)
        if self.vocabulary_size < smallest:
            raise ValueError(
                f"a vocabulary_size of {self.vocabulary_size} leaves no room: bytes and special tokens are {smallest}"
            )
        return self


def _train_tokenizer(context: StepContext, config: TrainTokenizerConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.encoding_record import compare_encoders, sample_of, write_record
    from loresmith.data.learning_sample import LearningSample
    from loresmith.data.tokenizer_report import report_on
    from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs

    corpus = inputs["corpus"].directory
    require_use(corpus, "train")
    look = stopper(context)
    sample = LearningSample(corpus, config.training_bytes, context)
    texts = chain.from_iterable(sample.batches())
    tokenizer = train_byte_pairs(texts, config.vocabulary_size, config.reserved_tokens, config.pre_tokenizer)
    look()
    directory = context.output("tokenizer")
    save_tokenizer(tokenizer, directory)
    record = compare_encoders(directory, sample_of(corpus, look))
    write_record(record, directory)
    if record.reason:
        context.log(f"text will be encoded by {record.libraries[0]}, the slower way: {record.reason}")
    report = report_on(directory, corpus, look)
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for split, numbers in report["splits"].items():
        context.metric(f"bytes_per_token/{split}", numbers["bytes_per_token"], sample.read["bytes"])
    metadata = {
        "vocabulary_size": report["vocabulary_size"],
        "bytes_per_token": {split: numbers["bytes_per_token"] for split, numbers in report["splits"].items()},
        "encoder": record.facts(),
    }
    return Result({"tokenizer": Made(directory, metadata)}, sample.books())


TRAIN_TOKENIZER = Step(
    name="train-tokenizer",
    version=3,
    summary="Learn a byte-level byte-pair vocabulary from the training split of a corpus.",
    config=TrainTokenizerConfig,
    inputs={"corpus": Input("corpus", "The text to learn from; only its training split is read to learn.")},
    outputs={"tokenizer": Output("tokenizer", "A transformers fast tokenizer with a chat template, and a report.")},
    run=_train_tokenizer,
    packages=("tokenizers", "tiktoken", "transformers"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=1 << 20),
)
