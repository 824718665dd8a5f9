"""A step of several processes, which go wrong on purpose."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from loresmith.errors import UserError
from loresmith.factory.step import Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext


class CountTogether(StepConfig):
    """Settings of `count-together`."""

    to: int = Field(default=20, ge=1, description="Count up to here.")
    pause: float = Field(default=0.0, ge=0, description="Seconds between two numbers.")
    fault: Literal["none", "killed", "crashes", "refuses"] = Field(
        default="none", description="What goes wrong in the last process, half way; `killed` happens once."
    )


def _count(context: StepContext, config: CountTogether, inputs: Mapping[str, InputAsset]) -> Result:
    import torch
    from torch import distributed

    together = distributed.is_initialized()
    rank, world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
    place = [str(context.work)]
    if together:
        distributed.broadcast_object_list(place)
    state, died = Path(place[0]) / "count", Path(place[0]) / "died"
    count = int(state.read_text()) if state.exists() else 0
    context.log(f"from {count}, process {rank + 1} of {world}, {context.threads} threads")
    while count < config.to:
        count += 1
        if rank == world - 1 and count == config.to // 2:
            if config.fault == "killed" and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if config.fault == "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            if config.fault == "refuses":
                raise UserError("half is enough", where="the last process")
        stop = torch.tensor([int(context.stop_requested())])
        if together:
            distributed.all_reduce(stop)
        if rank == 0:
            written = state.with_suffix(".new")
            written.write_text(str(count))
            written.replace(state)
        context.metric("count", count, count)
        if stop.item():
            context.stopped()
        time.sleep(config.pause)
    if rank:
        return Result(outputs={})
    folder = context.output("text")
    (folder / "text.txt").write_text(str(count), encoding="utf-8")
    return Result(outputs={"text": Made(folder)})


@contextmanager
def _joined() -> Iterator[None]:
    from loresmith.training.parallel import joined_ranks

    if os.environ.get("RANK") == "1" and (died := os.environ.get("LORESMITH_TEST_DIES_ALONE")):
        Path(died).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with joined_ranks():
        yield
    if os.environ.get("RANK") == "1" and os.environ.get("LORESMITH_TEST_ABORTS"):
        os.abort()


def _join() -> AbstractContextManager[None]:
    return _joined()


COUNT_TOGETHER = Step(
    name="count-together",
    version=1,
    summary="Count, in several processes.",
    config=CountTogether,
    inputs={"after": Input("report", "Something to wait for.", optional=True)},
    outputs={"text": Output("report", "The last number.")},
    run=_count,
    join=_join,
)
