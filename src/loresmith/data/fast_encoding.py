"""The same token ids, five times as fast: tiktoken, given what a Hugging Face tokenizer says of itself.

Both cut a text into words by a regular expression and merge the bytes of each word, the lowest rank first. They differ
in what has a rank: for `tokenizers` a pair of tokens, for tiktoken the bytes that the pair spells. That makes no
difference where every token t of the vocabulary comes out as t when it is encoded alone. For say that two tokens x and
y come to stand side by side in a word and spell t. Until then no merge has crossed the borders of xy, so the same
merges have been made as if t stood alone; alone t becomes t, and all that is left to merge is x and y. So the pair
(x, y) has a rank, it is the last merge of t, and t can come about in no other way. A token that does not come out as
itself never comes about at all, and is left out. This is checked for every token when an encoder is made.

What remains is that both read the regular expression alike; so those are listed here that were tried with every code
point of Unicode, and what comes out is compared on a sample of the texts (`encoding_record`, `pack`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from loresmith.data.tokenizer_training import CODE_PATTERN

LONGEST_WHITE_SPACE = 100_000
"""Characters of white space in a row, above which tiktoken's regular expressions run out of stack at last."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_NUMBER = r"\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}"  # `Digits` knows Unicode 17, the regular expressions 16
_DIGITS_ALONE = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+|[{_NUMBER}]| ?[^\s\p{{L}}{_NUMBER}]+|\s+(?![^\s{_NUMBER}])|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

SPLITS = (CODE_PATTERN, _LLAMA3, _QWEN2)
"""Regular expressions of `Split` that both libraries read alike: ours, Llama 3's and Qwen 2's."""


class NotFast(Exception):
    """There is no fast way for a tokenizer; the message says why not."""


class FastEncoding:
    """What gives the same ids as a tokenizer for nearly all texts, and says for which it cannot.

    Args:
        tokenizer: of which text that is spelled like a special token is encoded as the characters that it is
            (`encode_special_tokens`). It is not changed.

    Raises:
        NotFast: the tokenizer works in a way that tiktoken cannot follow.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        import tiktoken

        described = json.loads(tokenizer.to_str())
        pattern = _pattern(described["pre_tokenizer"])
        ranked = _ranked_tokens(described)
        self._ids = np.array([number for _, number in ranked], dtype=np.int64)
        self._normalizer = tokenizer.normalizer
        self._added = _added_tokens(described, self._normalizer)
        self._tiktoken = tiktoken.Encoding(
            "loresmith",
            pat_str=pattern,
            mergeable_ranks={spelled: rank for rank, (spelled, _) in enumerate(ranked)},
            special_tokens={},
        )

    def ids(self, text: str) -> NDArray[np.int64] | None:
        """(n,) the ids of a text; None: it has something in it that only the tokenizer itself can encode."""
        if not text.isascii():
            text.encode()  # a lone surrogate is an error, which tiktoken would write over
        if self._added and self._added.search(text):
            return None
        if self._normalizer is not None:
            text = self._normalizer.normalize_str(text)
            if self._added and self._added.search(text):
                return None
        if len(text) > LONGEST_WHITE_SPACE and not _SHORT_WHITE_SPACE.fullmatch(text):
            return None
        ranks = self._tiktoken.encode_ordinary(text)
        return self._ids[np.fromiter(ranks, dtype=np.int64, count=len(ranks))]


def fast_library() -> str:
    """What is fast, with its version."""
    return f"tiktoken {version('tiktoken')}"


_SHORT_WHITE_SPACE = re.compile(rf"\S*+(?:\s{{1,{LONGEST_WHITE_SPACE}}}+\S++)*+\s{{0,{LONGEST_WHITE_SPACE}}}+")


def _pattern(described: Mapping[str, Any] | None) -> str:
    """The regular expression that cuts a text as a tokenizer does before merging."""
    parts = (described or {}).get("pretokenizers", [described or {}])
    kinds = tuple(part.get("type") for part in parts)
    last = parts[-1]
    if kinds[-1] != "ByteLevel" or last.get("add_prefix_space", True):
        raise NotFast("it does not merge the bytes of the text as it is")
    if kinds == ("ByteLevel",) and last.get("use_regex", True):
        return _GPT2
    if kinds == ("Digits", "ByteLevel") and parts[0].get("individual_digits") and last.get("use_regex", True):
        return _DIGITS_ALONE
    if kinds == ("Split", "ByteLevel") and not last.get("use_regex", True):
        split = parts[0]
        pattern = split["pattern"].get("Regex")
        if pattern in SPLITS and split.get("behavior") == "Isolated" and not split.get("invert", False):
            return str(pattern)
    raise NotFast("where it cuts a text is not among the rules that are known to be read alike by both")


def _ranked_tokens(described: Mapping[str, Any]) -> list[tuple[bytes, int]]:
    """The bytes and the id of each token that can come about, single bytes first, then in the order of their merges."""
    model = described["model"]
    odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback") if model[key]]
    if model["type"] != "BPE" or odd:
        raise NotFast(f"its model is {model['type']}{f' with {odd[0]}' if odd else ''}")
    vocabulary: dict[str, int] = model["vocab"]
    letters = byte_letters()
    missing = [byte for byte, letter in enumerate(letters) if letter not in vocabulary]
    if missing:
        raise NotFast(f"it has no token for the byte {missing[0]}")
    by_merges = _only_merging(described).model
    ranks: dict[str, int] = {}
    last = ""
    for rank, merge in enumerate(model["merges"]):
        spelled = merge.replace(" ", "") if isinstance(merge, str) else "".join(merge)
        if spelled != last and spelled in ranks:
            raise NotFast(f"two merges make the token {spelled!r}, and others come between them")
        ranks.setdefault(spelled, rank)
        last = spelled
    whole = {spelled for spelled in ranks if [token.value for token in by_merges.tokenize(spelled)] == [spelled]}
    if model.get("ignore_merges") and len(whole) + len(letters) < len(vocabulary):
        raise NotFast("it takes words whole that its merges do not make")
    bytes_of = {letter: byte for byte, letter in enumerate(letters)}
    single = [(bytes([byte]), vocabulary[letter]) for byte, letter in enumerate(letters)]
    made = sorted(whole, key=ranks.__getitem__)
    return [*single, *((bytes(map(bytes_of.__getitem__, spelled)), vocabulary[spelled]) for spelled in made)]


def _only_merging(described: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer without its short cut for words that are tokens."""
    return Tokenizer.from_str(json.dumps({**described, "model": {**described["model"], "ignore_merges": False}}))


def _added_tokens(described: Mapping[str, Any], normalizer: Any) -> re.Pattern[str] | None:
    """Finds the tokens that are looked for in a text before it is cut: added ones that are not special."""
    contents = [token["content"] for token in described["added_tokens"] if not token["special"]]
    if normalizer is not None:
        contents += [normalizer.normalize_str(content) for content in contents]
    return re.compile("|".join(re.escape(content) for content in contents if content)) if contents else None


def byte_letters() -> tuple[str, ...]:
    """The character by which byte-level vocabularies write each byte: itself where it can be seen, else the next one
    from U+0100 on (Radford et al. 2019, `bytes_to_unicode`)."""
    seen = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unseen = [byte for byte in range(256) if byte not in seen]
    return tuple(chr(byte) if byte in seen else chr(256 + unseen.index(byte)) for byte in range(256))
