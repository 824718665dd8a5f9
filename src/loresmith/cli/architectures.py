"""`loresmith models`, for people."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, number, short, size, visible
from loresmith.sdk.call import Emit
from loresmith.sdk.calls.architectures import DESCRIBE, PRESETS_CALL, DescribeRequest, PresetList, PresetsRequest
from loresmith.sdk.calls.certify import CERTIFY, CertifyAnswer, CertifyRequest, ParityReceipt
from loresmith.sdk.model_costs import ModelCosts, RecipeModels


def _show_presets(answer: PresetList, _request: PresetsRequest, screen: Screen) -> None:
    screen.table(
        ("preset", "kind", "layers", "width", "parameters", "active", "vocabulary", "what it is"),
        (
            (
                preset.name,
                preset.kind,
                str(preset.layers),
                str(preset.width),
                number(preset.parameters),
                number(preset.active_parameters),
                f"{preset.vocabulary_size:,}",
                preset.summary,
            )
            for preset in answer.presets
        ),
        right=("layers", "width", "parameters", "active", "vocabulary"),
    )
    screen.line()
    screen.line("in a recipe: `architecture: {preset: NAME}`; other keys beside it override it")


def _show_costs(answer: RecipeModels, _request: DescribeRequest, screen: Screen) -> None:
    for place, model in enumerate(answer.models):
        if place:
            screen.line()
        _one(model, screen)
    for step in answer.unknown:
        screen.line(f"{step.step}: {step.reason}")


def _one(model: ModelCosts, screen: Screen) -> None:
    cost, memory = model.cost, model.memory
    screen.line(f"{model.step}: {model.model_type}", style="bold")
    routed = f", {model.experts_per_token} of {model.experts} experts a token" if model.experts else ""
    parameters = number(cost.parameters)
    if cost.active_parameters != cost.parameters:
        parameters += f", of which a token meets {number(cost.active_parameters)}"
    if model.trained_parameters != cost.parameters:
        parameters += f", {number(model.trained_parameters)} of them trained"
    teacher = (
        [
            (
                "FLOPs a token, teacher",
                f"{number(model.teacher_flops_per_token)}, of {number(model.teacher_parameters)} parameters",
            )
        ]
        if model.teacher_parameters is not None and model.teacher_flops_per_token is not None
        else []
    )
    facts = [
        ("shape", f"{model.layers} layers of width {model.width}{routed}, from {model.shape_from}"),
        ("vocabulary", f"{model.vocabulary_size:,} tokens, from {model.vocabulary_from}"),
        ("parameters", parameters),
        ("embeddings", number(cost.embedding_parameters)),
        ("FLOPs a token, forward", _operations(cost.forward_flops_per_token, cost.attention_flops_per_token)),
        ("FLOPs a token, training", number(cost.training_flops_per_token)),
        *teacher,
        ("FLOPs in all", _in_all(model)),
        ("Chinchilla-optimal", _optimal(model)),
        ("memory", f"{size(memory.total)}, computing in {model.compute_type}"),
        ("  weights", size(memory.weights)),
        ("  gradients", size(memory.gradients)),
        ("  optimiser", size(memory.optimiser)),
    ]
    if memory.average:
        facts.append(("  moving average", size(memory.average)))
    if memory.teacher:
        facts.append(("  teacher", size(memory.teacher)))
    activations = "not known for this family" if memory.activations is None else size(memory.activations)
    facts.append(("  activations", f"{activations}, for {number(model.micro_batch_tokens)} tokens at once"))
    screen.facts(facts)


def _in_all(model: ModelCosts) -> str:
    if model.budget_tokens is None or model.training_flops is None:
        return f"not known before the dataset is read: {model.epochs:g} epochs of it"
    return f"{model.training_flops:.2e} for {number(model.budget_tokens)} tokens"


def _optimal(model: ModelCosts) -> str:
    best = f"{number(model.cost.chinchilla_tokens)} tokens"
    if model.budget_tokens is None:
        return best
    return f"{best}; this recipe has {model.budget_tokens / model.cost.chinchilla_tokens:.2g} times that"


def _operations(forward: int, attention: int) -> str:
    return f"{number(forward)}, {attention / forward:.1%} of it attention"


@contextmanager
def _said(_request: CertifyRequest) -> Iterator[Emit]:
    """What is done next, in a line each."""

    def emit(event: Mapping[str, Any]) -> None:
        print(visible(event["said"]), file=sys.stderr, flush=True)

    yield emit


def _show_certified(answer: CertifyAnswer, request: CertifyRequest, screen: Screen) -> None:
    for receipt in answer.receipts:
        _show_receipt(receipt, request, screen)


def _show_receipt(receipt: ParityReceipt, request: CertifyRequest, screen: Screen) -> None:
    said = receipt.evidence
    what = f"model {short(receipt.subject)}" if receipt.adapter is None else f"adapter {receipt.adapter}"
    verdict = "computes what the reference does" if receipt.passed else "does NOT compute what the reference does"
    screen.line(f"{what} on {request.engine} at {request.precision}: {verdict}", style="bold")
    if receipt.because:
        screen.line(receipt.because)
    allowed = said["tolerance"]
    screen.facts(
        [
            ("compared", f"{said['tokens']:,} tokens of {said['prompts']} prompts, by the {said['path']} path"),
            ("log-probabilities", _differences(said, allowed)),
            (
                "the same choice",
                f"{said['agreement']:.1%} of the tokens; at least {allowed['agreement']:.0%} are needed",
            ),
            ("alone and in company", "the same to the bit" if said["batch_invariant"] else "not the same to the bit"),
            ("left out", ", ".join(said["left_out"]) or "nothing"),
        ]
    )


def _differences(said: Mapping[str, Any], allowed: Mapping[str, float]) -> str:
    if said["mean_difference"] is None:
        return "not known"
    return (
        f"differ by {said['mean_difference']:.2g} on average (allowed {allowed['mean']:g}), "
        f"by {said['largest_difference']:.2g} at most (allowed {allowed['largest']:g})"
    )


COMMANDS = {
    "models": noun(
        "models",
        "Models: list named sizes, say what a recipe's would cost, certify an engine for one.",
        command(PRESETS_CALL, _show_presets),
        command(DESCRIBE, _show_costs),
        command(CERTIFY, _show_certified, live=_said),
    )
}
