"""How much text a model of a size can make use of: published laws, with their constants and where they stand.

Loss of a model of N parameters after D tokens, all different (Hoffmann et al., Training Compute-Optimal Large Language
Models, 2022, section 3.3):

    L(N, D) = E + A / N^alpha + B / D^beta

For a given model the tokens that are as well spent as the parameters are those at which both terms give the same for a
little more of either, at a cost of 6 N D: alpha A / N^alpha = beta B / D^beta.

Text that is seen again is worth less each time (Muennighoff et al., Scaling Data-Constrained Language Models, 2023,
section 3.2). With U different tokens, D of them seen in all, and U_N the parameters that U is best for, N at most,

    D' = U + U R_D* (1 - exp(-(D / U - 1) / R_D*))
    N' = U_N + U_N R_N* (1 - exp(-(N / U_N - 1) / R_N*))

take the places of D and N above.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOKENS_PER_PARAMETER = 20
"""Hoffmann et al. 2022, table 3, near all sizes there."""

EPOCHS_WORTHWHILE = 4
"""Up to four times the same text is nearly as good as new text: Muennighoff et al. 2023, abstract and section 5."""

REPEATED_TOKENS = 15.39
"""R_D*: repetitions after which 1 - 1/e of what repeating can give is had. Muennighoff et al. 2023, section 5."""

EXCESS_PARAMETERS = 5.31
"""R_N*: the same of parameters beyond those that the text is best for."""


@dataclass(frozen=True)
class LossLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, in nats per token."""

    name: str
    source: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Nats per token of a model after so many different tokens."""
        return float(self.E + self.A / parameters**self.alpha + self.B / tokens**self.beta)

    def tokens_for(self, parameters: float) -> float:
        """The tokens at which a model of this size is the best one for its training's cost."""
        return float((self.beta * self.B * parameters**self.alpha / (self.alpha * self.A)) ** (1 / self.beta))

    def parameters_for(self, tokens: float) -> float:
        """The size for which so many tokens are the best: the inverse of `tokens_for`."""
        return float((self.alpha * self.A * tokens**self.beta / (self.beta * self.B)) ** (1 / self.alpha))


HOFFMANN = LossLaw(
    "Chinchilla",
    "Hoffmann et al. 2022, section 3.3; the exponents, which the paper rounds, as in its source",
    E=1.6934,
    A=406.4,
    B=410.7,
    alpha=0.3392,
    beta=0.2849,
)
BESIROGLU = LossLaw(
    "Chinchilla, corrected",
    "Besiroglu et al., Chinchilla Scaling: A replication attempt, 2024, table 1",
    E=1.8172,
    A=482.01,
    B=2085.43,
    alpha=0.3478,
    beta=0.3658,
)
MUENNIGHOFF = LossLaw(
    "data-constrained",
    "Muennighoff et al., Scaling Data-Constrained Language Models, 2023, section 5 and appendix A",
    E=1.87,
    A=521.0,
    B=1488.0,
    alpha=0.353,
    beta=0.353,
)
LAWS = (HOFFMANN, BESIROGLU, MUENNIGHOFF)


def worth_of_tokens(unique: float, seen: float) -> float:
    """D': so many different tokens would be worth the same as `unique` ones, of which `seen` are shown in all."""
    return _worth(unique, seen, REPEATED_TOKENS)


def worth_of_parameters(unique: float, parameters: float) -> float:
    """N': a model of so many parameters, where the text is only enough for fewer."""
    return _worth(min(MUENNIGHOFF.parameters_for(unique), parameters), parameters, EXCESS_PARAMETERS)


def _worth(first: float, all_: float, scale: float) -> float:
    if all_ <= first:
        return all_
    return first + first * scale * (1 - math.exp(-(all_ / first - 1) / scale))


def constrained_loss(parameters: float, unique: float, seen: float) -> float:
    """Nats per token after `seen` tokens, of which `unique` are different."""
    return MUENNIGHOFF.loss(worth_of_parameters(unique, parameters), worth_of_tokens(unique, seen))


def largest_model(unique: float) -> float:
    """Parameters of the largest model that so many different tokens carry: 20 tokens each, all seen four times."""
    return unique * EPOCHS_WORTHWHILE / TOKENS_PER_PARAMETER
