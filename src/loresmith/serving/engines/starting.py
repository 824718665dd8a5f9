"""What an engine's process is told to start, and the engines that it knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.generation import Words

EngineName = Literal["torch", "openvino", "openai"]

FACTORIES: Mapping[EngineName, str] = {
    "torch": "loresmith.serving.engines.starting:start_torch",
}
"""Where the function lies that makes each engine, as `module:function`."""


class EngineStart(Words):
    """An engine to start, as one line of JSON."""

    factory: str = Field(description="`module:function`; it is given `arguments` and returns an Engine.")
    arguments: dict[str, Any] = Field(default_factory=dict)
    threads: int = Field(ge=1, description="CPU threads that the engine computes with (OMP_NUM_THREADS).")


class TorchArguments(Words):
    """What `start_torch` is given."""

    directory: Path = Field(description="The model's directory.")
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    device: str = "cpu"
    slots: int = Field(default=32, ge=1, le=4096)
    window: int = Field(default=4096, ge=16)
    adapters: dict[str, Path] = Field(default_factory=dict, description="LoRA directories by name.")
    base: str = Field(default="", description="The digest of the model's asset.")


def make_engine(start: EngineStart) -> Engine:
    """The engine that is asked for, ready to work.

    Raises:
        UserError: its model cannot be loaded.
    """
    module, _, name = start.factory.partition(":")
    factory: Callable[[Mapping[str, Any]], Engine] = getattr(importlib.import_module(module), name)
    return factory(start.arguments)


def start_torch(arguments: Mapping[str, Any]) -> Engine:
    import torch

    from loresmith.serving.engines.embedded.torch_engine import TorchEngine

    given = TorchArguments.model_validate(arguments)
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    return TorchEngine(
        given.directory,
        dtype=dtypes[given.precision],
        device=given.device,
        slots=given.slots,
        window=given.window,
        adapters=given.adapters,
        base=given.base,
    )
