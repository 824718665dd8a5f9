"""Batches with what a teacher says of them: it reads them when they are made, and the loop never sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from loresmith.training.batches import RowBatches
from loresmith.training.distillation import TEACHER_IDS, TEACHER_LOG_PROBABILITIES, outcomes
from loresmith.training.objective import Batch, MicroBatch
from loresmith.training.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class TaughtBatches(RowBatches):
    """The batches of one training, read by a teacher.

    Attributes:
        teacher: a model, with its weights in the type that it computes in, on the device where the batches go.
        likeliest: how many tokens of its distribution are kept at each position (K).
        temperature: by which its logits are divided.
        vocabulary_size: tokens that the tokenizer has; a model's embedding may have more rows.
    """

    teacher: Predictor
    likeliest: int
    temperature: float
    vocabulary_size: int

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        batch = super().batch(step, device)
        return replace(batch, micro_batches=tuple(map(self._taught, batch.micro_batches)))

    @torch.no_grad()
    def _taught(self, micro_batch: MicroBatch) -> MicroBatch:
        """The same with the teacher's log-probabilities; logits are held for a few positions at a time."""
        self.teacher.eval()
        device, documents = self.teacher.model.device, micro_batch.documents
        read = replace(
            micro_batch,
            inputs=micro_batch.inputs.to(device),
            weights=micro_batch.weights.to(device),
            documents=None if documents is None else documents.to(device),
        )
        ids: list[Tensor] = []

        def of_logits(logits_CV: Tensor, _rows: slice) -> Tensor:
            ids_CK = logits_CV[:, : self.vocabulary_size].topk(min(self.likeliest, self.vocabulary_size)).indices
            ids.append(ids_CK)
            return outcomes(logits_CV / self.temperature, ids_CK)

        said = self.teacher.predict(read).in_chunks(of_logits)
        shape = (*micro_batch.inputs.shape, -1)
        extras = {TEACHER_IDS: torch.cat(ids), TEACHER_LOG_PROBABILITIES: torch.cat(said)}
        return replace(
            micro_batch,
            extras={name: tensor.view(shape).to(micro_batch.inputs.device) for name, tensor in extras.items()},
        )
