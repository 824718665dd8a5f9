"""What is told about a document, with what points at people taken out of it as out of its text.

A field is judged as the line `name: value`, so that what its name says counts (`password: ...`), and numbers as they
are written. Where something is found in a name, the field goes. Message ids, which look like addresses and name
threads, become digests, so that mails of a thread still have them in common.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from loresmith.data.curation.curation_rules import Privacy
from loresmith.data.edited_text import Edit, EditedText
from loresmith.data.privacy.replacement import replacement
from loresmith.data.readers.record import metadata_json

_MESSAGE_IDS = frozenset({"message_id", "in_reply_to", "references", "thread"})
_MESSAGE_ID = re.compile(r"[^\s<>]+@[^\s<>]+")

Place = tuple[str | int, ...]


def masked_metadata(metadata: str, privacy: Privacy) -> tuple[str, str]:
    """Metadata without what is not to be in it.

    Args:
        metadata: JSON, an object.

    Returns:
        JSON, the very same where nothing is found; and the kind of a finding for which the document is to be dropped.
    """
    told = json.loads(metadata or "{}")
    hidden = {"mask", "pseudonymise"} & set(privacy.actions.values())
    changed: dict[Place, Any] = {}
    fields = []
    for place, name, value in _fields(told, ()):
        if name in _MESSAGE_IDS and isinstance(value, str):
            if hidden and (digests := _MESSAGE_ID.sub(lambda found: _digest(found[0], privacy.key), value)) != value:
                changed[place] = digests
        else:
            fields.append((place, name, str(value)))
    text = "".join(f"{name}: {value}\n" for _, name, value in fields)
    findings = list(privacy.recognisers.find(text)) if fields else []
    dropped = ""
    start = 0
    for place, name, value in fields:
        begins = start + len(name) + 2
        ends = begins + len(value)
        here = [finding for finding in findings if finding.start < ends and finding.end > start]
        start = ends + 1
        edits = []
        for finding in here:
            action = privacy.actions[finding.kind]
            if action == "drop":
                dropped = dropped or finding.kind
            elif action != "detect" and finding.start < begins:
                changed[place] = _GONE
            elif action != "detect":
                instead = replacement(finding, text, action, privacy.key)
                edits.append(Edit(finding.start - begins, min(finding.end, ends) - begins, instead, ""))
        if edits and place not in changed:
            changed[place] = EditedText.of(value).apply(edits).text
    if not changed:
        return metadata, dropped
    return metadata_json(_with(told, changed, ())), dropped


class _Gone:
    """In place of a field that goes."""


_GONE = _Gone()


def _fields(value: Any, place: Place, name: str = "") -> Iterator[tuple[Place, str, str | int | float]]:
    """All texts and numbers, each with where it is and the name that is nearest to it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _fields(part, (*place, key), key)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _fields(part, (*place, number), name)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield place, name, value


def _with(value: Any, changed: Mapping[Place, Any], place: Place) -> Any:
    if place in changed:
        return changed[place]
    if isinstance(value, Mapping):
        parts = {key: _with(part, changed, (*place, key)) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not _GONE}
    if isinstance(value, list):
        return [
            part for number, each in enumerate(value) if (part := _with(each, changed, (*place, number))) is not _GONE
        ]
    return value


def _digest(message_id: str, key: bytes) -> str:
    return hashlib.blake2b(message_id.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=12).hexdigest()
