"""The step `train-guard`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from loresmith.factory.step import Guess, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry

_EXAMPLES = "examples.jsonl"


class TrainGuardConfig(StepConfig):
    """Examples of texts to a classifier of topics, for the guard `topic`."""

    path: Path = Field(
        json_schema_extra={"location": True},
        description="A file of JSON lines, each with `text` and `topic`; texts without a topic, or of the topic "
        "`other`, are about none of them.",
    )
    folds: int = Field(
        default=5,
        ge=2,
        le=20,
        description="Into how many parts the examples are divided to see how well it works; each is judged by a "
        "classifier that learnt from the others.",
    )
    regularisation: float = Field(
        default=3e-4,
        gt=0,
        le=1,
        description="What a weight costs (L2, of the mean loss). More makes the classifier less sure of what it saw "
        "rarely.",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Access labels of the examples, which the classifier carries, too."
    )


def _train_guard(context: StepContext, config: TrainGuardConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.serving.guards.topic_training import read_examples, train

    def look(done: int) -> None:
        if context.stop_requested():
            context.stopped()
        context.progress(done, config.folds + 1, "fits")

    examples = read_examples(config.path)
    model = train(examples, config.folds, config.regularisation, look)
    directory = context.output("guard")
    model.save(directory)
    lines = (json.dumps(vars(example), ensure_ascii=False, sort_keys=True) for example in examples)
    (directory / _EXAMPLES).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for quality in model.facts.topics:
        context.metric(f"precision/{quality.topic}", quality.precision, quality.examples)
        context.metric(f"recall/{quality.topic}", quality.recall, quality.examples)
    kept = (Entry(disposition="kept", reason="", count=len(examples)),)
    books = Books(accounts=(Account(unit="examples", entered=len(examples), left=kept),))
    metadata = {"guard": "topic", "topics": [quality.model_dump() for quality in model.facts.topics]}
    return Result({"guard": Made(directory, metadata, config.labels)}, books)


def _fingerprint(config: TrainGuardConfig) -> str:
    """Of what the examples say, which is checked here so that a mistake is found when the plan is made."""
    from loresmith.serving.guards.topic_training import read_examples

    said = [vars(example) for example in read_examples(config.path)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _restore(config: TrainGuardConfig, outputs: Mapping[str, Path], _folder: Path) -> TrainGuardConfig:
    return config.model_copy(update={"path": outputs["guard"] / _EXAMPLES})


TRAIN_GUARD = Step(
    name="train-guard",
    version=1,
    summary="Teach a small classifier which topics are not for this endpoint, from examples.",
    config=TrainGuardConfig,
    inputs={},
    outputs={"guard": Output("bundle", "The classifier, how well it works, and its examples; for the guard `topic`.")},
    run=_train_guard,
    fingerprint=_fingerprint,
    restore_sources=_restore,
    packages=("numpy", "torch"),
    guess=lambda _config: Guess(seconds=20, peak_bytes=1 << 30, output_bytes=2 << 20),
)
