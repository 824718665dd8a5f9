"""The steps of this room, as the factory runs them: a file for each."""

from loresmith.serving.steps.index import INDEX, IndexConfig
from loresmith.serving.steps.index_passages import INDEX_PASSAGES, IndexPassagesConfig
from loresmith.serving.steps.train_guard import TRAIN_GUARD, TrainGuardConfig

__all__ = [
    "INDEX",
    "INDEX_PASSAGES",
    "TRAIN_GUARD",
    "IndexConfig",
    "IndexPassagesConfig",
    "TrainGuardConfig",
]
