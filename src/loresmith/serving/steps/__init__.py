"""The steps of this room, as the factory runs them: a file for each."""

from loresmith.serving.steps.index import INDEX, IndexConfig

__all__ = ["INDEX", "IndexConfig"]
