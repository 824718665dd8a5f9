"""Values that are said to be secret: `password = ...`, `"api_key": "..."`, `--token ...`, "the password is ..."."""

from __future__ import annotations

import re
from collections.abc import Iterator

from loresmith.data.privacy.findings import Finding
from loresmith.data.privacy.secret_values import key_confidence, password_confidence
from loresmith.data.privacy.seen_text import SeenText

LONGEST_VALUE = 512

_STEMS: dict[bytes, str] = {
    b"passw": "password",
    b"passphrase": "password",
    b"pwd": "password",
    b"kennwort": "password",
    b"contrase": "password",
    b"de passe": "password",
    b"wachtwoord": "password",
    b"senha": "password",
    b"senord": "password",
    b"secret": "password",
    b"token": "key",
    b"credential": "key",
    b"key": "key",
    b"bearer ": "header",
    b"basic ": "header",
}
_NAMED = re.compile(
    rb"(?:api|access|private|auth|account|shared|signing|secret|client|bearer|session|refresh|service)"
    rb"[ _.-]?(?:key|token|secret)$"
)
_MASK = "[SECRET]"
_PUBLIC = re.compile(rb"pub(?:lic)?[ _-]?key$")
_LINK = re.compile(
    r"[\w.\-]{0,24}(?:[\"'\])]{0,2}[ \t]{0,4}(?P<sign>:=|=>|===?|=|:)[ \t]{0,4}|>"
    r"|[ \t]{1,2}(?:(?:is|was|ist|lautet|est|es|era|to):?|.|:)[ \t]{1,2})"
)
_CODE_LINK = re.compile(r"=[ \t]+$")
_OPTION = re.compile(r"[\w-]{0,24} ")
_VALUE = re.compile(
    r"[bru]{0,2}\"(?P<double>[^\"\n]{4,512})\"|[bru]{0,2}'(?P<single>[^'\n]{4,512})'|`(?P<back>[^`\n]{4,512})`"
    r"|(?P<bare>[^\s\"'`,;&|()<>{}\[\]]{6,512})(?P<code>[(\[{]?)"
)
_MORE = re.compile(r"[^\s\"'`,;|()<>{}\[\]]*")
"""What goes on behind a `&`, which in a query ends a value and in a password does not."""

_HEADER_VALUE = re.compile(r"[A-Za-z0-9+/=_.~\-]{16,512}")


def find_assigned(seen: SeenText) -> Iterator[Finding]:
    """The values that a word before them makes a secret; the finding is the value alone, without its quotes."""
    for stem, meaning in _STEMS.items():
        place = seen.lowered.find(stem)
        while place >= 0:
            after = place + len(stem)
            found = (
                _header(seen, after) if meaning == "header" else _assigned(seen, place, after, meaning == "password")
            )
            if found:
                after = found.end
                yield found
            place = seen.lowered.find(stem, after)


def _header(seen: SeenText, after: int) -> Finding | None:
    value = _HEADER_VALUE.match(seen.text, after)
    return _finding(*value.span(), key_confidence(value[0], True, True), "header") if value else None


def _assigned(seen: SeenText, place: int, after: int, is_password: bool) -> Finding | None:
    """What is assigned to the word before `after`, which may turn out not to be secret at all (confidence near 0)."""
    text = seen.text
    if text[max(0, place - 1) : after + 1] == _MASK:
        return None
    link = _LINK.match(text, after)
    option = False
    if link is None:
        option = text[max(0, place - 24) : place].rpartition(" ")[2].startswith("--")
        link = _OPTION.match(text, after) if option else None
    value = _VALUE.match(text, link.end()) if link else None
    if link is None or value is None or value["code"]:
        return None
    group = value.lastgroup if value.lastgroup != "code" else "bare"
    assert group
    said, (start, stop) = value[group], value.span(group)
    quoted = group != "bare"
    if is_password and text[stop : stop + 1] == "&" and text[max(0, place - 1) : place] not in ("?", "&"):
        more = _MORE.match(text, stop)
        assert more is not None  # it may be empty
        said, stop = text[start : more.end()][:LONGEST_VALUE], min(more.end(), start + LONGEST_VALUE)
    if not quoted:
        said = said.rstrip(".:")
        stop = start + len(said)
    if is_password:
        confidence = password_confidence(said, quoted, _CODE_LINK.search(link[0]) is not None)
    else:
        named = seen.lowered[max(0, place - 12) : after]
        if _PUBLIC.search(named):
            return None
        confidence = key_confidence(said, _NAMED.search(named) is not None, quoted)
    return _finding(start, stop, confidence, "assigned")


def _finding(start: int, end: int, confidence: float, rule: str) -> Finding:
    return Finding(start, end, "secret", confidence, f"secret/{rule}")
