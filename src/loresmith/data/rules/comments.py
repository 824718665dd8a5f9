"""Comments and quoted strings of source code, by the lexical rules that families of languages share.

No parser: a regular expression that knows comments and strings, so that neither is taken for the other. Heredocs,
regular expressions between slashes and templates inside strings are not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_DOUBLE = r'"(?:[^"\\\n]++|\\[\s\S])*+"'
_SINGLE = r"'(?:[^'\\\n]++|\\[\s\S])*+'"
_QUOTES = f"{_DOUBLE}|{_SINGLE}"
_CHARACTER = r"'(?:[^'\\\n]|\\[^\n]{1,8})'"  # an apostrophe elsewhere is a lifetime, a digit divider, a type variable
# What may go over several lines goes to the end where it is not closed: to look for its end again and again would take
# time by the square of the text.
_LONG_DOUBLE = r'"(?:[^"\\]++|\\[\s\S])*+(?:"|\Z)'
_TRIPLE = r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*+(?:"""|\Z)' + r"|'''(?:[^'\\]++|\\[\s\S]|'(?!''))*+(?:'''|\Z)"
_BACKTICKS = r"`(?:[^`\\]++|\\[\s\S])*+(?:`|\Z)"
_BLOCK = r"/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)"
_SLASHES = rf"//[^\n]*+|{_BLOCK}"
_HASH = r"#[^\n]*+"
_DASHES = r"--[^\n]*+"

_FAMILIES = {  # comments, strings, languages
    "c": (
        _SLASHES,
        f"{_DOUBLE}|{_CHARACTER}",
        "c c++ c# d java kotlin scala swift rust zig dart objective-c "
        "objective-c++ cuda glsl protobuf verilog groovy apex",
    ),
    "javascript": (_SLASHES, f"{_QUOTES}|{_BACKTICKS}", "javascript typescript go css vue svelte graphql"),
    "php": (rf"{_SLASHES}|(?:^|(?<=\s)){_HASH}", _QUOTES, "php terraform nix"),
    "python": (_HASH, f"{_TRIPLE}|{_QUOTES}", "python starlark toml nim julia elixir"),
    "hash": (rf"(?:^|(?<=[\s;])){_HASH}", _QUOTES, "shell ruby perl r make cmake yaml dockerfile tcl awk powershell"),
    "lisp": (r";[^\n]*+", _LONG_DOUBLE, "lisp clojure assembly"),
    "dashes": (f"{_DASHES}|{_BLOCK}", rf"{_DOUBLE}|'[^']*+(?:'|\Z)", "sql ada vhdl"),
    "lua": (rf"--\[\[(?:[^\]]++|\](?!\]))*+(?:\]\]|\Z)|{_DASHES}", _QUOTES, "lua"),
    "haskell": (rf"\{{-(?:[^-]++|-(?!\}}))*+(?:-\}}|\Z)|{_DASHES}", _DOUBLE, "haskell"),
    "ocaml": (
        r"\(\*(?:[^*]++|\*(?!\)))*+(?:\*\)|\Z)|//[^\n]*+",
        _DOUBLE,
        "ocaml f# pascal coq mathematica structured-text",
    ),
    "percent": (r"(?<!\\)%[^\n]*", r"(?!)", "tex erlang prolog matlab"),
    "exclamation": (r"![^\n]*", f"{_DOUBLE}|'[^'\n]*'", "fortran"),
    "xml": (r"<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)", r"(?!)", "xml"),
    "ini": (r"^[ \t]*[;#][^\n]*", r"(?!)", "ini"),
    "json": (r"(?!)", _DOUBLE, "json"),
}
_FAMILY = {language: family for family, (_, _, languages) in _FAMILIES.items() for language in languages.split()}


def knows_comments(language: str) -> bool:
    """Whether comments and strings of a language can be told."""
    return language in _FAMILY


def comments_and_strings(text: str, language: str) -> Iterator[tuple[int, int, bool]]:
    """First character, the one after the last, and whether it is a comment (else a string), in order.

    Raises:
        KeyError: the language is not known; see `knows_comments`.
    """
    for found in _pattern(_FAMILY[language]).finditer(text):
        yield found.start(), found.end(), found.lastgroup == "comment"


@lru_cache(maxsize=len(_FAMILIES))
def _pattern(family: str) -> re.Pattern[str]:
    comment, string, _ = _FAMILIES[family]
    return re.compile(f"(?P<comment>{comment})|(?P<string>{string})", re.MULTILINE)
