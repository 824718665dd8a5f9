"""The parts of a message: which are text, and what they say.

A model is given, guards look at, and passages are looked for by the same text: that of `text_of_part`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"})
MEDIA_PARTS = frozenset(
    {
        "image_url",
        "input_image",
        "input_audio",
        "file",
        "input_file",
        "audio",
        "video_url",
        "image_file",
        "image",
        "video",
    }
)
"""Pictures, sounds and files. They are known, so that guards can say of them that they cannot be read."""


def text_of_part(part: Any) -> str | None:
    """What a part says; None where it is no text. Without a type, a part with a text is one."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or kind_of_part(part) not in TEXT_PARTS:
        return None
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else None


def kind_of_part(part: Mapping[str, Any]) -> str:
    """The type of a part; `text` where none is given, "" where it is no word."""
    kind = part.get("type", "text")
    return kind if isinstance(kind, str) else ""
