"""What is hidden in a text by a code that a model can read: base64, escapes, spelling letter by letter, and the like.

Each function gives views of what it finds, or none; `Views` applies them to one another's results.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator

from loresmith.serving.guards.view import Rewriting, View, piece

SHORTEST = 4
"""Characters of the shortest text that is taken for one out of a code: a shorter one comes about by chance."""

_PRINTABLE = 0.95

_ESCAPE = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)|(?P<byte>(?:\\x[0-9A-Fa-f]{2})+)|(?P<unit>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|\\u\{(?P<braced>[0-9A-Fa-f]{1,6})\}|\\U(?P<point>[0-9A-Fa-f]{8})|(?P<entity>&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
    r"|\\(?P<octal>[0-3][0-7]{2})|\\(?P<plain>[nrtbf\"'/\\])"
)
_ESCAPE_LIKELY = re.compile(r"%[0-9A-Fa-f]{2}|\\[xuU0-3nrtbf\"'/\\]|&[#A-Za-z]")
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "b": "", "f": "\n"}
_QUOTED_PRINTABLE = re.compile(r"(?P<quoted>(?:=[0-9A-F]{2})+|=\r?\n)")
_QUOTED = re.compile(r"=[0-9A-F]{2}|=\r?\n")
_ESCAPE_OR_QUOTED = re.compile(f"{_ESCAPE.pattern}|{_QUOTED_PRINTABLE.pattern}")
_ESCAPED_AT_MOST = 3
_FEWEST_QUOTED = 4

_LETTER64 = r"[A-Za-z0-9+/_-]"
_BASE64_WORD = re.compile(rf"(?<!{_LETTER64})(?![A-Za-z]?[a-z_\-]*[^A-Za-z0-9+/]){_LETTER64}{{7,}}={{0,2}}")
_BASE64_LINES = re.compile(rf"(?<!{_LETTER64})(?:{_LETTER64}{{16,}}+[ \t]*\r?\n[ \t>]*)+{_LETTER64}+={{0,2}}")
_BASE64_FOURS = re.compile(rf"(?<!{_LETTER64})(?:{_LETTER64}{{4}} ){{2,}}{_LETTER64}{{2,4}}(?!{_LETTER64})={{0,2}}")
_BASE32 = re.compile(r"(?<![A-Z2-7])[A-Z2-7]{12,}={0,6}")
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:(?:0x|\\x)?[0-9A-Fa-f]{2}[ ,:;\-]{0,2}){4,}")
_HEX_LIKELY = re.compile(r"(?:[0-9A-Fa-f]{2}[ ,:;\-]{0,2}(?:0x|\\x)?){4}")
_BINARY = re.compile(r"(?<![01])(?:[01]{8}[ ,]{0,2}){4,}(?![01])")
_BINARY_LIKELY = re.compile(r"[01]{8}")
_DECIMAL = re.compile(r"(?<![0-9])(?:[0-9]{2,3}[ ,;]{1,2}){5,}[0-9]{2,3}(?![0-9])")
_CODE_LIKELY = re.compile(r"[A-Za-z0-9+/_-][A-Z0-9+/]")
"""What text in any code has, and many a sentence has not."""

_DECIMAL_LIKELY = re.compile(r"(?:[0-9]{2,3}[ ,;]{1,2}){3}")
_NUMBER = re.compile(r"[0-9]+")

_TAGS = re.compile("[\U000e0020-\U000e007e\U000e0001\U000e007f]{4,}")
_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")

_SPELLED = (
    r"(?<![A-Za-z0-9])(?:[A-Za-z0-9@$!][.,_*|/~\-]){%s,}[A-Za-z0-9@$!](?![A-Za-z0-9])|(?<!\S)(?:\S[ ]){%s,}\S(?!\S)"
)
# It begins with a class of characters, so that most places are passed over at once.
_SPELLED_LIKELY = re.compile(r"[ .,_*|/~\-](?:(?<! )[A-Za-z0-9@$!][.,_*|/~\-]|(?<= )\S[ ]\S(?!\S))")
_SPELLED_WORD = re.compile(_SPELLED.replace("%s", "2"))
_SPELLED_AROUND = re.compile(_SPELLED.replace("%s", "1"))
_WIDE_GAP = re.compile(r"[ ]{2,6}")


def unescaped(text: str) -> View | None:
    """With what stands for single characters read: `%41`, `\\x41`, `\\u0041`, `&#65;`, `=41`, JSON's `\\n`; also where
    that stands for one that stands for a character. None where there is nothing of the kind."""
    whole: View | None = None
    for _ in range(_ESCAPED_AT_MOST):
        read = _unescaped_once(text if whole is None else whole.text)
        if read is None:
            break
        whole = read if whole is None else whole.then(View(read.text, "", read.starts, read.ends))
    return whole


def _unescaped_once(text: str) -> View | None:
    escape = _ESCAPE if _ESCAPE_LIKELY.search(text) else None
    quoted = text.count("=") >= _FEWEST_QUOTED and len(_QUOTED.findall(text)) >= _FEWEST_QUOTED
    if escape is None and not quoted:
        return None
    made = Rewriting(text)
    changed = False
    for found in (_ESCAPE_OR_QUOTED if quoted else _ESCAPE).finditer(text):
        read = _character(found)
        if read is not None and read != found[0]:
            made.replace(*found.span(), read)
            changed = True
    return made.view("escapes") if changed else None


def _character(found: re.Match[str]) -> str | None:
    kind, said = found.lastgroup, found[0]
    if kind in ("percent", "byte", "quoted"):
        return bytes.fromhex(re.sub(r"[%=\s]|\\x", "", said)).decode("utf-8", "replace")
    if kind == "unit":
        return bytes.fromhex(said.replace("\\u", "")).decode("utf-16-be", "replace")
    if kind in ("braced", "point"):
        code = int(found[kind], 16)
        return chr(code) if code < 0x110000 else None
    if kind == "octal":
        return chr(int(found["octal"], 8))
    if kind == "entity":
        read = html.unescape(said)
        return read if read != said else None
    return _PLAIN.get(found["plain"], found["plain"])


def codes(text: str) -> Iterator[View]:
    """Stretches that are another text in a code: base64, base32, hexadecimal, binary and decimal numbers."""
    if not _CODE_LIKELY.search(text):
        return
    for likely, pattern, form, read in _CODES:
        if likely is not None and not likely.search(text):
            continue
        for found in pattern.finditer(text):
            hidden = read(found[0])
            if hidden is not None:
                yield piece(hidden, form, *found.span())


def _from_base64(written: str) -> str | None:
    if written.isdigit():
        return None
    letters = re.sub(r"[\s>=]", "", written).replace("-", "+").replace("_", "/")
    for skipped in range(4 if len(letters) >= 16 else 1):
        usable = letters[skipped : skipped + (len(letters) - skipped) // 4 * 4 + 3]
        usable = usable[: len(usable) - (len(usable) % 4 == 1)]
        hidden = _readable(base64.b64decode(usable + "=" * (-len(usable) % 4)))
        if hidden is not None:
            return hidden
    return None


def _from_base32(written: str) -> str | None:
    letters = written.rstrip("=")
    letters = letters[: len(letters) - (len(letters) % 8 in (1, 3, 6))]
    try:
        return _readable(base64.b32decode(letters + "=" * (-len(letters) % 8)))
    except binascii.Error:
        return None


def _from_hex(written: str) -> str | None:
    return _readable(bytes.fromhex(re.sub(r"0x|\\x|[ ,:;\-]", "", written)))


def _from_binary(written: str) -> str | None:
    digits = re.sub(r"[ ,]", "", written)
    return _readable(bytes(int(digits[place : place + 8], 2) for place in range(0, len(digits), 8)))


def _from_decimal(written: str) -> str | None:
    numbers = [int(number) for number in _NUMBER.findall(written)]
    return _readable(bytes(numbers)) if max(numbers) < 127 and min(numbers) >= 9 else None


_Code = tuple[re.Pattern[str] | None, re.Pattern[str], str, Callable[[str], str | None]]
_CODES: tuple[_Code, ...] = (
    (None, _BASE64_WORD, "base64", _from_base64),
    (None, _BASE64_LINES, "base64", _from_base64),
    (None, _BASE64_FOURS, "base64", _from_base64),
    (None, _BASE32, "base32", _from_base32),
    (_HEX_LIKELY, _HEX, "hex", _from_hex),
    (_BINARY_LIKELY, _BINARY, "binary", _from_binary),
    (_DECIMAL_LIKELY, _DECIMAL, "decimal", _from_decimal),
)
"""Of each code what a text with it surely has, where that is found sooner; what is tried; its name; how it is read."""


def _readable(hidden: bytes) -> str | None:
    """The bytes as text, if they are one: UTF-8 but for a cut at the end, and hardly anything that cannot be seen."""
    try:
        text = hidden.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(hidden) - 3 or error.start < SHORTEST:
            return None
        text = hidden[: error.start].decode("utf-8")
    seen = sum(character.isprintable() or character in "\t\n\r" for character in text)
    return text if len(text) >= SHORTEST and seen >= _PRINTABLE * len(text) else None


def unseen(text: str) -> Iterator[View]:
    """Text in characters that nobody sees and a model reads: Unicode's tags, and bytes in variation selectors."""
    if text.isascii():
        return
    for found in _TAGS.finditer(text):
        yield piece(
            "".join(chr(ord(tag) - 0xE0000) for tag in found[0] if tag not in "\U000e0001\U000e007f"),
            "tags",
            *found.span(),
        )
    for found in _SELECTORS.finditer(text):
        values = bytes(ord(one) - (0xFE00 if ord(one) < 0xFE10 else 0xE0100 - 16) & 0xFF for one in found[0])
        hidden = _readable(values)
        if hidden is not None:
            yield piece(hidden, "selectors", *found.span())


def spelled(text: str) -> Iterator[View]:
    """With words that are spelled put together: `s e c r e t`, `4-1-1-1`; wider gaps are between words."""
    if not (_SPELLED_LIKELY.search(text) and _SPELLED_WORD.search(text)):
        return
    made = Rewriting(text)
    done = 0
    for found in _SPELLED_AROUND.finditer(text):
        for gap in _WIDE_GAP.finditer(text, done, found.start()):
            made.replace(*gap.span(), " ")
        for place in range(found.start() + 1, found.end(), 2):
            made.replace(place, place + 1, "")
        done = found.end()
    yield made.view("spelled")
