"""What a step is: one typed way to make assets out of assets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from loresmith.ledger.books import Books

AssetKind = Literal[
    "source",
    "documents",
    "corpus",
    "tokenizer",
    "tokens",
    "model",
    "adapter",
    "dataset",
    "suite",
    "report",
    "bundle",
    "index",
]


class StepConfig(BaseModel):
    """Base of every step's config: frozen, unknown keys rejected, each field with a sentence.

    A field declared with `Field(json_schema_extra={"location": True})` says where something lies, not what it
    is: it is left out of the action key, and the step's `fingerprint` covers the content instead. A relative
    path in such a field is resolved against the recipe's folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Input:
    """One input role of a step.

    Attributes:
        many: a recipe may wire several assets to it, as a list (`suites: [a, b]`) or by name (`corpora: {manuals: a,
            tickets: b}`). The step gets them in roles of their own, `suites.1` or `corpora.manuals`, which `several`
            puts together.
        every: where a recipe wires none, it is every asset of the kind that the recipe makes or that the workspace has
            when the plan is made. For roles of many only.
    """

    kind: AssetKind
    summary: str
    optional: bool = False
    many: bool = False
    every: bool = False


@dataclass(frozen=True)
class Output:
    """One output role of a step; an optional one is made under some settings only (see `Step.makes`)."""

    kind: AssetKind
    summary: str
    optional: bool = False


@dataclass(frozen=True)
class Made:
    """What a step function returns for one output role.

    `metadata` is part of the asset's digest: only facts that follow from the content belong there, never a
    time, a duration or a path of this machine.
    """

    directory: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A check that a step made; the factory signs it and keeps it as a receipt.

    `output` is the role of the asset that it is about. When an output fails a check, the step fails and nothing is
    registered. A check of an input is what the step found of an asset that there is already, and stays on record
    either way.
    """

    output: str
    kind: str
    passed: bool
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """What a step function returns."""

    outputs: Mapping[str, Made]
    books: Books = field(default_factory=Books)
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class InputAsset:
    """An input as a step function sees it: a read-only directory and what the ledger knows of it."""

    digest: str
    kind: str
    directory: Path
    metadata: Mapping[str, Any]
    labels: tuple[str, ...]


class StepContext(Protocol):
    """What the factory gives a running step."""

    @property
    def seed(self) -> int:
        """The recipe's seed: all randomness of a step is derived from it."""

    @property
    def work(self) -> Path:
        """A directory of this action alone. What is written here is found again after an interruption.

        What a step chooses by measuring, and what decides its result, it writes to `choices/NAME.txt` in it, and
        follows if that is there: it goes on record, and is there again when the step is reproduced.
        """

    @property
    def cache(self) -> Path:
        """A folder that all runs of this step in this workspace share. What is in it saves time and decides no result:
        it may be gone at any time, and several processes may be at it at once."""

    @property
    def cache_bytes(self) -> int:
        """What the step may leave in that folder, in bytes; what was not used for longest goes first."""

    @property
    def threads(self) -> int:
        """How many CPU threads the step may use."""

    @property
    def memory(self) -> int:
        """Bytes that a step over many documents may take, with all its processes and however many there are."""

    @property
    def engine(self) -> Literal["native", "daft", "ray"]:
        """What such a step is carried out by (`loresmith.data.steps.engine.engine_of` makes it)."""

    @property
    def tensor_parallel(self) -> int:
        """Of a step that runs in several processes: among how many of them each matrix of a model is divided."""

    @property
    def expert_parallel(self) -> int:
        """Of a step that runs in several processes: among how many of them the experts of a model are divided."""

    @property
    def erased(self) -> frozenset[str]:
        """By what is known again what was erased from this workspace, for a step that `leaves_out_erased`: ids of
        documents, and SHA-256 of their texts and of files."""

    def output(self, role: str) -> Path:
        """An empty directory in which to write the output of this role."""

    def place(self, digest: str, target: Path) -> bool:
        """Put a file that the workspace holds at `target`, by the sha256 of its bytes; False where it does not hold it.

        The file is read-only and may share its storage with the workspace's own.
        """

    def progress(self, done: float, total: float | None, unit: str, /, **numbers: float) -> None:
        """Say how far the step is; `numbers` are those a person wants to see (loss, bits per byte)."""

    def metric(self, name: str, value: float, position: float) -> None:
        """Record a number at a position (tokens seen, documents read) in the run.

        It is the same whenever the step is run again, unless its name ends in `_per_second` or `_seconds`.
        """

    def log(self, message: str) -> None:
        """Add a line to the step's log."""

    def checkpoint(self, directory: Path, position: float) -> None:
        """Record that `directory`, under `work`, now holds a state from which the step can go on."""

    def stop_requested(self) -> bool:
        """Whether the step should save its state and call `stopped` at this safe point."""

    def stopped(self) -> None:
        """Leave the step at a safe point (raises Interrupted)."""


Wired = TypeVar("Wired")


def several(inputs: Mapping[str, Wired], role: str) -> dict[str, Wired]:
    """The inputs of a role of many, by the number or the name that each has in it; numbers first, ascending."""
    found = {key.partition(".")[2]: asset for key, asset in inputs.items() if key.partition(".")[0] == role}
    order = sorted(found, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    return {name: found[name] for name in order}


StepFunction = Callable[[StepContext, Any, Mapping[str, InputAsset]], Result]


@dataclass(frozen=True)
class Guess:
    """What a step says of its own cost before it has ever run here."""

    seconds: float
    peak_bytes: int
    output_bytes: int


@dataclass(frozen=True)
class Step:
    """One kind of step.

    Attributes:
        name: what a recipe writes after `step:`.
        version: raised whenever the same config and inputs would give other outputs.
        summary: one sentence for `loresmith steps`.
        config: the Pydantic model of its settings.
        inputs, outputs: roles; optional inputs that a recipe does not wire are absent from the mapping. The first
            output is the one that is meant where a recipe names the step alone and no kind decides.
        run: the function that does the work, in a subprocess of its own.
        fingerprint: digest of what the step reads from outside the ledger (None: it reads nothing there).
        remembers: whether `fingerprint` takes, as `cache`, the folder that the step's context has under that name.
            It is called with a config whose locations are absolute, and raises UserError for what is not there.
        leaves_out_erased: whether it reads documents from outside the ledger, and leaves out what the context says was
            erased. It is run anew after an erasure, and its `fingerprint` takes what was erased as `erased`.
        restore_sources: lays out again what the step read from outside the ledger, so that `loresmith reproduce` can
            run it when the originals have changed or gone. It gets the config, the read-only directories of the
            outputs that were made then, by role, and an empty folder, and returns the config with its locations in
            that folder; it raises UserError, saying why, for what its outputs do not hold. None: the step can be run
            again only where its sources are still what they were.
        gone: of the paths of files that an earlier snapshot of its place has and the new one has not, those that are
            not there any more, and not merely unwanted or refused now. It gets the config, the paths, and the
            read-only directory of what it made beside the snapshot, with its books. None: nobody asks.
        packages: distributions whose versions belong to the action key, since they decide the result.
        check: raises UserError, with a key of the step as its place, where settings do not go with the inputs that a
            recipe wires. It gets the config and the references by role, before anything is planned. None: all go.
        workload: how much work a config asks for, in any unit (training: floating-point operations); forecasts
            scale past runs by it. None: they scale by the size of the inputs.
        guess: what to forecast where there are no past runs.
        makes: which of its optional outputs a config asks for; None: none of them.
        join: joins the process it is called in, one of several that torchrun has started for this step, to the others,
            for as long as the context lasts. `run` is then called in all of them. What the first one makes, says and
            returns counts; the others have folders of their own, and return no outputs. None: the step runs in one
            process, whatever the recipe's `compute` says.
    """

    name: str
    version: int
    summary: str
    config: type[StepConfig]
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Output]
    run: StepFunction
    fingerprint: Callable[..., str] | None = None
    remembers: bool = False
    leaves_out_erased: bool = False
    restore_sources: Callable[[Any, Mapping[str, Path], Path], Any] | None = None
    gone: Callable[[Any, AbstractSet[str], Path], AbstractSet[str]] | None = None
    packages: tuple[str, ...] = ()
    check: Callable[[Any, Mapping[str, str]], None] | None = None
    workload: Callable[[Any], float] | None = None
    guess: Callable[[Any], Guess] | None = None
    makes: Callable[[Any], frozenset[str]] | None = None
    join: Callable[[], AbstractContextManager[None]] | None = None

    def input_of(self, role: str) -> Input:
        """What is declared of a role, or of the role of many that it is part of."""
        return self.inputs[role.partition(".")[0]]

    def fingerprint_of(self, config: Any, caches: Path | None, erased: frozenset[str]) -> str | None:
        """The digest of what the step reads from outside the ledger; None where it reads nothing there.

        Args:
            caches: the workspace's folder of caches, if the step may use it.
            erased: by what is known again what was erased from the workspace.
        """
        if self.fingerprint is None:
            return None
        told: dict[str, Any] = {}
        if self.remembers and caches is not None:
            told["cache"] = caches / self.name
        if self.leaves_out_erased:
            told["erased"] = erased
        return self.fingerprint(config, **told)

    def outputs_of(self, config: StepConfig) -> dict[str, Output]:
        """The outputs that the step makes with these settings, in the order in which they are declared."""
        asked = self.makes(config) if self.makes is not None else frozenset()
        return {role: output for role, output in self.outputs.items() if not output.optional or role in asked}
