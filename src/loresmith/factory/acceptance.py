"""What a step made, looked at before anything is done with it: its books balance, and it passed its checks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loresmith.errors import Failure
from loresmith.factory.step import InputAsset, Step
from loresmith.ledger import OutputRecord
from loresmith.ledger.books import Books


def accepted(
    step: Step, name: str, finished: Mapping[str, Any], inputs: Mapping[str, InputAsset]
) -> tuple[Books, dict[str, OutputRecord]]:
    """The books and the outputs that a step's process reported, with the labels that they inherit.

    Args:
        name: the step's, for messages.
        finished: the event with which its process ended.

    Raises:
        Failure: the books do not balance, or an output failed a check.
    """
    books = Books.model_validate(finished["books"])
    books.require_balance(f"step {name!r}")
    for check in finished["checks"]:
        if not check["passed"] and check["output"] in finished["outputs"]:
            raise Failure(
                f"the check {check['kind']!r} of the output {check['output']!r} failed: {check['evidence']}",
                where=f"step {name!r}",
                hint="nothing was registered",
            )
    inherited = {label for asset in inputs.values() for label in asset.labels}
    outputs = {
        role: OutputRecord(
            kind=step.outputs[role].kind,
            directory=Path(made["directory"]),
            move=True,
            metadata=made["metadata"],
            labels=tuple(sorted(inherited | set(made["labels"]))),
        )
        for role, made in finished["outputs"].items()
    }
    return books, outputs
