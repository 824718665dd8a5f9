"""The weights of a GGUF file, unpacked into a plain transformers model."""

from __future__ import annotations

from contextlib import redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING

import torch

from loresmith.errors import UserError
from loresmith.models.gguf import GgufFile
from loresmith.models.offline import transformers

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_gguf(file: GgufFile, dtype: torch.dtype) -> PreTrainedModel:
    """The model as transformers reads it, its blocks written out in `dtype`: a plain model, which can be saved.

    (Without `dequantize` the model keeps a `quantization_config`, and `save_pretrained` refuses it.)

    Raises:
        UserError: transformers does not know the architecture, or leaves out some of the file's weights.
    """
    try:
        with redirect_stderr(StringIO()):  # a progress bar that no setting of transformers turns off
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                str(file.path.parent),
                gguf_file=file.path.name,
                dtype=dtype,
                quantization_config=transformers.GgufConfig(dequantize=True),
                local_files_only=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"transformers cannot load this GGUF file: {error}", where=str(file.path)) from error
    lacking = sorted(report["missing_keys"])
    if lacking:
        raise UserError(f"the GGUF file lacks {lacking[0]} and {len(lacking) - 1} more", where=str(file.path))
    held, loaded = sum(file.weights.values()), count_weights(model)
    if held != loaded:
        raise UserError(
            f"the GGUF file holds {held} weights, and transformers reads {loaded} of them for a "
            f"{model.config.model_type} model",
            where=str(file.path),
            hint="import the model's safetensors folder instead",
        )
    found: PreTrainedModel = model.eval()
    return found


def count_weights(model: PreTrainedModel) -> int:
    """How many numbers a model's parameters are, tied ones once."""
    return sum(int(parameter.numel()) for parameter in model.parameters())
