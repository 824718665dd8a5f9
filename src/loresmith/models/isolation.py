"""Documents that share a row and must not see one another: positions that begin anew, and an explicit mask.

Packing lays several documents end to end in one row. Position ids that restart are not enough to keep them apart:
transformers reads them as borders only when it is given no cache and no mask, and some families never do. So the mask
is made here, causal within a document and shut between documents, by transformers' own mask functions, and handed to
the model, which uses a mask of four dimensions as it is. Its form follows from the attention that the model was set to:
bool for `sdpa`, numbers to be added for `eager`, and one a layer type where a model has several (full, sliding window,
chunked); windows and chunks are counted within the document.

A state that is carried from token to token has no mask. Architectures that have one are refused by name.

Legend: B rows of a batch, T positions.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from loresmith.errors import UserError
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECURRENT_CLASSES = re.compile(r"(?i:mamba|rwkv|xlstm|recurrent|deltanet|deltaattention|retention)|SSM")
"""Names of modules that carry a state along the row, in transformers and in what people write after the papers."""

POOLING_LAYERS = ("compressed_sparse_attention", "heavily_compressed_attention")
"""Layer types whose keys are pooled over neighbouring positions before any mask is applied (DeepSeek-V4)."""


def position_ids(documents_BT: Tensor) -> Tensor:
    """Where each position lies in its document, int64 (B, T): 0, 1, 2 ... and from 0 again where the number changes."""
    positions_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT[:, 1:] != documents_BT[:, :-1]
    begun_BT = torch.where(begins_BT, positions_T, 0).cummax(dim=1).values
    return positions_T - begun_BT


def isolating_mask(
    model: PreTrainedModel, documents_BT: Tensor, dtype: torch.dtype | None = None
) -> Tensor | dict[str, Tensor | None] | None:
    """The mask under which no document sees another, as `model` takes it for `attention_mask`.

    Args:
        documents_BT: int64, the number within its row of the document that a position belongs to; a document's
            positions follow one another, and padding is a document of its own.
        dtype: that the model computes in, its weights' when not given; the type of masks that are added.

    Returns:
        One mask (B, 1, T, T), or one by layer type. None stands for plain causality: no row holds two documents, and
        the model's attention can do without a mask then.
    """
    make: Any = getattr(model, "create_masks_for_generate", transformers.masking_utils.create_masks_for_generate)
    shape_only = torch.empty(*documents_BT.shape, 0, dtype=dtype or model.dtype, device=documents_BT.device)
    mask: Tensor | dict[str, Tensor | None] | None = make(
        config=model.config.get_text_config(decoder=True),
        inputs_embeds=shape_only,
        attention_mask=None,
        past_key_values=None,
        position_ids=position_ids(documents_BT),
    )
    return mask


def require_isolation(model: PreTrainedModel) -> None:
    """Refuse a model that would let documents of a packed row see one another whatever its mask.

    It is told by the layer types of its config and by its modules: states carried along the row (Mamba, RWKV, xLSTM,
    linear attention), convolutions along it, keys pooled over it, positions that cannot begin anew. What this cannot
    know of a third party's class, the leak canary sees before the first step.

    Raises:
        UserError: names the architecture and what in it mixes documents.
    """
    reason = next(_mixes_documents(model), None)
    if reason is not None:
        raise UserError(
            f"{type(model).__name__} cannot keep documents apart that share a row: {reason}",
            hint="set `packing: false`; in pre-training `isolate_documents: false`, which makes a row one context",
        )


def _mixes_documents(model: PreTrainedModel) -> Iterator[str]:
    """What in a model carries one document into the next, the plainest first."""
    for layer_type in dict.fromkeys(getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()):
        if layer_type in POOLING_LAYERS:
            yield f"its {layer_type} layers pool keys across documents"
        elif _needs_recurrent_mask(layer_type):
            yield f"its {layer_type} layers carry tokens along the row past every mask"
    for module in _text_modules(model, model.get_input_embeddings()):
        name = type(module).__name__
        if isinstance(module, nn.RNNBase) or RECURRENT_CLASSES.search(name):
            yield f"its {name} modules carry tokens along the row past every mask"
        if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
            yield "its convolutions run along the row, across the documents' borders"
    if "position_ids" not in inspect.signature(model.base_model.forward).parameters:
        yield f"{type(model.base_model).__name__} takes no position_ids, so that positions cannot begin anew"


def _needs_recurrent_mask(layer_type: str) -> bool:
    """Whether transformers gives layers of this type, or a part of them, the mask of a recurrence."""
    masks = transformers.masking_utils
    mask_function = masks.LAYER_PATTERN_TO_MASK_FUNCTION_MAPPING.get(layer_type)
    parts = mask_function.values() if isinstance(mask_function, dict) else [mask_function]
    return any(part is masks.create_recurrent_attention_mask for part in parts)


def _text_modules(module: nn.Module, embedding: nn.Module) -> Iterator[nn.Module]:
    """The modules in `module`, but for models without the token embedding: towers for images and sound see no row."""
    for child in module.children():
        a_model = isinstance(child, transformers.PreTrainedModel)
        if not a_model:
            yield child
        if not a_model or embedding in child.modules():
            yield from _text_modules(child, embedding)
