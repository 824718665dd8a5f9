"""What a corpus is enough for: numbers, judged by the rules of `verdict_rules`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from loresmith.advice.figures import count, percent, size
from loresmith.advice.laws import EPOCHS_WORTHWHILE, TOKENS_PER_PARAMETER
from loresmith.advice.part import Part
from loresmith.advice.verdict_rules import CONCERNS, LEVELS, REQUIREMENTS, Level


class Reason(Part):
    """A requirement, and whether it is met."""

    level: Level = Field(description="The level that asks for it.")
    met: bool = Field(description="Whether it is met.")
    sentence: str = Field(description="What there is and what is asked for.")
    because: str = Field(description="Why it is asked for.")
    source: str = Field(description="Where the threshold comes from.")


class Condition(Part):
    """Something to settle."""

    weight: Literal["must", "should"] = Field(description="`must` before a training; `should` for a better one.")
    sentence: str = Field(description="What is so.")
    do: str = Field(description="What to do about it.")
    source: str = Field(description="Why it matters.")


class Verdict(Part):
    """What the corpus is enough for."""

    level: Level = Field(description="The highest level whose requirements are met.")
    sentence: str = Field(description="The verdict in one sentence.")
    reasons: tuple[Reason, ...] = Field(description="Every requirement, met or not.")
    conditions: tuple[Condition, ...] = Field(description="What to settle, `must` first.")
    next: tuple[str, ...] = Field(description="What to do next.")


def judge(numbers: Mapping[str, float], scratch_parameters: int) -> Verdict:
    """Judge a corpus.

    Args:
        numbers: what the rules are about; a concern whose measure is not there is not raised.
        scratch_parameters: the size of the model that one would want to train from scratch.
    """
    scratch_tokens = scratch_parameters * TOKENS_PER_PARAMETER / EPOCHS_WORTHWHILE
    reasons = []
    for rule in REQUIREMENTS:
        minimum = scratch_tokens if rule.minimum is None else rule.minimum
        has = numbers.get(rule.measure, 0.0)
        sentence = f"{_amount(has, rule.unit)} {_called(rule.measure)}; {_amount(minimum, rule.unit)} asked for"
        if rule.minimum is None:
            sentence += f", for a model of {count(scratch_parameters)} parameters"
        reasons.append(
            Reason(level=rule.level, met=has >= minimum, sentence=sentence, because=rule.because, source=rule.source)
        )
    level: Level = "nothing"
    for step in LEVELS[1:]:
        if not all(reason.met for reason in reasons if reason.level == step):
            break
        level = step
    conditions = sorted(_conditions(numbers), key=lambda condition: condition.weight)
    return Verdict(
        level=level,
        sentence=_sentence(level, numbers),
        reasons=tuple(reasons),
        conditions=tuple(conditions),
        next=tuple(_next(level, numbers, conditions, scratch_tokens)),
    )


def _conditions(numbers: Mapping[str, float]) -> list[Condition]:
    raised = []
    for concern in CONCERNS:
        value = numbers.get(concern.measure, 0.0)
        if value > concern.beyond and numbers.get("bytes", 0):
            shown = percent(value) if concern.shown == "percent" else count(value)
            raised.append(
                Condition(
                    weight=concern.weight,
                    sentence=concern.said.format(value=shown),
                    do=concern.do.format(),
                    source=concern.source,
                )
            )
    return raised


def _sentence(level: Level, numbers: Mapping[str, float]) -> str:
    tokens = count(numbers.get("different_tokens", 0))
    if level == "nothing":
        return "This is not enough for anything yet: there is hardly any text that may be used."
    if level == "retrieval only":
        return f"Enough to be searched, not to train on: there are {tokens} different tokens that may be learnt from."
    if level == "fine-tuning":
        return f"Enough to fine-tune an existing model, not to pre-train one: there are {tokens} different tokens."
    if level == "continued pre-training":
        return (
            f"Enough to go on with the training of an existing model, not to train one from scratch: there are "
            f"{tokens} different tokens."
        )
    return f"Enough to train a model from scratch: there are {tokens} different tokens."


def _next(level: Level, numbers: Mapping[str, float], conditions: list[Condition], scratch_tokens: float) -> list[str]:
    steps = []
    if any(condition.weight == "must" for condition in conditions):
        steps.append("Settle what is listed under “before a training” first; the rest can go on beside it.")
    tokens = numbers.get("different_tokens", 0.0)
    if level == "nothing":
        steps.append(
            "Collect text that may be used, and read the books: what was refused, dropped or kept out, and why."
        )
    elif level == "retrieval only":
        steps.append("Put the documents behind a search, and let an existing model answer from what it finds.")
    elif level == "fine-tuning":
        steps.append(
            "Have a thousand or more questions with answers written from the documents, fine-tune an existing model on "
            "them (`sft`), and keep a search beside it for facts."
        )
    elif level == "continued pre-training":
        steps.append(
            "Train an existing model on for one to four epochs (`pretrain` with a `base`), with a few percent of "
            "general text against forgetting (`replay`), and fine-tune it afterwards."
        )
    else:
        steps.append(
            "Train the largest size marked as enough, or go on with an existing model's training and compare: the "
            "latter mostly wins at equal cost."
        )
    if level in ("fine-tuning", "continued pre-training") and numbers.get("largest_model", 0) >= 1_000_000:
        steps.append(
            f"For one narrow task a model of its own of up to {count(numbers['largest_model'])} parameters can be "
            "trained from scratch on this text."
        )
    if level in ("retrieval only", "fine-tuning") and tokens:
        steps.append(f"To go on with a base model's training, collect {10_000_000 / tokens:,.1f} times as much text.")
    if level == "continued pre-training" and tokens:
        steps.append(
            f"For a model from scratch of the size asked for, collect {scratch_tokens / tokens:,.1f} times as much."
        )
    return steps


def _amount(value: float, unit: str) -> str:
    return size(value) if unit == "bytes" else count(value)


def _called(measure: str) -> str:
    return {
        "retrievable_bytes": "that may be retrieved",
        "different_tokens": "different tokens that may be learnt from",
        "usable_documents": "documents that may be learnt from",
    }[measure]
