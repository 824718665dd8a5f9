"""A base and its adapter made into one model, and how far what is saved is from the two together.

Merging is exact but for rounding. In fp32 that is negligible, and anything more is a defect. Where the merged weights
are saved in fewer digits, the base's rounding is done anew over sums that nothing was trained with: then what matters
is how much of the adapter's work gets lost in it.

Legend: R rows, T positions, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from loresmith.models.adapter_storage import WEIGHTS, copy_beside, load_adapter, require_same_base, tokenizer_of
from loresmith.models.adapters import adapter_parameters, merge_adapter
from loresmith.models.base_weights import tensor_sizes
from loresmith.models.offline import transformers
from loresmith.models.storage import load_tokenizer, load_weights, save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Precision = Literal["stored", "bfloat16", "float32"]

TOLERANCE = 1e-4
"""Largest difference of two logits in fp32, relative to the standard deviation of all of them."""
ROUNDING_AT_MOST = 0.25
"""What rounding may do to the logits, relative to what the adapter does to them; both as root mean squares."""

POSITIONS = 128
TEXT = """\
The pump is behind the left panel. Loosen the four screws (M6, 8 Nm), lift the cover off and check the seal; \
if it is cracked, order part 4711-B before you go on. Never run the pump dry for more than 30 seconds.

def moving_average(values: list[float], window: int = 5) -> list[float]:
    \"\"\"Means of each run of `window` neighbours.\"\"\"
    return [sum(values[i : i + window]) / window for i in range(len(values) - window + 1)]

Die Abrechnung für das dritte Quartal liegt bei; bitte prüfen Sie die Positionen 12 bis 17. Les résultats de l'étude \
confirment l'hypothèse : p < 0,01 (n = 248). 第三条 甲方应在收到发票后三十日内付款。Спасибо за ваш ответ!

{"id": 42, "name": "Ada Lovelace", "tags": ["first", "programmer"], "born": "1815-12-10", "active": false}
<|user|> What is the boiling point of water at 2,000 m? <|assistant|> About 93 °C, since the air pressure is lower.
"""
"""Prose in several languages and scripts, code and data, so that many directions of a model are tried."""


@dataclass(frozen=True)
class MergeParity:
    """What comparing logits showed; all were computed in fp32.

    Attributes:
        tokens: positions at which they were compared.
        spread: standard deviation of the logits of the base with its adapter.
        effect: root mean square of what the adapter changes in the base's logits.
        merge_difference: largest difference between those and the merged model's, before it was saved.
        saved_difference: the same for the saved model, loaded again.
        saved_error: root mean square of that difference.
        precision: type of the saved weights.
    """

    tokens: int
    spread: float
    effect: float
    merge_difference: float
    saved_difference: float
    saved_error: float
    precision: str

    @property
    def exact(self) -> bool:
        """Whether merging, before anything is saved, changed nothing."""
        return self.merge_difference <= TOLERANCE * self.spread

    @property
    def lost_in_rounding(self) -> bool:
        """Whether so few digits were saved that too much of what the adapter does is gone."""
        allowed = max(ROUNDING_AT_MOST * self.effect, TOLERANCE * self.spread)
        return self.precision != "float32" and self.saved_error > allowed

    @property
    def passed(self) -> bool:
        """Whether the merge is exact, and the saved model the same again: to the tolerance in fp32, or as rounded."""
        saved = self.saved_difference <= TOLERANCE * self.spread
        return self.exact and (saved or (self.precision != "float32" and not self.lost_in_rounding))

    def evidence(self) -> dict[str, Any]:
        return {
            "tokens": self.tokens,
            "spread": self.spread,
            "adapter_effect": self.effect,
            "merge_difference": self.merge_difference,
            "tolerance": TOLERANCE * self.spread,
            "saved_as": self.precision,
            "saved_difference": self.saved_difference,
            "saved_error": self.saved_error,
            "rounding_tolerance": ROUNDING_AT_MOST * self.effect,
            "compared": "logits of base and adapter against the merged model, fp32, on a text in several languages",
        }


@dataclass(frozen=True)
class Merged:
    """A merged model on disk.

    Attributes:
        parity: how it compares with the base and its adapter.
        stored_tensors: how many tensors the adapter's file holds.
        merged_tensors: how many of them went into the base's matrices.
        facts: what is known of it that follows from base and adapter alone.
    """

    parity: MergeParity
    stored_tensors: int
    merged_tensors: int
    facts: dict[str, Any]


def merge_directories(base_directory: Path, base: str, adapter: Path, directory: Path, precision: Precision) -> Merged:
    """Merge a stored adapter into its stored base.

    Args:
        base_directory: the base's model directory.
        base: the digest of the base's asset.
        adapter: the adapter's directory.
        directory: where the merged model is written, plain Hugging Face, with the tokenizer.
        precision: type of the saved weights; `stored` is the base's.

    Raises:
        UserError: the adapter is for another base, or one of them is damaged.
    """
    require_same_base(adapter, base)
    tokenizer = tokenizer_of(base_directory, adapter)
    model = load_weights(base_directory, torch.float32)
    ids_RT = _rows(tokenizer, model)
    base_RTV = _logits(model, ids_RT)
    load_adapter(model, adapter, base)
    added = _adapter_tensors(model)
    adapted_RTV = _logits(model, ids_RT)
    merge_adapter(model)
    left_over = _adapter_tensors(model)
    merged_RTV = _logits(model, ids_RT)

    dtype = _stored_type(base_directory) if precision == "stored" else getattr(torch, precision)
    torch.nn.Module.to(model, dtype)
    save_model(model, directory)
    copy_beside(tokenizer, directory)
    facts = {
        "model_type": model.config.model_type,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary_size": model.config.get_text_config().vocab_size,
    }
    del model
    saved_RTV = _logits(load_weights(directory, torch.float32), ids_RT)
    parity = MergeParity(
        tokens=ids_RT.numel(),
        spread=float(adapted_RTV.std()),
        effect=_root_mean_square(adapted_RTV - base_RTV),
        merge_difference=float((merged_RTV - adapted_RTV).abs().max()),
        saved_difference=float((saved_RTV - adapted_RTV).abs().max()),
        saved_error=_root_mean_square(saved_RTV - adapted_RTV),
        precision=str(dtype).removeprefix("torch."),
    )
    return Merged(parity, len(tensor_sizes(adapter / WEIGHTS)), added - left_over, facts)


def _adapter_tensors(model: PreTrainedModel) -> int:
    return sum(1 for _ in adapter_parameters(model))


def _rows(tokenizer: Path, model: PreTrainedModel) -> Tensor:
    """The text in rows that fit the model's window, int64 (R, T); what does not fill a row is left off."""
    ids = load_tokenizer(tokenizer)(TEXT, add_special_tokens=False)["input_ids"]
    window = int(getattr(model.config.get_text_config(), "max_position_embeddings", 0) or POSITIONS)
    width = min(POSITIONS, window, len(ids))
    rows = len(ids) // width
    return torch.tensor(ids[: rows * width]).reshape(rows, width)


@torch.no_grad()
def _logits(model: PreTrainedModel, ids_RT: Tensor) -> Tensor:
    """fp32 (R, T, V)."""
    logits_RTV: Tensor = model(input_ids=ids_RT, use_cache=False).logits
    return logits_RTV


def _stored_type(directory: Path) -> torch.dtype:
    config = transformers.AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    return config.dtype or torch.float32


def _root_mean_square(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
