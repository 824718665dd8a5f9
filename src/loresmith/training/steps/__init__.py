"""The steps of training, as the factory runs them: a file for each."""

from loresmith.training.steps.distil import DISTIL, DistilConfig
from loresmith.training.steps.merge import MERGE, MergeConfig
from loresmith.training.steps.pretrain import PRETRAIN, PretrainConfig
from loresmith.training.steps.sft import SFT, SftConfig

__all__ = ["DISTIL", "MERGE", "PRETRAIN", "SFT", "DistilConfig", "MergeConfig", "PretrainConfig", "SftConfig"]
