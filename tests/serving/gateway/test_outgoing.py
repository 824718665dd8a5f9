"""What an engine writes, on its way out: while it is judged as a whole, the gateway answers others."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loresmith.serving.engines.generation import Emission
from loresmith.serving.gateway.asked import Asked
from loresmith.serving.gateway.outgoing import Outgoing
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.settings import GuardsSettings
from tests.serving.guards.guarding import KEY
from tests.serving.guards.test_bounded_schema import doubled

PASSAGES = ["The filter is cleaned weekly."]
OTHER_WORDS = "Somebody washes that sieve regularly."


def outgoing(*settings: dict[str, Any], embed: Any = None, **asked: Any) -> Outgoing:
    guards = Guards.load(GuardsSettings.model_validate(list(settings)), Path(), embed=embed, key=KEY)
    request = Asked(route="/v1/chat/completions", model="acme", messages=(), **asked)
    return Outgoing(0, request, guards, frozenset(), PASSAGES, late=True)


def test_an_answer_is_embedded_aside() -> None:
    threads: list[int] = []

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        threads.append(threading.get_ident())
        return np.ones((len(texts), 1), np.float32)

    answer = outgoing({"kind": "grounding"}, embed=embed)
    piece = asyncio.run(answer.piece(Emission(id="x", text=OTHER_WORDS, finished="stop")))
    assert (piece.text, answer.text, answer.finish) == (OTHER_WORDS, OTHER_WORDS, "stop")
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


TOOL = {"type": "function", "function": {"name": "send", "parameters": doubled(30)}}
CALL = json.dumps({"name": "send", "arguments": {}})


@pytest.mark.parametrize(
    ("asked", "emission"),
    [
        ({"schema": doubled(30)}, Emission(id="x", text="{}", finished="stop")),
        ({"tools": (TOOL,)}, Emission(id="x", text=f"<tool_call>{CALL}</tool_call>")),
    ],
)
def test_answers_and_calls_are_held_to_schemas_aside(asked: dict[str, Any], emission: Emission) -> None:
    async def story() -> int:
        answer = outgoing({"kind": "schema"}, **asked)
        judging = asyncio.create_task(answer.piece(emission))
        turns = 0
        while not judging.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert judging.result().refusal
        assert (answer.text, answer.calls, answer.finish) == ("", [], "content_filter")
        return turns

    assert asyncio.run(story()) > 10
