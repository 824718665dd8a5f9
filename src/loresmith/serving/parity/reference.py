"""The reference: transformers in fp32, told what the engine wrote, and asked how probable it held each token.

Legend: T tokens of prompt and answer, N tokens of the answer, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Reference:
    """A model in fp32, without cache and one prompt at a time.

    Args:
        directory: of the model.
        adapter: the adapter's directory, or None.
        base: the digest of the model's asset, which the adapter names.

    Attributes:
        ends: the tokens that end an answer.

    Raises:
        UserError: one of them cannot be loaded.
    """

    def __init__(self, directory: Path, adapter: Path | None = None, base: str = "") -> None:
        from loresmith.models.adapter_storage import load_adapter
        from loresmith.models.generate import ends_of
        from loresmith.models.storage import load_tokenizer, load_weights

        self._model: PreTrainedModel = load_weights(directory, torch.float32)
        if adapter is not None:
            load_adapter(self._model, adapter, base)
        self._model.train(False)
        self.ends = ends_of(self._model, load_tokenizer(directory))

    @torch.inference_mode()
    def log_probabilities(self, prompt: Sequence[int], answer: Sequence[int]) -> Tensor:
        """Before each token of an answer, and behind its last: float32 (N + 1, V)."""
        ids_1T = torch.tensor([[*prompt, *answer]])
        logits_TV = self._model(input_ids=ids_1T, use_cache=False).logits[0, len(prompt) - 1 :]
        return torch.log_softmax(logits_TV.float(), -1)
