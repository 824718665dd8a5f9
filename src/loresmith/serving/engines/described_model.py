"""What a model's folder says of it, for engines that compute it from other files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class DescribedModel:
    """A model without its weights.

    Attributes:
        ends: the tokens that end an answer.
        window: positions that it sees.
    """

    tokenizer: PreTrainedTokenizerBase
    vocabulary_size: int
    ends: tuple[int, ...]
    window: int


def describe_model(directory: Path) -> DescribedModel:
    """Read config.json, generation_config.json and the tokenizer.

    Raises:
        UserError: they are not there.
    """
    from loresmith.models.chat_template import TURN_END
    from loresmith.models.storage import load_tokenizer

    tokenizer = load_tokenizer(directory)
    config = _read(directory / "config.json")
    if config is None:
        raise UserError("there is no config.json", where=str(directory))
    text: dict[str, Any] = config.get("text_config") or config
    declared = (_read(directory / "generation_config.json") or {}).get("eos_token_id", text.get("eos_token_id"))
    ends = {*(declared if isinstance(declared, list) else [declared]), tokenizer.eos_token_id}
    turn_end = tokenizer.convert_tokens_to_ids(TURN_END)
    if turn_end != tokenizer.unk_token_id:
        ends.add(turn_end)
    return DescribedModel(
        tokenizer=tokenizer,
        vocabulary_size=int(text["vocab_size"]),
        ends=tuple(sorted(end for end in ends if end is not None)),
        window=int(text.get("max_position_embeddings") or 2048),
    )


def _read(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    read: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read
