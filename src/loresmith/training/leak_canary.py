"""The leak canary: before the first step, does a token move what it must not, and what it must?

Two rows of random tokens go through the model exactly as it trains: the same attention, masks, precision and mode. Then
some tokens are changed, they go through again, and the last hidden states are compared (a head that begins at zero
would hide a leak in the logits). In one row a whole document is changed, in the other a single token in the middle of a
document; then the rows change places. What may move is the changed document, from the changed token on:

    leak          how far anything in another document or the other row moved           must be 0
    causal leak   how far anything before the changed token in its document moved       must be 0
    sensitivity   how far anything after it in its document moved                       must not be 0

Without sensitivity the canary is blind: where no token moves the next, no leak can show. The documents' borders differ
between the rows, so that a mask made from one row's documents for both is seen. What is random in the model, dropout or
a router's jitter, is drawn alike each time and moves nothing.

Legend: B = 2 rows, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from loresmith.errors import Failure
from loresmith.training.objective import MicroBatch
from loresmith.training.randomness import derived_seed

SHORTEST = 12
"""Positions of a row at least: each document then has a token before its middle one and a token after it."""

MIXTURE_TOLERANCE = 1e-4
"""For mixtures of experts, whose matrix products round by how many tokens an expert happens to get: on the CPU leaks of
up to 2e-6 of the sensitivity in fp32, none in bf16. Seeing a single foreign token is a hundred times the tolerance."""


@dataclass(frozen=True)
class Canary:
    """What was seen: the largest changes of an element of the last hidden states.

    Attributes:
        leak: in documents and rows of which nothing was changed.
        causal_leak: before the changed token of a document.
        sensitivity: after it; the smaller of two trials.
    """

    leak: float
    causal_leak: float
    sensitivity: float

    def numbers(self) -> dict[str, float]:
        """The three by the names of their metrics."""
        return {f"canary_{name}": value for name, value in asdict(self).items()}


def check_leaks(
    predict_hidden: Callable[[MicroBatch], Tensor],
    vocabulary_size: int,
    sequence_length: int,
    device: torch.device | str,
    seed: int,
    isolated: bool,
    tolerance: float = 0.0,
) -> Canary:
    """Refuse to train a model that lets documents see one another, or tokens their future.

    Args:
        predict_hidden: the last hidden states of a micro-batch as the training computes them, (B, T, D) or (B T, D).
        vocabulary_size: ids are drawn below it; at least 2.
        sequence_length: T, as in training.
        seed: of the tokens, and of what is random in the model.
        isolated: whether documents share a row without seeing one another; otherwise a row is one context.
        tolerance: share of the sensitivity up to which a leak is taken for rounding: 0, or `MIXTURE_TOLERANCE`.

    Raises:
        Failure: something moved that must not, or nothing did that must; with the number.
    """
    documents_BT = _documents(max(SHORTEST, sequence_length), isolated)
    generator = torch.Generator().manual_seed(derived_seed(seed, "leak canary"))
    ids_BT = torch.randint(0, vocabulary_size, documents_BT.shape, generator=generator)
    other_ids_BT = (ids_BT + torch.randint(1, vocabulary_size, ids_BT.shape, generator=generator)) % vocabulary_size

    def hidden_states(inputs_BT: Tensor) -> Tensor:
        inputs = inputs_BT.to(device)
        documents = documents_BT.to(device) if isolated else None
        micro_batch = MicroBatch(inputs, inputs, torch.ones(inputs.shape, device=device), documents)
        hidden_BTD = _drawn_alike(predict_hidden, micro_batch, seed).float().cpu().view(*inputs.shape, -1)
        if not bool(hidden_BTD.isfinite().all()):
            raise Failure("the hidden states are not finite before the first step", where="leak canary")
        return hidden_BTD

    before_BTD = hidden_states(ids_BT)
    leaks, causal_leaks, sensitivities = [], [], []
    for row in (0, 1):
        trial = _Trial.of(documents_BT, row, isolated)
        moves_BT = (hidden_states(torch.where(trial.changed, other_ids_BT, ids_BT)) - before_BTD).abs().amax(-1)
        leaks.append(moves_BT[trial.elsewhere].max())
        causal_leaks.append(moves_BT[trial.earlier].max())
        sensitivities.append(moves_BT[trial.later].max())
    canary = Canary(float(max(leaks)), float(max(causal_leaks)), float(min(sensitivities)))
    _require_quiet(canary, isolated, tolerance)
    return canary


@dataclass(frozen=True)
class _Trial:
    """What is changed in a trial, and where it must show and must not: bool (B, T) each."""

    changed: Tensor
    elsewhere: Tensor
    earlier: Tensor
    later: Tensor

    @classmethod
    def of(cls, documents_BT: Tensor, row: int, isolated: bool) -> _Trial:
        """One token in the middle of a document of this row, and the whole first document of the other."""
        own_BT = torch.zeros_like(documents_BT, dtype=torch.bool)
        own_BT[row] = documents_BT[row] == (1 if isolated else 0)
        positions_T = torch.arange(documents_BT.shape[1])
        middle = int(positions_T[own_BT[row]].median())
        other_BT = torch.zeros_like(own_BT)
        other_BT[1 - row] = (documents_BT[1 - row] == 0) & isolated
        return cls(
            changed=own_BT & (positions_T == middle) | other_BT,
            elsewhere=~own_BT & ~other_BT,
            earlier=own_BT & (positions_T < middle),
            later=own_BT & (positions_T > middle),
        )


def _documents(length: int, isolated: bool) -> Tensor:
    """Numbers of the documents in two rows, int64 (B, T): three thirds; two quarters and a half; or one a row."""
    if not isolated:
        return torch.zeros(2, length, dtype=torch.int64)
    at_T = torch.arange(length)
    thirds, quarters = ((at_T >= length // parts).long() + (at_T >= 2 * (length // parts)) for parts in (3, 4))
    return torch.stack([thirds, quarters])


@torch.no_grad()
def _drawn_alike(predict_hidden: Callable[[MicroBatch], Tensor], micro_batch: MicroBatch, seed: int) -> Tensor:
    """The hidden states, with the same random numbers in the model each time."""
    device = micro_batch.inputs.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derived_seed(seed, "leak canary in the model"))
        return predict_hidden(micro_batch)


def _require_quiet(canary: Canary, isolated: bool, tolerance: float) -> None:
    """Raise Failure for what a canary shows, the worst first."""
    said = None
    if canary.sensitivity == 0:
        said = "changing a token moves none after it: the model mixes no tokens, so that no leak could show"
    elif canary.leak > tolerance * canary.sensitivity:
        where = "another document of the row" if isolated else "another row"
        said = f"changing a document moves the hidden states of {where} by {canary.leak:.3g}"
    elif canary.causal_leak > tolerance * canary.sensitivity:
        said = f"changing a token moves the hidden states of earlier ones by {canary.causal_leak:.3g}"
    if said is not None:
        allowed = f", and up to {tolerance * canary.sensitivity:.3g} is allowed" if tolerance else ""
        raise Failure(
            f"{said} (what follows it moves by {canary.sensitivity:.3g}{allowed})",
            where="leak canary, before the first step",
            hint="set `packing: false`, in pre-training `isolate_documents: false`; or choose another architecture"
            if isolated
            else None,
        )
