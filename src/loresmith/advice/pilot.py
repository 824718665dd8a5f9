"""The pilot: one small model, trained anew on 10, 30 and 100 % of the text, and scored on the same held-out documents.

Every training goes over its part of the text equally often, so that what differs is how much different text there was.
Each is a training like any other, by the one loop: a killed pilot goes on from the checkpoint of the training it was
at, and those that had finished are not made again.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from loresmith.advice.learning_curve import LearningCurve, Trial, learning_curve
from loresmith.advice.part import Part
from loresmith.advice.pilot_text import PilotText, choose_text, write_part
from loresmith.models.architecture import Architecture
from loresmith.models.families import count

if TYPE_CHECKING:
    from loresmith.training.callbacks import Surroundings

LENGTH = 128
BATCH_TOKENS = 1024
FEWEST_STEPS = 20
"""Of the training on the least text; with fewer a model has hardly begun, and the curve is of nothing."""
MOST_EPOCHS = 4
HELD_OUT_CHARACTERS = 200_000
SCORED_TOKENS = 8192
"""In a batch of the scoring."""
SCORING = 1 / 3
"""What it takes to score a token, of what it takes to learn from one: the way forward without the way back."""


class PilotSettings(BaseModel):
    """How large the pilot is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shares: tuple[float, ...]
    subsets: int
    seeds: int
    tokens: int
    minutes: float
    architecture: Architecture
    vocabulary_size: int

    def trials(self, share: float) -> int:
        """How often a share of the text is tried: with several subsets, or all of it with several seeds."""
        return self.seeds if share == 1 else self.subsets

    @property
    def trainings(self) -> int:
        return sum(map(self.trials, self.shares))


class Pilot(Part):
    """A learning curve, and how it was measured; `curve.because` says where there is none."""

    ran: bool = Field(description="Whether models were trained.")
    parameters: int = Field(description="Of the model.")
    architecture: str = Field(description="Its shape.")
    text_bytes: int = Field(description="UTF-8 bytes of the text that counts as 100 %.")
    of_all: float = Field(description="Share that this is of all text that may be learnt from.")
    epochs: int = Field(description="How often each training went over its part of the text.")
    trained_tokens: int = Field(description="Tokens that all trainings went over, together.")
    held_out_documents: int = Field(description="Documents that were scored.")
    held_out_bytes: int = Field(description="UTF-8 bytes of their text that were scored.")
    curve: LearningCurve = Field(description="What came of it.")


def no_pilot(settings: PilotSettings, because: str) -> Pilot:
    """What the report has where no model was trained."""
    return Pilot(
        ran=False,
        parameters=count(settings.architecture, settings.vocabulary_size).total,
        architecture=_shape(settings.architecture),
        text_bytes=0,
        of_all=0.0,
        epochs=0,
        trained_tokens=0,
        held_out_documents=0,
        held_out_bytes=0,
        curve=learning_curve([], [], 0.0, 0).model_copy(update={"because": because}),
    )


@dataclass(frozen=True)
class _Training:
    """One of the trainings."""

    share: float
    subset: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.share:.0%}".replace("%", "") + (f"-{self.subset + 1}" if self.subset else "")


class _Within:
    """What one training of the pilot reports to: the step, of whose progress it is a part."""

    def __init__(self, step: Surroundings, training: _Training, done: int, total: int, seed: int) -> None:
        self._step = step
        self._training = training
        self._done = done
        self._total = total
        self.seed = seed
        self.work = training.folder
        self.threads = step.threads
        self.tensor_parallel = 1
        self.expert_parallel = 1

    def output(self, role: str) -> Path:
        return self._step.output(role)

    def log(self, message: str) -> None:
        self._step.log(f"pilot, {self._training.share:.0%} of the text: {message}")

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        self._step.progress(self._done + done, self._total, unit, **numbers)

    def metric(self, name: str, value: float, position: float) -> None:
        self._step.metric(f"pilot-{self._training.name}/{name}", value, position)

    def checkpoint(self, directory: Path, position: float) -> None:
        self._step.checkpoint(directory, self._done + position)

    def stop_requested(self) -> bool:
        return self._step.stop_requested()

    def stopped(self) -> None:
        self._step.stopped()


def run_pilot(
    corpus: Path,
    tokenizer: Path,
    bytes_per_token: float,
    usable_bytes: int,
    tokens_per_second: float,
    settings: PilotSettings,
    step: Surroundings,
) -> Pilot:
    """Train and score, and fit the curve.

    Args:
        tokenizer: the pilot's own.
        bytes_per_token: of it, on this text.
        usable_bytes: of all documents that may be learnt from.
        tokens_per_second: how fast a model of this size learns here.
    """
    scoring = settings.trainings * HELD_OUT_CHARACTERS / bytes_per_token * SCORING
    budget = min(settings.tokens, max(0, int(settings.minutes * 60 * tokens_per_second - scoring)))
    weight = sum(share * settings.trials(share) for share in settings.shares)
    orders = max(settings.subsets, settings.seeds)
    text = choose_text(corpus, budget / weight * bytes_per_token, HELD_OUT_CHARACTERS, orders, step.seed)
    epochs = max(1, min(MOST_EPOCHS, int(budget / (weight * text.bytes / bytes_per_token)))) if text.bytes else 1
    least = min(settings.shares) * text.bytes / bytes_per_token * epochs / BATCH_TOKENS
    if least < FEWEST_STEPS:
        return no_pilot(
            settings,
            f"{min(settings.shares):.0%} of the text make {least:.0f} steps of {BATCH_TOKENS:,} tokens, and "
            f"{FEWEST_STEPS} are the least that teach a model anything",
        )
    if not text.held_out:
        return no_pilot(settings, "there is nothing to hold out: all documents are of too few groups")
    trainings = list(_trainings(settings, step.work / "pilot"))
    total = round(weight * text.bytes / bytes_per_token * epochs)
    trials, done = [], 0
    sizes = [len(each.text.encode()) for each in text.held_out]
    scored = sum(sizes) / bytes_per_token * SCORING
    time_left = _TimeLeft(tokens_per_second)
    expected = time_left.said(total + len(trainings) * scored)
    step.log(f"the pilot: {len(trainings)} trainings over {total:,} tokens, {expected}")
    for number, training in enumerate(trainings, 1):
        result = training.folder / "result.json"
        was_done = result.is_file()
        if not was_done:
            _train(corpus, tokenizer, text, training, epochs, settings, step, (done, total))
        found = json.loads(result.read_text(encoding="utf-8"))
        trials.append(Trial(training.share, training.subset, found["tokens"], found["nats"]))
        done += found["tokens"] * epochs
        time_left.note(0 if was_done else found["tokens"] * epochs + scored)
        ahead = total - done + (len(trainings) - number) * scored
        now = f"; {time_left.said(ahead)} left" if number < len(trainings) else ""
        step.log(f"the pilot: {number} of {len(trainings)}, {training.share:.0%} of the text{now}")
    all_tokens = usable_bytes / bytes_per_token
    curve = learning_curve(trials, sizes, all_tokens, step.seed)
    for point in curve.points:
        step.metric("pilot_held_out_bits_per_byte", point.bits_per_byte, point.tokens)
    return Pilot(
        ran=True,
        parameters=count(settings.architecture, settings.vocabulary_size).total,
        architecture=_shape(settings.architecture),
        text_bytes=text.bytes,
        of_all=text.bytes / max(1, usable_bytes),
        epochs=epochs,
        trained_tokens=done,
        held_out_documents=len(text.held_out),
        held_out_bytes=sum(sizes),
        curve=curve,
    )


class _TimeLeft:
    """How long is left, by the speed that was measured first until there is that of this pilot's own trainings."""

    def __init__(self, tokens_per_second: float) -> None:
        self._expected = tokens_per_second
        self._noted = time.monotonic()
        self._seconds = self._tokens = 0.0

    def note(self, tokens: float) -> None:
        """Say what was done since the last time; nothing, if it was found done."""
        now = time.monotonic()
        if tokens:
            self._seconds += now - self._noted
            self._tokens += tokens
        self._noted = now

    def said(self, tokens: float) -> str:
        speed = self._tokens / self._seconds if self._seconds else self._expected
        seconds = max(0.0, tokens) / speed
        return f"about {seconds:.0f} seconds" if seconds < 90 else f"about {seconds / 60:.0f} minutes"


def _trainings(settings: PilotSettings, folder: Path) -> Iterator[_Training]:
    for share in sorted(settings.shares):
        for subset in range(settings.trials(share)):
            yield _Training(share, subset, folder / f"{share:g}-{subset}")


def _train(
    corpus: Path,
    tokenizer: Path,
    text: PilotText,
    training: _Training,
    epochs: int,
    settings: PilotSettings,
    step: Surroundings,
    place: tuple[int, int],
) -> None:
    """Train on a part of the text, or go on with it, and write what the held-out documents cost."""
    from loresmith.data.encoding import Encoder
    from loresmith.data.pack import pack
    from loresmith.data.shards import TokenShards
    from loresmith.evaluation.bits_per_byte import TokenDocument, score_documents
    from loresmith.training.batches import RowBatches
    from loresmith.training.causal_lm import CausalLM
    from loresmith.training.first_model import first_model
    from loresmith.training.fit import fit
    from loresmith.training.loop_settings import LoopSettings
    from loresmith.training.token_data import token_rows

    def look(*_: object) -> None:
        if step.stop_requested():
            step.stopped()

    tokens = training.folder / "tokens"
    if not (tokens / "whole").is_file():
        for made in (training.folder / "text", tokens):
            shutil.rmtree(made, ignore_errors=True)
        write_part(corpus, text.chosen(training.subset, training.share), training.folder / "text", look)
        tokens.mkdir()
        pack(training.folder / "text", tokenizer, tokens, 256 << 20, look)
        shutil.rmtree(training.folder / "text")
        (tokens / "whole").touch()
    shards = TokenShards.open(tokens)
    length = shards.splits["train"].tokens
    config = LoopSettings(
        budget_tokens=max(BATCH_TOKENS, length * epochs),
        batch_tokens=BATCH_TOKENS,
        micro_batch_tokens=BATCH_TOKENS,
        sequence_length=LENGTH,
        embedding_learning_rate=0.3,  # as in examples/stdlib: short trainings move embeddings far
        head_learning_rate=0.012,
        checkpoint_seconds=15,
    )
    within = _Within(step, training, *place, seed=step.seed + training.subset)
    batches = RowBatches(
        token_rows(shards, LENGTH, "pilot", isolated=False), LENGTH, BATCH_TOKENS, BATCH_TOKENS, within.seed
    )
    model = first_model(settings.architecture, shards, LENGTH, None, within.seed)
    fitted = fit(within, config, model, batches, CausalLM(), [], isolated=False)
    encoder = Encoder.load(tokenizer)
    documents = [
        TokenDocument(
            each.id, "", [encoder.end_of_document, *encoder.document(each.text).tolist()], len(each.text.encode())
        )
        for each in text.held_out
    ]
    device = next(fitted.model.parameters()).device
    scores = score_documents(
        fitted.model, documents, window=LENGTH, batch_tokens=SCORED_TOKENS, device=device, on_batch=look
    )
    result = {"tokens": length, "nats": [score.nats for score in scores]}
    written = training.folder / "result.json.new"
    written.write_text(json.dumps(result), encoding="utf-8")
    written.replace(training.folder / "result.json")
    for left in (tokens, training.folder / "checkpoints"):
        shutil.rmtree(left, ignore_errors=True)


def _shape(architecture: Architecture) -> str:
    return f"{architecture.family}, {architecture.layers} layers of width {architecture.width}"
