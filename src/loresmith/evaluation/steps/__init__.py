"""The steps of this room, as the factory runs them: a file for each."""

from loresmith.evaluation.steps.baseline import BASELINE, BaselineConfig
from loresmith.evaluation.steps.contamination import CONTAMINATION, ContaminationConfig
from loresmith.evaluation.steps.decontaminate import DECONTAMINATE, DecontaminateConfig
from loresmith.evaluation.steps.evaluate import EVALUATE, EvaluateConfig
from loresmith.evaluation.steps.ingest_suite import INGEST_SUITE, IngestSuiteConfig
from loresmith.evaluation.steps.restoration import EVALUATE_RESTORATION, RestorationConfig

__all__ = [
    "BASELINE",
    "CONTAMINATION",
    "DECONTAMINATE",
    "EVALUATE",
    "EVALUATE_RESTORATION",
    "INGEST_SUITE",
    "BaselineConfig",
    "ContaminationConfig",
    "DecontaminateConfig",
    "EvaluateConfig",
    "IngestSuiteConfig",
    "RestorationConfig",
]
