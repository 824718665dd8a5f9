"""Training a tokenizer: byte-level byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.data.special_tokens import END_OF_DOCUMENT, PAD, smallest_vocabulary, special_tokens
from loresmith.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CODE_PATTERN = (
    r"[^\r\n\p{L}\p{N}]?\p{L}+"  # letters, with the one space, quote, dot or underscore before them
    r"|\p{N}{1,3}"  # digits by threes, so that no number is a word of its own
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"  # punctuation, with the line end that follows it in code
    r"|\s*[\r\n]+"  # line ends, with trailing blanks
    r"|\s+(?!\S)"  # indentation, but for the last space, which belongs to the word
    r"|\s+"
)
"""Where byte pairs may not merge across. It is the pattern of GPT-4's tokenizer (cl100k) without its rule for English
contractions, which splits `'self'` into `'s` and `elf'`; runs of spaces are one token, so that indentation is cheap.

Line ends and the indentation after them stay apart: together they would save 8 % of the tokens of Python source, at
the same bits per byte of an n-gram model, but a prompt that ends with its line would then end in a token that is
never seen before indentation, and a model would leave the block.
"""

LONGEST_RUN = 256
"""Characters without white space that are looked at together when a vocabulary is learnt."""

PATTERNS = {"code": CODE_PATTERN, "gpt2": None}
"""Pre-tokenizers by name; None: the one that byte-level tokenizers have built in, GPT-2's."""


def train_byte_pairs(
    texts: Iterable[str], vocabulary_size: int, reserved: int, pre_tokenizer: str = "code"
) -> Tokenizer:
    """Learn a vocabulary from texts. The same texts in the same order give the same vocabulary.

    Args:
        texts: what to learn from.
        vocabulary_size: tokens in all: special ones, the 256 bytes, and as many merges as there is room for.
        reserved: how many special tokens to keep free for later.
        pre_tokenizer: a key of PATTERNS.

    Raises:
        UserError: the vocabulary cannot hold the bytes and the special tokens, or the texts do not fill it.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    specials = special_tokens(reserved)
    if vocabulary_size < smallest_vocabulary(reserved):
        raise UserError(
            f"a vocabulary of {vocabulary_size} has no room for the 256 bytes and {len(specials)} special tokens",
            where="vocabulary_size",
            hint=f"ask for at least {smallest_vocabulary(reserved)}",
        )
    tokenizer = Tokenizer(models.BPE())
    pattern = PATTERNS[pre_tokenizer]
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    words = [pre_tokenizers.Split(Regex(pattern), behavior="isolated")] if pattern else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*words, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,  # what was seen once is no pattern
        special_tokens=list(specials),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_in_pieces(texts), trainer)
    found = tokenizer.get_vocab_size(with_added_tokens=True)
    if found < vocabulary_size:
        raise UserError(
            f"the training text has only enough repetition for {found} tokens, not {vocabulary_size}",
            where="vocabulary_size",
            hint=f"ask for {found} or fewer, or add text",
        )
    return tokenizer


def _in_pieces(texts: Iterable[str]) -> Iterator[str]:
    """The texts, cut where a run without white space is very long.

    Learning a merge takes time in proportion to the words that hold the pair: one run of a megabyte, such as a genome
    on one line, would take hours. Encoding has no such trouble, and is not changed.
    """
    for text in texts:
        if max(map(len, text.split()), default=0) <= LONGEST_RUN:
            yield text
            continue
        start = 0
        for run in re.finditer(rf"\S{{{LONGEST_RUN}}}", text):
            yield text[start : run.end()]
            start = run.end()
        yield text[start:]


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Save as a transformers fast tokenizer with a chat template, which loads without a network."""
    from loresmith.models.chat_template import CHAT_TEMPLATE, TURN_END
    from loresmith.models.offline import transformers

    specials = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_DOCUMENT,
        pad_token=PAD,
        extra_special_tokens=[token for token in specials if token not in (END_OF_DOCUMENT, PAD)],
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    assert TURN_END in specials
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(str(directory))
