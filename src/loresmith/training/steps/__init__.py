"""The steps of training, as the factory runs them: a file for each."""

from loresmith.training.steps.pretrain import PRETRAIN, PretrainConfig

__all__ = ["PRETRAIN", "PretrainConfig"]
