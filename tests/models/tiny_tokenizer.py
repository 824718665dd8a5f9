"""A real byte-level tokenizer of 300 tokens, for tests that need one."""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from loresmith.models.chat_template import CHAT_TEMPLATE, CHAT_TOKENS
from loresmith.models.offline import transformers

TEXT = ["def f(x):\n    return x + 1\n", "The panel is behind the filter. Thanks, welcome!", "für Straße 日本語 🙂"]
END = "<|end|>"


@cache
def _trained() -> str:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=[END, *CHAT_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer.to_str()


def make_tokenizer() -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_trained()), eos_token=END, chat_template=CHAT_TEMPLATE
    )
