"""The engine of the steps of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loresmith.factory.step import StepContext

if TYPE_CHECKING:
    from loresmith.data.engine.engine import Engine


def engine_of(context: StepContext) -> Engine:
    """The engine that a recipe asks for, with its threads as workers and within its memory. A context manager.

    Raises:
        UserError: what it needs is not installed.
    """
    folder = context.work / "tables"
    if context.engine == "ray":
        from loresmith.data.engine.ray_engine import RayEngine

        return RayEngine(context.threads, context.memory, folder)
    from loresmith.data.engine.local_engine import local_engine

    return local_engine(context.threads, context.memory, folder, context.engine)
