"""Secrets in a database's URL: a recipe is kept, so they come from the environment, as `${NAME}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import parse_qsl

VARIABLE = re.compile(r"\$\{(\w+)\}")

_VALUE = "7310582964"
"""Stands for the value of a variable, also where a number is wanted."""

_SECRET_KEY = re.compile(
    r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|signature|token|\bsig|\bsas"
    r"|credentials?(?:_base64|_info)?|(?:secret|api|access|account|private|shared)[_ -]?key)$",
    re.IGNORECASE,
)
_SETTING = re.compile(r"(?P<key>[\w -]+?)\s*=\s*(?P<value>\{[^}]*\}|[^;&\s]*)")


def secret_in(url: str) -> str:
    """What of a URL is a secret and stands there itself: `a password`, or the key whose value it is; empty if none is.

    Looked at are the password as SQLAlchemy finds it, the keys of the query, and settings inside a value, as ODBC's.
    """
    from sqlalchemy import exc, make_url

    written = VARIABLE.sub(_VALUE, url)  # what else there is of a secret is written out
    with suppress(exc.ArgumentError, ValueError):
        if (make_url(f"x{written}").password or "").replace(_VALUE, ""):  # the scheme, too, may be a variable
            return "a password"
    for key, value in _settings(written.partition("?")[2]):
        if _SECRET_KEY.search(key.strip()) and value.replace(_VALUE, "").strip(" {}"):
            return f"a value for {key.strip()}"
    return ""


def _settings(query: str) -> Iterator[tuple[str, str]]:
    """The keys of a query with their values, and the settings in those."""
    for key, value in parse_qsl(query):
        yield key, value
        for setting in _SETTING.finditer(value):
            yield setting["key"], setting["value"]
