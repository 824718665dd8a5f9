"""E-mail addresses: RFC 5321's dot-atoms before the `@`, a domain with a plausible top level after it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.seen_text import SeenText

_LOCAL = 64
_DOMAIN = 190
_LOCAL_BACKWARDS = re.compile(r"[\w.+%&'~=-]{1,64}")
_DOMAIN_FORWARDS = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])(?!\.[^\W\d_]{2})")
_TRIMMED = "'.%&=~-"

_COMMON_TOPS = """
    com org net edu gov mil int info biz name pro aero coop museum mobi jobs travel tel cat asia post xxx arpa eu
    app dev blog shop store online site tech cloud email team work group company gmbh berlin hamburg koeln bayern
    wien paris london nyc media news agency digital solutions services systems software network academy health care
    bank finance law consulting engineering industries energy earth life world club live space page wiki zone world
    xyz top example test
"""
_FILES = frozenset(
    {"css", "gif", "gz", "html", "jpeg", "jpg", "js", "json", "pdf", "png", "svg", "ts", "txt", "webp", "xml", "yml"}
)
_SERVICES = frozenset({"git", "hg", "svn", "noreply", "no-reply", "donotreply", "do-not-reply"})


COMMON_TOPS = frozenset(_COMMON_TOPS.split())
"""Top-level domains of more than two letters that are common; the others leave a doubt."""


class EmailRecogniser:
    """Finds addresses, also with letters of any alphabet, and with `%40` as web addresses have it.

    Those under `.invalid` are nobody's (RFC 2606).
    """

    kinds = ("email",)
    longest = _LOCAL + 3 + _DOMAIN

    def find(self, seen: SeenText) -> Iterator[Finding]:
        text = seen.text
        for sign in ("@", "%40"):
            at = text.find(sign)
            while at >= 0:
                found = self._around(text, at, at + len(sign))
                if found:
                    yield found
                at = text.find(sign, at + 1)

    @staticmethod
    def _around(text: str, at: int, after: int) -> Finding | None:
        local = _LOCAL_BACKWARDS.match(text[max(0, at - _LOCAL) : at][::-1])
        if local is None or local[0][0] in ".'":
            return None
        name = local[0][::-1].lstrip(_TRIMMED)
        domain = _DOMAIN_FORWARDS.match(text, after, after + _DOMAIN)
        if domain is None or not name or ".." in name:
            return None
        name = name.rpartition("=")[2]  # `mailto=`, `user=`
        top = domain[0].rpartition(".")[2].lower()
        if top == "invalid":
            return None
        if name.lower() in _SERVICES or top in _FILES:
            confidence = 0.4
        elif len(top) == 2 or top in COMMON_TOPS:
            confidence = 0.95
        else:
            confidence = 0.6
        return Finding(at - len(name), domain.end(), "email", confidence, "email")
