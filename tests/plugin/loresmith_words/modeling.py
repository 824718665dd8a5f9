"""A model class of a third party: what somebody writes whose architecture transformers does not have."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput


class WordMixerConfig(PreTrainedConfig):
    """Shape of a word mixer."""

    model_type = "word-mixer"

    vocab_size: int = 100
    hidden_size: int = 32
    num_hidden_layers: int = 2
    forgetting: float = 0.5


class WordMixerLayer(nn.Module):
    """Adds to each position what came before it, the less the longer ago."""

    def __init__(self, config: WordMixerConfig) -> None:
        super().__init__()
        self.forgetting = config.forgetting
        self.in_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        age_TT = torch.arange(x_BTD.shape[1])[:, None] - torch.arange(x_BTD.shape[1])
        weight_TT = torch.where(age_TT >= 0, self.forgetting ** age_TT.clamp_min(0), 0.0).to(x_BTD.dtype)
        mixed_BTD: Tensor = x_BTD + self.out_proj(torch.tanh(weight_TT @ self.in_proj(x_BTD)))
        return mixed_BTD


class WordMixerPreTrainedModel(PreTrainedModel):
    """What its two model classes share."""

    config_class = WordMixerConfig
    base_model_prefix = "model"
    _no_split_modules = ("WordMixerLayer",)


class WordMixerModel(WordMixerPreTrainedModel):
    """The backbone."""

    def __init__(self, config: WordMixerConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(WordMixerLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def forward(self, input_ids: Tensor, **_ignored: Any) -> BaseModelOutput:
        x_BTD = self.embed_tokens(input_ids)
        for layer in self.layers:
            x_BTD = layer(x_BTD)
        return BaseModelOutput(last_hidden_state=x_BTD)


class WordMixerForCausalLM(WordMixerPreTrainedModel):
    """The class that the entry point names."""

    def __init__(self, config: WordMixerConfig) -> None:
        super().__init__(config)
        self.model = WordMixerModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor, **_ignored: Any) -> CausalLMOutput:
        return CausalLMOutput(logits=self.lm_head(self.model(input_ids).last_hidden_state))


class NotAModel:
    """What an entry point should not name."""
