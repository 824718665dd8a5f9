from __future__ import annotations

import itertools
import json
import random
import sysconfig
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from loresmith.data.encoding_record import PROBES
from loresmith.data.fast_encoding import LONGEST_WHITE_SPACE, SPLITS, FastEncoding, NotFast, byte_letters
from loresmith.data.tokenizer_training import train_byte_pairs


def standard_library(limit: int) -> list[str]:
    """Source and documentation in many scripts: some of the standard library, its tests of Unicode among it."""
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(root.glob("*.py")) + sorted(root.glob("encodings/*.py")) + sorted(root.glob("idlelib/*.txt"))
    random.Random(0).shuffle(paths)
    texts, size = [], 0
    for path in paths:
        if size > limit:
            break
        text = path.read_text("utf-8", errors="replace")
        size += len(text)
        texts.append(text)
    return texts


TEXTS = standard_library(1_500_000)

EACH_KIND = 150
"""Characters of each category of Unicode that are tried; all were tried once when this was written."""


def cut_by(*parts: pre_tokenizers.PreTokenizer) -> Tokenizer:
    """A tokenizer that is trained with another rule for cutting."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(parts)) if len(parts) > 1 else parts[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=["<|endoftext|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS[:20], trainer)
    return tokenizer


def split(pattern: str) -> list[Any]:
    return [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]


MADE: dict[str, Callable[[], Tokenizer]] = {
    "code": lambda: train_byte_pairs(TEXTS[:20], 2000, 2, "code"),
    "gpt2": lambda: train_byte_pairs(TEXTS[:20], 2000, 2, "gpt2"),
    "byte level alone": lambda: cut_by(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "digits alone": lambda: cut_by(
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ),
    "llama 3": lambda: cut_by(*split(SPLITS[1])),
    "qwen 2": lambda: cut_by(*split(SPLITS[2])),
}


@pytest.fixture(scope="module", params=list(MADE))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return literal(MADE[request.param]())


def literal(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.encode_special_tokens = True
    return tokenizer


def exact(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def assert_equal(tokenizer: Tokenizer, fast: FastEncoding, text: str) -> None:
    ids = fast.ids(text)
    assert ids is not None
    assert ids.tolist() == exact(tokenizer, text), repr(text[:200])


SCRIPTS = "aZé'ſKßﬁ中文बहुԱ한🙂\U0001f1eb\u0301\u200d\ufeff0٣Ⅷ½ \t\n\r\v\f\u0085\u00a0\u2028\u3000.,_'\"“—<|>\0\x1c\x7f"
words = st.sampled_from(
    ["'s", "'S", "'ll", "<|endoftext|>", "<|im_end|>", "  ", "\r\n", "\n\n", "123", "4567", "self."]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=12), st.text(alphabet=SCRIPTS, max_size=12), words), max_size=12))
def test_every_text_has_the_same_ids(tokenizer: Tokenizer, parts: list[str]) -> None:
    assert_equal(tokenizer, _fast(tokenizer), "".join(parts))


_made: dict[int, FastEncoding] = {}


def _fast(tokenizer: Tokenizer) -> FastEncoding:
    return _made.setdefault(id(tokenizer), FastEncoding(tokenizer))


def test_the_standard_library_has_the_same_ids(tokenizer: Tokenizer) -> None:
    fast = FastEncoding(tokenizer)
    for text in (*PROBES, *TEXTS[:15]):
        assert_equal(tokenizer, fast, text)


def test_random_unicode_has_the_same_ids(tokenizer: Tokenizer) -> None:
    """Long runs of code points from all over Unicode, assigned or not, as no person writes them."""
    chance, fast = random.Random(0), FastEncoding(tokenizer)
    for _ in range(30):
        block = chance.choice([(0, 0x80), (0, 0x250), (0, 0x3000), (0, 0x10000), (0, 0x110000), (0x1F000, 0x20000)])
        codes = (chance.randrange(*block) for _ in range(500))
        assert_equal(tokenizer, fast, "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))


def all_pairs(*parts: Any) -> Tokenizer:
    """Every two bytes are a token: where a word begins decides which bytes are paired, so that cuts show in the ids."""
    letters = byte_letters()
    pairs = [(left, right) for left in letters for right in letters]
    random.Random(0).shuffle(pairs)
    vocabulary = {token: number for number, token in enumerate([*letters, *map("".join, pairs)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(parts))
    return literal(tokenizer)


RULES: dict[str, list[Any]] = {
    "code": split(SPLITS[0]),
    "llama 3": split(SPLITS[1]),
    "qwen 2": split(SPLITS[2]),
    "gpt2": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
    "digits alone": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
}


def around(characters: Sequence[str]) -> str:
    return "".join(f"a{c}b 1{c}2 .{c}, {c}{c}  {c}\n'{c} {c}" for c in characters)


@pytest.mark.parametrize("rule", list(RULES))
def test_both_libraries_cut_around_every_kind_of_character_alike(rule: str) -> None:
    tokenizer = all_pairs(*RULES[rule])
    fast = FastEncoding(tokenizer)
    categories: dict[str, list[str]] = {}
    for code in range(0x110000):
        categories.setdefault(unicodedata.category(chr(code)), []).append(chr(code))
    characters = [
        character
        for category, members in sorted(categories.items())
        if category != "Cs"
        for character in members[:: 1 + len(members) // EACH_KIND]
    ]
    characters += [chr(code) for code in (*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7))]  # of Unicode 17
    for start in range(0, len(characters), 500):
        assert_equal(tokenizer, fast, around(characters[start : start + 500]))


@pytest.mark.parametrize("rule", list(RULES))
def test_both_libraries_cut_every_short_text_alike(rule: str) -> None:
    tokenizer = all_pairs(*RULES[rule])
    fast = FastEncoding(tokenizer)
    for length in range(1, 5):
        for letters in itertools.product("a1 \n.'\u00a0", repeat=length):
            assert_equal(tokenizer, fast, "".join(letters) + "s")


def test_a_token_that_can_be_made_in_two_ways_is_made_in_the_right_one() -> None:
    """`abc` is merged from ab and c; where bc came first, a and bc stay two tokens, though together they spell it."""
    letters = {letter: number for number, letter in enumerate(byte_letters())}
    vocabulary = {**letters, "bc": 256, "ab": 257, "abc": 258, "bcd": 259}
    tokenizer = _of_merges(vocabulary, [("b", "c"), ("a", "b"), ("ab", "c"), ("bc", "d")])
    assert exact(tokenizer, "abc") == [letters["a"], 256]
    assert_equal(tokenizer, FastEncoding(tokenizer), "abc abcd ab bc aabcc")


def test_a_token_whose_last_merge_is_not_its_first_rank_is_refused() -> None:
    """`abc` comes of a and bc, late; by the rank of ab and c, which never meet, it would come before `bcd`."""
    merges = [("ab", "c"), ("b", "c"), ("bc", "d"), ("a", "bc"), ("a", "b")]
    vocabulary = {token: number for number, token in enumerate([*byte_letters(), "bc", "bcd", "ab", "abc"])}
    tokenizer = _of_merges(vocabulary, merges)
    assert exact(tokenizer, "abcd") == [vocabulary["a"], vocabulary["bcd"]]
    with pytest.raises(NotFast, match="two merges make the token 'abc'"):
        FastEncoding(tokenizer)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_merges_at_all_give_the_same_ids_or_are_refused(data: st.DataObject) -> None:
    """Merges that no training would learn: in any order, of any tokens, with several for one token."""
    vocabulary = {letter: number for number, letter in enumerate(byte_letters())}
    tokens, merges = ["a", "b", "c"], []
    for _ in range(data.draw(st.integers(1, 14))):
        pair = (data.draw(st.sampled_from(tokens)), data.draw(st.sampled_from(tokens)))
        if pair not in merges and len("".join(pair)) < 9:
            merges.append(pair)
            vocabulary.setdefault("".join(pair), len(vocabulary))
            tokens.append("".join(pair))
    merges = data.draw(st.permutations(merges))
    tokenizer = _of_merges(vocabulary, merges, ignore_merges=data.draw(st.booleans()))
    try:
        fast = FastEncoding(tokenizer)
    except NotFast:
        return
    for text in data.draw(st.lists(st.text(alphabet="abc", max_size=25), min_size=1, max_size=20)):
        assert_equal(tokenizer, fast, text)


def _of_merges(vocabulary: dict[str, int], merges: list[tuple[str, str]], ignore_merges: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return literal(tokenizer)


def test_added_tokens_and_normalizers_are_the_tokenizers_own() -> None:
    tokenizer = literal(MADE["code"]())
    tokenizer.add_tokens([AddedToken("ACME-7", normalized=False), AddedToken("Straße", normalized=True)])
    tokenizer.add_special_tokens(["<|new|>"])
    plain = FastEncoding(tokenizer)
    assert plain.ids("an ACME-7 pump") is plain.ids("Straße") is None
    assert_equal(tokenizer, plain, "an acme-7 pump <|new|>")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    fast = FastEncoding(tokenizer)
    for text in ("an ACME-7 pump", "STRASSE und STRAßE", "Straße"):
        assert fast.ids(text) is None or fast.ids(text).tolist() == exact(tokenizer, text)  # type: ignore[union-attr]
    assert fast.ids("an ACME-7 pump") is None
    for text in ("Cafe\u0301 <|new|> ÅNGSTRÖM \u212b", *PROBES):
        assert_equal(tokenizer, fast, text)


def test_very_long_documents_are_encoded_whole() -> None:
    tokenizer = literal(MADE["code"]())
    fast = FastEncoding(tokenizer)
    for text in ("x" * 110_000, "\n" * 90_000 + "x", " " * LONGEST_WHITE_SPACE + "x", "a b" * 100_000, "1" * 110_000):
        assert_equal(tokenizer, fast, text)
    for text in (" " * 1_200_000 + "x", "x" + "\n " * 600_000, "a" + "\u3000" * (LONGEST_WHITE_SPACE + 1) + "b"):
        assert fast.ids(text) is None


def test_what_tiktoken_cannot_follow_is_refused_with_the_reason() -> None:
    def described(**changes: Any) -> Tokenizer:
        description = json.loads(MADE["code"]().to_str())
        for key, value in changes.items():
            (description["model"] if key in description["model"] else description)[key] = value
        return Tokenizer.from_str(json.dumps(description))

    assert FastEncoding(described())
    for changes, reason in (
        ({"dropout": 0.5}, "with dropout"),
        ({"continuing_subword_prefix": "##", "merges": []}, "with continuing_subword_prefix"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "does not merge the bytes"),
        ({"pre_tokenizer": None}, "does not merge the bytes"),
    ):
        with pytest.raises(NotFast, match=reason):
            FastEncoding(described(**changes))
    with pytest.raises(NotFast, match="where it cuts a text"):
        FastEncoding(cut_by(*split(r"\w+|\W+")))
    with pytest.raises(NotFast, match="where it cuts a text"):
        FastEncoding(cut_by(pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=False)))
    with pytest.raises(NotFast, match="does not merge the bytes"):
        FastEncoding(cut_by(pre_tokenizers.ByteLevel(add_prefix_space=True)))
    whole = {letter: number for number, letter in enumerate(byte_letters())} | {"abc": 256}
    with pytest.raises(NotFast, match="takes words whole"):
        FastEncoding(_of_merges(whole, [], ignore_merges=True))
    with pytest.raises(NotFast, match="no token for the byte 97"):
        FastEncoding(_of_merges({letter: number for letter, number in whole.items() if letter[0] != "a"}, []))


def test_a_text_that_is_none_is_an_error_for_both() -> None:
    tokenizer = literal(MADE["gpt2"]())
    for encode in (FastEncoding(tokenizer).ids, lambda text: exact(tokenizer, text)):
        with pytest.raises((UnicodeEncodeError, TypeError)):
            encode("a \ud800 b")


def test_the_fast_library_reaches_for_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    tokenizer = literal(MADE["gpt2"]())
    assert np.array_equal(FastEncoding(tokenizer).ids("no network"), exact(tokenizer, "no network"))
