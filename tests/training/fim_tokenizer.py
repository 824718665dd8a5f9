"""A small tokenizer with the sentinels of fill-in-the-middle, and what its tokens are in bytes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tokenizers import Tokenizer, pre_tokenizers

from loresmith.data.encoding import Encoder
from loresmith.data.special_tokens import smallest_vocabulary
from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs

TEXT = "def parse(line):\n    return line.strip().split('=')\n\n\nclass Reader:\n    pass\n# für Straße, für Straße\n"
RULE = "=" * 128
"""One token, and up to seven on each side of a cut."""

VOCABULARY = smallest_vocabulary(0) + 52


@cache
def directory() -> Path:
    """Where it is saved, once a process."""
    target = Path(mkdtemp(prefix="fim-tokenizer-"))
    save_tokenizer(train_byte_pairs([TEXT + RULE] * 3, VOCABULARY, 0), target)
    return target


@cache
def encoder() -> Encoder:
    return Encoder.load(directory())


@cache
def raw() -> Tokenizer:
    return Tokenizer.from_file(str(directory() / "tokenizer.json"))


@cache
def _bytes_of_letters() -> dict[str, int]:
    """The inverse of byte-level's alphabet: the visible bytes are themselves, the others follow from U+0100 on."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in visible]
    letters = {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
    assert set(letters) == set(pre_tokenizers.ByteLevel.alphabet())
    return letters


def spelled(ids: Iterable[int]) -> bytes:
    """The bytes that tokens stand for, by the vocabulary itself and not by any decoder."""
    letters = _bytes_of_letters()
    return bytes(letters[letter] for token in ids for letter in raw().id_to_token(int(token)))
