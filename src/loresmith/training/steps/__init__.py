"""The steps of training, as the factory runs them: a file for each."""

from loresmith.training.steps.pretrain import PRETRAIN, PretrainConfig
from loresmith.training.steps.sft import SFT, SftConfig

__all__ = ["PRETRAIN", "SFT", "PretrainConfig", "SftConfig"]
