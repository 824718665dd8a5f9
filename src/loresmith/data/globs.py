"""Path patterns, with the meaning that people know from .gitignore.

- `*` stands for any characters but `/`, `?` for one of them, `[a-z]` and `[!a-z]` for one of a set;
- `**` stands for any number of folders, none included;
- a pattern without a slash matches a file or folder of that name at any depth (`*.md`, `tests`); a slash at the end
  asks for a folder (`build/`);
- a pattern with a slash inside, or at its start, is matched from the top (`docs/*.md`, `/setup.py`);
- what matches a folder matches everything in it.

Paths are relative, with `/` between folders. Case counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def glob_regex(patterns: Iterable[str]) -> re.Pattern[str]:
    """A regular expression whose `fullmatch` says whether a path matches any of the patterns.

    A folder is written with a slash at its end; it matches when everything in it does.

    Raises:
        ValueError: a pattern is empty, or has a set that is none (`[z-a]`).
    """
    return re.compile("|".join(map(_translate, patterns)) or r"(?!)", re.DOTALL)


def _translate(pattern: str) -> str:
    body = pattern.rstrip("/")
    if not body:
        raise ValueError(f"the pattern {pattern!r} is empty; write `**` for everything")
    anywhere = "" if "/" in body else "(?:[^/]+/)*"
    *folders, last = body.removeprefix("/").split("/")
    parts = ["(?:[^/]+/)*" if folder == "**" else f"{_translate_name(folder)}/" for folder in folders]
    name = ".*" if last == "**" else _translate_name(last)
    inside = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    expression = f"(?:{anywhere}{''.join(parts)}{name}{inside})"
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"the pattern {pattern!r} is not one: {error.msg}") from None
    return expression


def _translate_name(name: str) -> str:
    """One path component; a `[` that is never closed stands for itself."""
    parts = []
    for token in re.findall(r"\[!?(?:\][^\]]*|[^\]]+)\]|.", name, re.DOTALL):
        if token == "*":
            parts.append("[^/]*")
        elif token == "?":
            parts.append("[^/]")
        elif len(token) > 1:
            negated = token.startswith("[!") and len(token) > 3
            members = re.escape(token[2 if negated else 1 : -1]).replace(r"\-", "-")
            parts.append(f"(?!/)[{'^' if negated else ''}{members}]")
        else:
            parts.append(re.escape(token))
    return "".join(parts)
