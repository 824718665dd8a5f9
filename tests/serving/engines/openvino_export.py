"""A model in OpenVINO's form, made without the exporter of docs/engines.md, which needs a transformers of its own.

For models whose layers all attend to all of the past. The export has the inputs and the state that OpenVINO GenAI looks
for.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from loresmith.models.offline import transformers
from loresmith.models.storage import load_tokenizer, load_weights

LARGE = 4096
"""Numbers of a matrix from which on it is kept in int8."""


class _Stateless(nn.Module):
    """The model as a function of tokens, positions and the cache, to logits and the longer cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor, *past: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        cache = transformers.DynamicCache()
        cache.layers = [_layer(*states) for states in zip(past[::2], past[1::2], strict=True)]
        logits = self.model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids, past_key_values=cache
        ).logits
        return (logits, *(states for layer in cache.layers for states in (layer.keys, layer.values)))


def _layer(keys: torch.Tensor, values: torch.Tensor) -> Any:
    """A layer's cache with something in it, and no trace of how it was empty before."""
    layer = transformers.cache_utils.DynamicLayer()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    return layer


def export_openvino(directory: Path, exported: Path, *, int8: bool = False, tokenizer: bool = True) -> Path:
    """Write `openvino_model.xml` of the model in `directory` into `exported`, and return that folder.

    Args:
        int8: keep matrices in int8, a scale a row; otherwise in fp32.
        tokenizer: write the tokenizer, too, which answers of a form need.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    openvino = importlib.import_module("openvino")
    transforming = importlib.import_module("openvino._offline_transformations")
    model = load_weights(directory, torch.float32)
    model.set_attn_implementation("sdpa")
    config = model.config.get_text_config()
    heads = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = config.num_hidden_layers
    past = [torch.zeros(2, heads, 3, width) for _ in range(2 * layers)]
    example = (
        torch.ones(2, 2, dtype=torch.long),
        torch.ones(2, 5, dtype=torch.long),
        torch.tensor([[3, 4]] * 2),
        *past,
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: what it takes for constants is so for these models
        converted = openvino.convert_model(_Stateless(model), example_input=example)
    names = ["input_ids", "attention_mask", "position_ids"]
    cache = [f"{layer}.{what}" for layer in range(layers) for what in ("key", "value")]
    for port, name in zip(converted.inputs, [*names, *(f"past_key_values.{one}" for one in cache)], strict=True):
        port.get_tensor().set_names({name})
        shape = [-1, -1] if name in names else [-1, heads, -1, width]
        port.get_node().set_partial_shape(openvino.PartialShape(shape))
        port.get_node().set_friendly_name(name)
    for port, name in zip(converted.outputs, ["logits", *(f"present.{one}" for one in cache)], strict=True):
        port.get_tensor().set_names({name})
    _reorder(converted, [f"past_key_values.{one}" for one in cache])
    converted.validate_nodes_and_infer_types()
    transforming.apply_make_stateful_transformation(
        converted, {f"past_key_values.{one}": f"present.{one}" for one in cache}
    )
    _begin_empty(converted)
    if int8:
        _compress(converted)
    exported.mkdir(parents=True, exist_ok=True)
    openvino.save_model(converted, exported / "openvino_model.xml", compress_to_fp16=False)
    if tokenizer:
        converting = importlib.import_module("openvino_tokenizers")
        both = converting.convert_tokenizer(load_tokenizer(directory), with_detokenizer=True)
        for name, made in zip(("tokenizer", "detokenizer"), both, strict=True):
            openvino.save_model(made, exported / f"openvino_{name}.xml")
    return exported


def _reorder(model: Any, inputs: list[str]) -> None:
    """Add the input by which beams choose whose past they go on from."""
    ops = importlib.import_module("openvino.opset13")
    beams = ops.parameter([-1], name="beam_idx", dtype=np.int32)
    beams.output(0).get_tensor().add_names({"beam_idx"})
    model.add_parameters([beams])
    for name in inputs:
        port = model.input(name)
        readers = port.get_target_inputs()
        chosen = ops.gather(port, beams, ops.constant(np.int64(0)))
        for reader in readers:
            reader.replace_source_output(chosen.output(0))


def _begin_empty(model: Any) -> None:
    """Have the cache of each layer begin with no position; OpenVINO pages only those that do."""
    ops = importlib.import_module("openvino.opset13")
    batch = ops.gather(ops.shape_of(model.input("input_ids")), ops.constant([0]), ops.constant(np.int64(0)))
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            _, heads, _, width = node.get_output_partial_shape(0)
            sizes = [batch, *(ops.constant([size]) for size in (heads.get_length(), 0, width.get_length()))]
            node.set_arguments([ops.broadcast(ops.constant(np.float32(0)), ops.concat(sizes, axis=0))])
    model.validate_nodes_and_infer_types()


def _compress(model: Any) -> None:
    """Put int8 and a scale for each row in place of the matrices that are multiplied by."""
    ops = importlib.import_module("openvino.opset13")
    done: dict[str, Any] = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in ("MatMul", "Gather"):
            continue
        for port in node.inputs():
            source = port.get_source_output().get_node()
            if source.get_type_name() != "Constant" or len(source.get_output_shape(0)) != 2:
                continue
            name = source.get_friendly_name()
            if name not in done:
                weights = source.get_data().astype(np.float32)
                if weights.size < LARGE:
                    continue
                scale = np.maximum(np.abs(weights).max(axis=1, keepdims=True), 1e-12) / 127
                whole = ops.constant(np.rint(weights / scale).astype(np.int8))
                done[name] = ops.multiply(ops.convert(whole, "f32"), ops.constant(scale))
            port.replace_source_output(done[name].output(0))
