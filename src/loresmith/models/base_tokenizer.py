"""A base model's tokenizer, made into one that every part of Loresmith reads alike.

transformers builds some tokenizers from the class that tokenizer_config.json names and not from tokenizer.json: with
`GPT2Tokenizer`, SmolLM2's rule that digits stand alone is lost, without a word. What was trained is what tokenizer.json
says; so the class is replaced by the plain one that takes it as it is, and the two are compared.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loresmith.errors import Failure, UserError
from loresmith.models.base_settings import read_json, refuse_own_code, write_settings
from loresmith.models.storage import load_tokenizer

PLAIN_CLASS = "PreTrainedTokenizerFast"
"""Takes tokenizer.json as it is, in transformers 4 and 5."""

SPECIAL_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

OF_ANOTHER_PLACE = ("name_or_path", "is_local", "local_files_only", "backend", "tokenizer_file", "vocab_file")
"""What a tokenizer_config.json says of the place that it was loaded from."""

PROBES = (
    "The quick brown fox, it's said, jumps over 13 lazy dogs; 1,234,567.89 times.",
    "  12 a  34\n\n\n    x += 0x1F\t# tabs\r\nlast line  ",
    "Größe: 5 µm, naïve café — “quoted”… 東京 и Москва, \U0001f642\U0001f1eb\U0001f1f7 e\u0301",
    "HTTPServer.handle_request(self, *args, **kwargs) -> None: pass",
)
"""Texts on which tokenizers that differ are likely to differ: digits, white space, accents, scripts, code."""


@dataclass(frozen=True)
class TakenTokenizer:
    """What is known of a tokenizer that was taken over.

    Attributes:
        highest_token: no id is above it.
        end_of_document, end_id: the token that follows every document.
        chat_template: whether it carries one.
    """

    highest_token: int
    end_of_document: str
    end_id: int
    chat_template: bool

    def facts(self) -> dict[str, Any]:
        """The metadata of a `tokenizer` asset."""
        return {
            "vocabulary_size": self.highest_token + 1,
            "end_of_document": self.end_of_document,
            "chat_template": self.chat_template,
        }


def take_tokenizer(source: Path, target: Path, end_of_document: str | None) -> TakenTokenizer:
    """Write the tokenizer of a Hugging Face folder as a `tokenizer` asset.

    tokenizer.json stays as it is, to the byte; where there is none, transformers makes one of what there is.

    Args:
        source: the model's folder.
        target: an empty folder.
        end_of_document: the token that follows every document; the tokenizer's eos_token when None.

    Raises:
        UserError: there is no tokenizer that can be used, it wants code of its own to be run, or has no such token.
        Failure: transformers reads other tokens from it than it holds.
    """
    settings = _settings(source)
    if (source / "tokenizer.json").is_file():
        shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    else:
        _make_fast(source, target)
        settings = {**settings, **read_json(target / "tokenizer_config.json")}
    template = _chat_template(source, settings)
    for name in (*OF_ANOTHER_PLACE, "chat_template", "added_tokens_decoder", "auto_map"):
        settings.pop(name, None)
    if template is not None and isinstance(template, str):
        (target / "chat_template.jinja").write_text(template, encoding="utf-8")
    elif template is not None:  # several, by name
        settings["chat_template"] = template
    raw = _raw(target)
    chosen = end_of_document or _content(settings.get("eos_token"))
    end = raw.token_to_id(chosen) if chosen else None
    if chosen is None or end is None:
        known = [token.content for token in raw.get_added_tokens_decoder().values()]
        listed = f"; its special tokens are {', '.join(known[:12])}" if known else ""
        raise UserError(
            f"the tokenizer has no token {chosen!r} to end a document with{listed}"
            if chosen
            else f"the tokenizer names no eos_token, with which every document ends{listed}",
            where=str(source),
            hint="say which token it is with `end_of_document`",
        )
    settings |= {"eos_token": chosen, "tokenizer_class": PLAIN_CLASS}
    settings.setdefault("model_input_names", ["input_ids", "attention_mask"])  # the plain class has one more
    write_settings(settings, target / "tokenizer_config.json")
    require_read_alike(target, source)
    return TakenTokenizer(max(raw.get_vocab().values()), chosen, end, template is not None)


def _settings(source: Path) -> dict[str, Any]:
    """tokenizer_config.json, with what older folders say in special_tokens_map.json."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = source / name
        if file.is_file():
            said = read_json(file)
            refuse_own_code(said, file)
            settings |= {key: value for key, value in said.items() if value is not None}
    for role in SPECIAL_ROLES:
        if role in settings:
            settings[role] = _content(settings[role])
    return settings


def _content(token: Any) -> str | None:
    """A token's text; older configs have an object with its properties instead."""
    found = token.get("content") if isinstance(token, dict) else token
    return str(found) if found else None


def _chat_template(source: Path, settings: dict[str, Any]) -> Any:
    """The template, from the place that counts first; None where there is none."""
    if (source / "chat_template.jinja").is_file():
        return (source / "chat_template.jinja").read_text(encoding="utf-8")
    if (source / "chat_template.json").is_file():
        return read_json(source / "chat_template.json").get("chat_template")
    return settings.get("chat_template") or None


def _make_fast(source: Path, target: Path) -> None:
    """Have transformers make a tokenizer.json of another form, such as SentencePiece's tokenizer.model."""
    if not any(
        (source / name).is_file() for name in ("tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")
    ):
        raise UserError("there is no tokenizer with this model: no tokenizer.json", where=str(source))
    try:
        tokenizer = load_tokenizer(source)
        tokenizer.save_pretrained(str(target))
    except ImportError as error:
        raise UserError(
            f"there is no tokenizer.json, and transformers cannot make one here: {error}", where=str(source)
        ) from error
    if not (target / "tokenizer.json").is_file():
        raise UserError("this tokenizer has no fast form, a tokenizer.json", where=str(source))
    for file in target.iterdir():
        if file.name not in ("tokenizer.json", "tokenizer_config.json"):
            file.unlink()


def _raw(directory: Path) -> Any:
    from tokenizers import Tokenizer

    file = directory / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises this very class
        raise UserError(f"this is no tokenizer: {error}", where=str(file)) from error


def require_read_alike(tokenizer: Path, source: Path) -> None:
    """Raise where transformers makes another tokenizer of a folder than what its tokenizer.json holds.

    Args:
        source: where the tokenizer came from, for messages.
    """
    raw, fast = _raw(tokenizer), load_tokenizer(tokenizer)
    added = sorted(set(fast.get_vocab()) - set(raw.get_vocab()))
    if added:
        raise UserError(
            f"tokenizer_config.json names tokens that tokenizer.json does not have: {', '.join(added[:5])}",
            where=str(source),
            hint="the model has no embedding for them; take them out of tokenizer_config.json",
        )
    for text in PROBES:
        ours, theirs = raw.encode(text, add_special_tokens=False).ids, fast(text, add_special_tokens=False)["input_ids"]
        if ours != list(theirs):
            raise Failure(f"transformers encodes {text!r} in another way than tokenizer.json says", where=str(source))
