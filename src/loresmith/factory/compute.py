"""Where and with how much a recipe runs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from loresmith.errors import UserError
from loresmith.factory.sizes import bytes_of

LEAST_MEMORY = 256 << 20

Engine = Literal["native", "daft", "ray"]
"""What stages over many documents are carried out by: `loresmith.data.engine` has them."""


class Compute(BaseModel):
    """Where and with how much a recipe runs; nothing here changes what it means.

    It is no part of an action's key, as the threads are not: a month of training is not done again because a machine
    was added, and one that began on one machine goes on with two. What it may decide is the last bit of a sum, since a
    batch that is cut in other places is added up in another order. So what an action was made with is on record beside
    it, and `loresmith reproduce` uses as many processes again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int | None = Field(
        default=None,
        ge=1,
        description="CPU threads a step may use on a machine; its processes share them. Default: the cores this "
        "process may run on.",
    )
    processes: int = Field(
        default=1,
        ge=1,
        description="Processes a machine among which a training step divides the model and its batches: one a GPU, or "
        "one a socket of a CPU. Other steps run in one.",
    )
    nodes: int = Field(default=1, ge=1, description="Machines, each with so many processes; more than one need slurm.")
    tensor_parallel: int = Field(
        default=1,
        ge=1,
        description="Processes among which each matrix of a model is divided and never put together, for layers that "
        "are too large for one: all of them, or 1. They all see the same rows.",
    )
    expert_parallel: int = Field(
        default=1,
        ge=1,
        description="Processes among which the experts of a mixture are divided: all of them, or 1. Tokens are sent to "
        "their experts and back.",
    )
    launcher: Literal["local", "slurm", "ray"] = Field(
        default="local",
        description="`local` starts the processes on this machine; `slurm` writes a script for sbatch, which does so "
        "on a cluster; `ray` hands the shards of documents to a Ray cluster (extra `ray`), and a step that has none "
        "runs in one process here.",
    )
    memory: Annotated[int, BeforeValidator(bytes_of, json_schema_input_type=int | str)] | None = Field(
        default=None,
        ge=LEAST_MEMORY,
        description="Memory that a step over many documents may take with all its processes, however much text there "
        "is, such as `4GB` (kB, MB, GB, TB, KiB, MiB, GiB; at least 256MiB). Default: half of what is free when it "
        "begins.",
    )
    cache: Annotated[int, BeforeValidator(bytes_of, json_schema_input_type=int | str)] = Field(
        default=10 * 10**9,
        ge=0,
        description="What a kind of step may remember in the workspace between runs, such as what reading files gave: "
        "`10GB`. Beyond that, what was not used for longest is forgotten.",
    )
    tables: Literal["native", "daft"] = Field(
        default="native",
        description="What joins rows about documents: `native`, which keeps to the memory and is faster on one "
        "machine, or `daft` (extra `daft`). With `launcher: ray` it is Daft.",
    )
    slurm: dict[str, str | int] = Field(
        default={},
        description="Options of sbatch beside those that follow from the others, such as `{partition: gpu, "
        "gpus-per-node: 4, time: '12:00:00'}`.",
    )

    @model_validator(mode="after")
    def _several_machines_have_a_launcher(self) -> Self:
        if self.ranks > 1 and self.launcher == "ray":
            raise ValueError("`launcher: ray` divides documents and no model: several processes need another one")
        if self.nodes > 1 and self.launcher == "local":
            raise ValueError("several nodes need `launcher: slurm`")
        if self.slurm and self.launcher != "slurm":
            raise ValueError("`slurm` says how a job is submitted, and the launcher is not slurm")
        return self

    @model_validator(mode="after")
    def _layers_are_divided_among_all(self) -> Self:
        for name in ("tensor_parallel", "expert_parallel"):
            if getattr(self, name) not in (1, self.ranks):
                raise ValueError(f"{name} is neither 1 nor the number of processes, {self.ranks}: nothing else works")
        if self.ranks > 1 and self.tensor_parallel == self.expert_parallel != 1:
            raise ValueError("tensor_parallel and expert_parallel cannot be combined")
        return self

    @property
    def division(self) -> dict[str, int]:
        """How a training step is divided, as it stands on record beside what it makes."""
        layers = {"tensor_parallel": self.tensor_parallel, "expert_parallel": self.expert_parallel}
        return {"processes": self.ranks, **{name: number for name, number in layers.items() if number > 1}}

    @classmethod
    def on_record(cls, environment: Mapping[str, Any]) -> Compute:
        """That many processes on this machine, divided in that way."""
        names = ("processes", "tensor_parallel", "expert_parallel")
        return cls(**{name: environment[name] for name in names if name in environment})

    @property
    def engine(self) -> Engine:
        """What stages over many documents are carried out by."""
        return "ray" if self.launcher == "ray" else self.tables

    @property
    def ranks(self) -> int:
        """Processes of a training step, on all machines."""
        return self.nodes * self.processes


def require_installed(compute: Compute) -> None:
    """Raise UserError where an extra is missing that the engine needs."""
    key, value = ("launcher", "ray") if compute.launcher == "ray" else ("tables", compute.tables)
    for package in {"native": (), "daft": ("daft",), "ray": ("ray", "daft")}[compute.engine]:
        if find_spec(package) is None:
            raise UserError(
                f"`{key}: {value}` needs the package {package}, which is not installed",
                where=f"compute.{key}",
                hint=f"pip install 'loresmith[{compute.engine}]'",
            )
