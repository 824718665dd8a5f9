"""A step whose work is done by processes that it starts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping

from pydantic import Field

from loresmith.factory.step import InputAsset, Made, Output, Result, Step, StepConfig, StepContext

_HOLD = "import sys; held = b'x' * int(sys.argv[1]); print(flush=True); sys.stdin.read()"


class HaveHeld(StepConfig):
    """Settings of `have-held`."""

    processes: int = Field(ge=0, description="How many.")
    bytes: int = Field(ge=0, description="What each of them holds.")
    together: bool = Field(default=True, description="Whether they are there at the same time.")


def _have_held(context: StepContext, config: HaveHeld, inputs: Mapping[str, InputAsset]) -> Result:
    rounds = (config.processes,) if config.together else (1,) * config.processes
    for count in rounds:
        held = [
            subprocess.Popen(
                [sys.executable, "-c", _HOLD, str(config.bytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            for _ in range(count)
        ]
        for process in held:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(3)  # long enough to be seen by whoever looks four times a second, on a busy machine too
        for process in held:
            process.communicate()
    folder = context.output("text")
    (folder / "text.txt").write_text("held")
    return Result({"text": Made(folder)})


HAVE_HELD = Step(
    name="have-held",
    version=1,
    summary="Have memory held by processes of its own.",
    config=HaveHeld,
    inputs={},
    outputs={"text": Output("corpus", "nothing of use")},
    run=_have_held,
)
