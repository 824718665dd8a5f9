"""Distillation: learn what a teacher thinks of each next token, and not only which one came.

With p the teacher's distribution and q the student's, both softened by a temperature T (softmax of logits / T), w_t the
weight of a target and s the soft share, the loss is that of Hinton et al., Distilling the Knowledge in a Neural Network
(2015, https://arxiv.org/abs/1503.02531), section 2,

    sum_t w_t [ s T^2 D_t + (1 - s) (-log q_1(x_t)) ]        q_1: q at temperature 1

whose T^2 keeps the soft part's gradient as large as the hard part's at any temperature. The divergence D is

    forward     KL(p || q) = sum_v p_v (log p_v - log q_v)       q covers all that p allows
    reverse     KL(q || p) = sum_v q_v (log q_v - log p_v)       q keeps to what p likes best

Reverse is the divergence of Gu et al., MiniLLM (2024, https://arxiv.org/abs/2306.08543), section 2.1, taken token by
token on the texts at hand; MiniLLM samples the texts from the student besides.

Of the teacher only the k likeliest tokens are known, and the mass of all others as one more outcome: with
p_rest = 1 - p_1 - ... - p_k and q_rest likewise over the same k tokens, D is taken over those k + 1 outcomes. That is
never more than D over the whole vocabulary, and the same where k is all of it.

Legend: C positions of a chunk, V vocabulary, K tokens of the teacher's.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from loresmith.training.objective import MicroBatch
from loresmith.training.predictor import Predictions

TEACHER_IDS, TEACHER_LOG_PROBABILITIES = "teacher_ids", "teacher_log_probabilities"
"""Extras of a micro-batch: int64 (B, T, K) and fp32 (B, T, K + 1), the last that of all other tokens together, or
(B, T, K) where there are no others."""

Divergence = Literal["forward", "reverse"]


class Distillation:
    """See the module.

    Args:
        divergence: which way round.
        temperature: T; that of the teacher's log-probabilities.
        soft_share: s.
        z_loss: weight of the squared log-normaliser at temperature 1.
    """

    def __init__(self, divergence: Divergence, temperature: float, soft_share: float, z_loss: float = 0.0) -> None:
        self.divergence, self.temperature, self.soft_share, self.z_loss = divergence, temperature, soft_share, z_loss

    def weight(self, micro_batch: MicroBatch) -> float:
        return float(micro_batch.weights.sum())

    def loss(self, predictions: Predictions, micro_batch: MicroBatch) -> tuple[Tensor, Tensor]:
        targets_N, weights_N = micro_batch.targets.flatten(), micro_batch.weights.flatten()
        ids_NK = micro_batch.extras[TEACHER_IDS].flatten(0, 1)
        teacher_NK1 = micro_batch.extras[TEACHER_LOG_PROBABILITIES].flatten(0, 1)

        def of_logits(logits_CV: Tensor, rows: slice) -> Tensor:
            student_CK1 = outcomes(logits_CV / self.temperature, ids_NK[rows])
            soft_C = divergence(self.divergence, teacher_NK1[rows], student_CK1)
            hard_C = nn.functional.cross_entropy(logits_CV, targets_N[rows], reduction="none")
            loss_C = self.soft_share * self.temperature**2 * soft_C + (1 - self.soft_share) * hard_C
            unsteady_C = self.z_loss * logits_CV.logsumexp(-1).square() if self.z_loss else torch.zeros_like(loss_C)
            return (torch.stack([loss_C + unsteady_C, loss_C]) * weights_N[rows]).sum(1)

        loss, shown = torch.stack(predictions.in_chunks(of_logits)).sum(0)
        return loss, shown.detach()


def outcomes(logits_CV: Tensor, ids_CK: Tensor) -> Tensor:
    """Log-probabilities (C, K + 1) of tokens and of all others together; (C, K) where there are no others."""
    lse_C1 = logits_CV.logsumexp(-1, keepdim=True)
    chosen_CK = logits_CV.gather(1, ids_CK) - lse_C1
    if ids_CK.shape[1] == logits_CV.shape[1]:
        return chosen_CK
    rest_C1 = logits_CV.scatter(1, ids_CK, -torch.inf).logsumexp(-1, keepdim=True) - lse_C1
    return torch.cat([chosen_CK, rest_C1], dim=1)


def divergence(which: Divergence, teacher_CO: Tensor, student_CO: Tensor) -> Tensor:
    """The divergence (C,) of two distributions from the log-probabilities of their outcomes; in nats.

    One of the two may have an outcome more, the rest: rows of its embedding for which there are no tokens.
    """
    both = min(teacher_CO.shape[1], student_CO.shape[1])
    teacher_CO, student_CO = teacher_CO[:, :both], student_CO[:, :both]
    of, to = (teacher_CO, student_CO) if which == "forward" else (student_CO, teacher_CO)
    return torch.where(of == -torch.inf, 0.0, of.exp() * (of - to)).sum(-1)  # 0 log 0 = 0
