"""The steps of this room, as the factory runs them: a file for each."""

from loresmith.evaluation.steps.baseline import BASELINE, BaselineConfig
from loresmith.evaluation.steps.evaluate import EVALUATE, EvaluateConfig
from loresmith.evaluation.steps.restoration import EVALUATE_RESTORATION, RestorationConfig

__all__ = [
    "BASELINE",
    "EVALUATE",
    "EVALUATE_RESTORATION",
    "BaselineConfig",
    "EvaluateConfig",
    "RestorationConfig",
]
