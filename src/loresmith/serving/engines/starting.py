"""What an engine's process is told to start, and the engines that it knows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from loresmith.errors import UserError
from loresmith.serving.engines.engine import Engine
from loresmith.serving.engines.exported_model import ExportedModel
from loresmith.serving.engines.generation import Words
from loresmith.serving.engines.remote.settings import RemoteServer

EngineName = Literal["torch", "openvino", "openai"]

FACTORIES: Mapping[EngineName, str] = {
    "torch": "loresmith.serving.engines.starting:start_torch",
    "openvino": "loresmith.serving.engines.starting:start_openvino",
    "openai": "loresmith.serving.engines.starting:start_openai",
}
"""Where the function lies that makes each engine, as `module:function`."""


class EngineStart(Words):
    """An engine to start, as one line of JSON."""

    factory: str = Field(description="`module:function`; it is given `arguments` and returns an Engine.")
    arguments: dict[str, Any] = Field(default_factory=dict)
    threads: int = Field(
        ge=1,
        description="CPU threads that the engine computes with (OMP_NUM_THREADS); `torch` loads with half.",
    )


class TorchArguments(Words):
    """What `start_torch` is given."""

    directory: Path = Field(description="The model's directory.")
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    device: str = "cpu"
    slots: int = Field(default=32, ge=1, le=4096)
    window: int = Field(default=4096, ge=16)
    adapters: dict[str, Path] = Field(default_factory=dict, description="LoRA directories by name.")
    base: str = Field(default="", description="The digest of the model's asset.")


class OpenvinoArguments(Words):
    """What `start_openvino` is given."""

    directory: Path = Field(description="The model's directory, for its tokenizer and its facts.")
    exported: ExportedModel = Field(description="The model in OpenVINO's form.")
    precision: Literal["bf16", "fp16", "fp32", "int8"] = Field(
        default="int8", description="Of the exported weights, as its receipt calls it."
    )
    slots: int = Field(default=32, ge=1, le=4096)
    window: int = Field(default=4096, ge=16)
    threads: int = Field(default=1, ge=1)


class RemoteArguments(Words):
    """What `start_openai` is given."""

    directory: Path = Field(description="The model's directory, for its tokenizer and its facts.")
    server: RemoteServer = Field(description="Which server computes it.")
    precision: Literal["bf16", "fp16", "fp32", "int8"] = Field(
        default="bf16", description="What the server computes in, as its receipt calls it."
    )
    slots: int = Field(default=32, ge=1, le=4096)
    window: int = Field(default=4096, ge=16)
    adapters: tuple[str, ...] = Field(default=(), description="LoRA adapters, by the names that the server gives them.")


def engine_start(
    engine: EngineName,
    *,
    directory: Path,
    precision: str,
    device: str = "cpu",
    slots: int,
    window: int,
    threads: int,
    adapters: Mapping[str, Path],
    base: str,
    options: Mapping[str, Any],
) -> EngineStart:
    """What starts an engine on a model.

    Args:
        adapters: LoRA directories by name.
        base: the digest of the model's asset.
        options: the keys of `RemoteServer` for `openai`, of `ExportedModel` for `openvino`; none for `torch`.

    Raises:
        UserError: an option is unknown or wrong, or the engine cannot do what it is asked for.
    """
    given: dict[str, Any] = {"directory": str(directory), "precision": precision, "slots": slots, "window": window}
    try:
        if engine == "torch":
            if options:
                raise UserError(f"the engine torch has no setting {next(iter(options))}")
            if precision == "int8":
                raise UserError("the engine torch does not compute in int8", hint="bf16, fp16 and fp32 are there")
            given |= {"device": device, "base": base, "adapters": {name: str(at) for name, at in adapters.items()}}
        elif engine == "openvino":
            if adapters:
                raise UserError(
                    "the engine openvino takes no adapters",
                    hint="merge them into their base with the step `merge`, and export the merged model",
                )
            given["exported"] = ExportedModel.model_validate(options).model_dump(mode="json")
            given["threads"] = threads
        else:
            given |= {
                "server": RemoteServer.model_validate(options).model_dump(mode="json"),
                "adapters": sorted(adapters),
            }
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{key}: {first['msg']}", where=f"settings of the engine {engine}") from None
    return EngineStart(factory=FACTORIES[engine], arguments=given, threads=threads)


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
    _require_device(given.device)
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    with _half_of_the_threads():
        return TorchEngine(
            given.directory,
            dtype=dtypes[given.precision],
            device=given.device,
            slots=given.slots,
            window=given.window,
            adapters=given.adapters,
            base=given.base,
        )


@contextmanager
def _half_of_the_threads() -> Iterator[None]:
    """Most of loading is done by one thread anyhow; and two engines that each compute on all processors wait at every
    barrier for a thread that has none, so that whoever is served meanwhile waits as well."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _require_device(name: str) -> None:
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"{name!r} is no device", hint="`cpu`, or `cuda:0` and the like") from None
    # torch says how many there are also where it is built without them, and where there is no driver.
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"there is no device {name!r} on this machine: torch sees {torch.cuda.device_count() or 'none'}",
            hint="`nvidia-smi` lists them; `device: cpu` needs none",
        )


def start_openvino(arguments: Mapping[str, Any]) -> Engine:
    from loresmith.serving.engines.openvino_engine import OpenvinoEngine

    given = OpenvinoArguments.model_validate(arguments)
    return OpenvinoEngine(
        given.directory,
        given.exported,
        precision=given.precision,
        slots=given.slots,
        window=given.window,
        threads=given.threads,
    )


def start_openai(arguments: Mapping[str, Any]) -> Engine:
    from loresmith.serving.engines.remote.remote_engine import RemoteEngine

    given = RemoteArguments.model_validate(arguments)
    return RemoteEngine(
        given.directory,
        given.server,
        precision=given.precision,
        slots=given.slots,
        window=given.window,
        adapters=given.adapters,
    )
