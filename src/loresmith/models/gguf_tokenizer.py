"""The tokenizer that a GGUF file describes, with the text cut where its merges were learnt.

A GGUF file holds the vocabulary and the merges, and only a name for where text is cut before them
(`tokenizer.ggml.pre`). transformers knows some of these names and takes GPT-2's rule for all others, without a word.
Here a name is known or refused. The names are llama.cpp's (`llama-vocab.cpp`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loresmith.errors import UserError
from loresmith.models.gguf import GgufFile
from loresmith.models.offline import transformers

DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
"""Names that stand for single digits and GPT-2's rule for the rest."""

AS_GPT2 = frozenset({"gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"})
"""Names that stand for GPT-2's rule."""

WHOLE_WORDS_FIRST = frozenset(
    {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken"}
)
"""Names with which a word that is in the vocabulary is one token, whatever the merges say."""


def write_gguf_tokenizer(file: GgufFile, target: Path) -> None:
    """Write the tokenizer as a Hugging Face folder.

    Raises:
        UserError: transformers cannot make it, or its `tokenizer.ggml.pre` is not known here.
    """
    try:
        tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(
            str(file.path.parent), gguf_file=file.path.name, local_files_only=True
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UserError(f"transformers cannot make a tokenizer of it: {error}", where=str(file.path)) from error
    from tokenizers import Tokenizer

    described = json.loads(tokenizer.backend_tokenizer.to_str())
    # The class that transformers builds upon brings special tokens of its own, for which the model has no embedding.
    described["added_tokens"] = [token for token in described["added_tokens"] if token["id"] < file.tokens]
    if file.said.get("tokenizer.ggml.model") == "gpt2":
        _cut(described, str(file.said.get("tokenizer.ggml.pre")), file.path)
    plain = Tokenizer.from_str(json.dumps(described))
    known = plain.get_vocab()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain,
        **{role: token for role, token in tokenizer.special_tokens_map.items() if token in known},
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = tokenizer.chat_template
    fast.save_pretrained(str(target))


def _cut(described: dict[str, Any], name: str, where: Path) -> None:
    """Set the rule by which text is cut before merging; `described` is a tokenizer.json."""
    from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS

    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    if name in DIGITS_ALONE:
        digits = {"type": "Digits", "individual_digits": True}
        described["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    elif name in AS_GPT2:
        described["pre_tokenizer"] = byte_level
    elif name not in GGUF_PRE_TOKENIZER_SPLITS:
        raise UserError(
            f"it is not known where this tokenizer cuts text: tokenizer.ggml.pre is {name!r}",
            where=str(where),
            hint="import the model's safetensors folder, whose tokenizer.json says it",
        )
    described["model"]["ignore_merges"] = name in WHOLE_WORDS_FIRST
