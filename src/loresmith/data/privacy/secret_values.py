"""Whether what is written where a password or a key belongs is one, or only stands for one."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

_PLACEHOLDER = re.compile(
    r"\$\{.*|\$\(.*|\$[A-Za-z]\w*|%\w+%|%[a-z]|[<{].*|\[[A-Z_ ]+\]|\*+|#\{.*|(.)\1*|secret-[0-9a-f]{8}"
    r"|.*(?:\$\{|\{\{|%\(|<[a-z]|\.\.\.|…|\*\*\*|xxx).*"
    r"|.{0,8}(?:your|change.?me|example|placeholder|dummy|redacted|hidden|removed|insert|replace).*"
    r"|(?:my|the|some|new|old|user|admin|root|test|db|bad|wrong|good|foo|bar|no|top|super)?[_.-]?"
    r"(?:pass(?:word|wd|wort|phrase)?|pw|pwd|secret|token|key|kennwort|none|null|nil|true|false|undefined|string|str|bytes|int"
    r"|test|foo|bar|baz|spam|eggs|sample|value|required|optional|yes|no|empty|default|geheim|unknown|abc|123456?)[_.-]?[0-9]{0,3}",
    re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?:0x)?[0-9a-fA-F]+")
_TOKEN = re.compile(r"[A-Za-z0-9+/=_.~\-]{16,}")
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:(?:\.|::|->)[A-Za-z_]\w*)*[,;:)]?|[\w.]*\W{2,}|-?[0-9.,]+%?|/[\w./-]*|[\w-]+\.[a-z]{1,4}|\w+:.*"
)

_PATH = re.compile(r"(?:[~.]|[A-Za-z]:)?[/\\][\w./\\ -]*")
_NAME_IN_CODE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")

_MINIMUM_PASSWORD = 6
_MINIMUM_BITS = 3.0
_MINIMUM_CHANGES = 0.25
_MANY_CHANGES = 0.4
_MINIMUM_DRAWN = 10


def is_placeholder(value: str) -> bool:
    """Whether a value stands for another one: a variable, a row of stars, `changeme`, `your-key-here`, `password1`."""
    return _PLACEHOLDER.fullmatch(value) is not None


def bits_a_character(value: str) -> float:
    """Shannon's entropy of the value's own characters."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())


def password_confidence(value: str, quoted: bool, spaced: bool) -> float:
    """How sure it is that the value of something called a password is one.

    Args:
        value: the value, without quotes.
        quoted: it stood in quotes.
        spaced: an equals sign and a space stand before it, as in code, where a bare word is a name and not a value.
    """
    if len(value) < _MINIMUM_PASSWORD or is_placeholder(value) or " " in value:
        return 0.0
    if _PATH.fullmatch(value):
        return 0.1
    digits = sum(map(str.isdigit, value))
    if _changes(value) >= _MANY_CHANGES and len(value) >= _MINIMUM_DRAWN:
        return 0.8
    if not quoted and _CODE.fullmatch(value) and (not digits or (spaced and digits < 2) or not value.isalnum()):
        return 0.1
    classes = sum(any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit))
    classes += any(not character.isalnum() for character in value)
    if not digits:
        return 0.6 if classes >= 3 and quoted else 0.3
    return 0.9 if classes >= 3 else 0.7 if classes == 2 else 0.4


def key_confidence(value: str, named: bool, quoted: bool) -> float:
    """How sure it is that the value of something called a key or a token is one: it has to look drawn by chance.

    Args:
        value: the value, without quotes.
        named: it is called an API key, an access token or the like, so that hexadecimal digits may be one, too.
        quoted: it stood in quotes, so it is no name of something else in code.
    """
    if not _TOKEN.fullmatch(value) or is_placeholder(value) or _UUID.fullmatch(value):
        return 0.0
    if not quoted and len(value) < 64 and _NAME_IN_CODE.fullmatch(value):
        return 0.1
    if _HEX.fullmatch(value):
        return 0.8 if named and len(value) >= 24 and bits_a_character(value) >= _MINIMUM_BITS else 0.2
    digits = any(map(str.isdigit, value))
    if not digits or _changes(value) < _MINIMUM_CHANGES or bits_a_character(value) < _MINIMUM_BITS + 0.5:
        return 0.2
    return 0.9 if named else 0.7


def _changes(value: str) -> float:
    """How often neighbours are of two kinds (small letter, capital, digit, other), a character; by chance, often."""
    kinds = [(character.islower(), character.isupper(), character.isdigit()) for character in value]
    return sum(left != right for left, right in pairwise(kinds)) / len(value)
