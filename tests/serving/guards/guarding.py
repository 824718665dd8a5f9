"""Guards for tests, and ways to put texts to them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import Examined, Guards
from loresmith.serving.guards.output_guard import OutputGuard, Stopped
from loresmith.serving.guards.settings import GuardsSettings

KEY = b"of the tests, thirty-two bytes.."


def guards(*settings: dict[str, Any], folder: Path = Path(), assets: dict[str, Path] | None = None) -> Guards:
    return Guards.load(GuardsSettings.model_validate(list(settings)), folder, assets, key=KEY)


def said(text: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": role, "content": text}]


def content(examined: Examined) -> Any:
    return examined.messages[0]["content"]


def written(guard: OutputGuard, pieces: Sequence[str]) -> tuple[str, Stopped | None]:
    """What comes out of an answer that is written in pieces, and what stopped it."""
    out = []
    try:
        for piece in pieces:
            out.append(guard.feed(piece))
        out.append(guard.finish())
    except Stopped as stopped:
        return "".join((*out, stopped.text)), stopped
    return "".join(out), None


def in_pieces(text: str, seed: int, longest: int = 40) -> Iterator[str]:
    draw = random.Random(seed)
    while text:
        length = draw.randint(1, longest)
        yield text[:length]
        text = text[length:]


def answer(settings: Sequence[dict[str, Any]], text: str, context: Context | None = None) -> tuple[str, Stopped | None]:
    return written(guards(*settings).output(context), list(in_pieces(text, 1)))
