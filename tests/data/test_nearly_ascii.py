"""A few bytes of an older encoding in text that is ASCII otherwise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.data.decoding import LEAST_CONFIDENCE, UndecodableError, decode_file
from loresmith.data.encoding_guess import guess_encoding
from loresmith.data.nearly_ascii import encoding_of_the_rest

PROSE = "The pump was checked before each shift, and its valve (no. 7) replaced by hand.\n" * 4
NAMES = ["François", "Stéphane", "Klaus Kämpf", "Smørgrav", "Größe", "Xosé Vázquez", "Ångström", "Señor Núñez", "École"]
SIGNS = ["© 2001", "at 80 °C", "a “quoted” word", "it’s", "§ 12", "10 µm", "±3", "5 €", "wait…", "1990–2001", "«so»"]


@given(st.lists(st.sampled_from(NAMES + SIGNS), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_names_and_signs_are_read_as_they_were_written(told: list[str], chance: random.Random) -> None:
    words = (PROSE * len(told)).split(" ")
    for name in told:
        words.insert(chance.randrange(len(words)), name)
    text = " ".join(words)
    data = text.encode("cp1252")
    assert data.decode(encoding_of_the_rest(data, [])) == text
    read = decode_file(data, ["utf-8", "auto"])
    assert read.confidence is not None
    assert read.confidence >= LEAST_CONFIDENCE


def test_what_a_detector_holds_for_likely_comes_first() -> None:
    data = (PROSE + "Igor Zlatković\n").encode("cp1250")
    assert encoding_of_the_rest(data, ["cp1250"]) == "cp1250"
    assert encoding_of_the_rest(data, []) == "cp1252"
    assert encoding_of_the_rest((PROSE + "© 2001\n").encode("cp1252"), ["iso8859-3"]) == "cp1252"
    assert encoding_of_the_rest((PROSE + "© 2001\n").encode("cp1252"), ["none such"]) == "cp1252"


@given(st.integers(0, len(PROSE)), st.sampled_from(["Übung", "Último", "grün", "—", "日本", "жук"]))
def test_damaged_utf8_is_never_read_as_something_else(at: int, word: str) -> None:
    data = (PROSE + f"{word}, {word}.").encode()
    broken = data[:at] + b"\xc3" + data[at:]
    assert encoding_of_the_rest(broken, ["cp1252"]) == ""


@settings(max_examples=50)
@given(st.binary(min_size=64, max_size=2000))
def test_bytes_at_random_are_no_text(data: bytes) -> None:
    assert encoding_of_the_rest(data + b"\x00", ["cp1252"]) == ""
    assert encoding_of_the_rest(bytes(byte | 0x80 for byte in data), ["cp1252"]) == ""


@pytest.mark.parametrize("size", [100, 1000, 20_000])
def test_noise_among_words_is_no_text(size: int) -> None:
    noise = random.Random(size)
    data = bytearray((PROSE * (size // len(PROSE) + 1)).encode()[:size])
    for _ in range(max(4, size // 30)):
        data[noise.randrange(size)] = noise.randrange(128, 256)
    assert encoding_of_the_rest(bytes(data), ["cp1252", "iso8859-1", "cp437", "koi8-r"]) == ""


@pytest.mark.parametrize(
    ("word", "encoding"),
    [
        ("王", "gbk"),
        ("日本", "shift-jis"),
        ("日", "euc-jp"),
        ("Москва", "koi8-r"),
        ("Привет", "cp1251"),
        ("USBкабель", "koi8-r"),
    ],
)
def test_words_of_other_scripts_are_not_read_as_letters_with_accents(word: str, encoding: str) -> None:
    assert encoding_of_the_rest((PROSE * 2 + f"by {word} alone\n").encode(encoding), []) == ""


def test_where_no_guess_is_asked_for_none_is_made() -> None:
    with pytest.raises(UndecodableError):
        decode_file((PROSE + "café").encode("latin-1"), ["utf-8"])


@pytest.mark.parametrize(
    "line", ["provided by François Pinard <pinard@example.org>", "found by Klaus Kämpf <kk@example.org>"]
)
def test_what_a_detector_is_not_sure_of_is_read_by_its_places(line: str) -> None:
    text = f"{PROSE}{line}\n"
    guess = guess_encoding(text.encode("cp1252"))
    assert guess is None or guess.confidence < LEAST_CONFIDENCE
    read = decode_file(text.encode("cp1252"), ["utf-8", "auto"])
    assert (read.text, read.confidence) == (text, LEAST_CONFIDENCE)
    assert read.metadata["encoding"] == "cp1252"
