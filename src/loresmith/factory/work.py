"""What a step's process is given and what it gives back, as it goes between processes."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from loresmith.factory.step import InputAsset, Result, Step, StepConfig


def inputs_of(request: Mapping[str, Any]) -> dict[str, InputAsset]:
    """The inputs that a request names."""
    return {
        role: InputAsset(
            digest=given["digest"],
            kind=given["kind"],
            directory=Path(given["directory"]),
            metadata=given["metadata"],
            labels=tuple(given["labels"]),
        )
        for role, given in request["inputs"].items()
    }


def described(step: Step, config: StepConfig, result: Result) -> dict[str, Any]:
    """A step's result as its last event carries it."""
    promised = set(step.outputs_of(config))
    if promised != set(result.outputs):
        made = ", ".join(result.outputs) or "no output"
        raise AssertionError(f"the step {step.name!r} returned {made} where it promised {', '.join(promised)}")
    return {
        "outputs": {
            role: {"directory": str(made.directory), "metadata": dict(made.metadata), "labels": list(made.labels)}
            for role, made in result.outputs.items()
        },
        "books": result.books.model_dump(mode="json"),
        "checks": [
            {"output": check.output, "kind": check.kind, "passed": check.passed, "evidence": dict(check.evidence)}
            for check in result.checks
        ],
    }


def peak_bytes() -> int:
    """The most memory that this process alone has had; `step_memory` counts those that it started.

    Linux says it twice. What `getrusage` has is at least what the process had that started this one.
    """
    with suppress(OSError), open("/proc/self/status", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
