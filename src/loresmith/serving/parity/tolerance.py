"""How far an engine may be from the reference at each precision."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """Bounds on the differences of log-probabilities, in nats, between an engine and the reference in fp32.

    Attributes:
        largest: of any token; also by how much the reference may prefer another token than the engine chose.
        mean: over all tokens. It is the sharper bound: rounding errs to both sides by little, a wrong position or a
            lost token errs everywhere.
        agreement: the share of tokens that the reference would have chosen too, at least.
    """

    largest: float
    mean: float
    agreement: float


TOLERANCES = {
    "fp32": Tolerance(largest=0.01, mean=0.001, agreement=0.99),
    "fp16": Tolerance(largest=0.2, mean=0.01, agreement=0.95),
    "bf16": Tolerance(largest=1.0, mean=0.06, agreement=0.9),
    "int8": Tolerance(largest=1.5, mean=0.12, agreement=0.85),
}
