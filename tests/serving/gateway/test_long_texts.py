"""While one request's long texts are worked on, the gateway answers others."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from loresmith.serving.gateway.long_text import LONG_TEXT, is_long
from tests.serving.gateway.guarded_house import Guarded
from tests.serving.gateway.house import chat

WORDS = "They met at the quiet harbour on the second morning. "


def _tools(count: int) -> list[dict[str, Any]]:
    fields = {f"field_{n}": {"type": "string", "description": WORDS} for n in range(10)}
    return [
        {"type": "function", "function": {"name": f"tool_{n}", "parameters": {"type": "object", "properties": fields}}}
        for n in range(count)
    ]


def _calls(count: int) -> list[dict[str, Any]]:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": f'{{"x": "{WORDS}"}}'}}
        for n in range(count)
    ]
    answers = [{"role": "tool", "tool_call_id": f"call_{n}", "content": "ok"} for n in range(count)]
    return [{"role": "assistant", "content": "", "tool_calls": calls}, *answers]


LONG: dict[str, dict[str, Any]] = {
    "tools": {"tools": _tools(250)},
    "calls": {"messages": [*chat()["messages"], *_calls(2000)]},
    "content": {"messages": [{"role": "user", "content": WORDS * 50_000}]},
}


@pytest.mark.parametrize(
    "long",
    [
        "x" * (LONG_TEXT + 1),
        [{"role": "user", "content": [{"type": "text", "text": "x" * LONG_TEXT}]}],
        ({"x" * LONG_TEXT: None},),
        [[0] * LONG_TEXT],
        [[]] * LONG_TEXT,
        ["x" * 100] * (LONG_TEXT // 100),
        *(tuple(asked.values()) for asked in LONG.values()),
    ],
)
def test_a_long_text_is_found_wherever_it_stands(long: Any) -> None:
    assert is_long("", (), long)


def test_what_is_short_is_not_taken_for_long() -> None:
    assert not is_long(chat()["messages"], _tools(10), None, "x" * (LONG_TEXT // 2))


@pytest.mark.parametrize("kind", LONG)
def test_others_are_answered_meanwhile(guarded: Guarded, kind: str) -> None:
    """Neither guards, nor the template, nor the tokenizer keep the gateway from other work."""
    # Once of four times is enough: now and then it is the machine that is busy with others.
    shares = (waited_for(guarded, kind) for _ in range(4))
    assert any(share < 0.4 for share in shares)


def waited_for(guarded: Guarded, kind: str) -> float:
    """The longest that another had to wait meanwhile, as a part of what it took."""
    done = threading.Event()
    answered: list[tuple[float, float]] = []

    def ask() -> None:
        with guarded.client() as client:
            while not done.is_set():
                begun = time.monotonic()
                client.get("/health").raise_for_status()
                answered.append((begun, time.monotonic()))
                time.sleep(0.005)

    other = threading.Thread(target=ask)
    other.start()
    try:
        with guarded.client() as client:
            begun = time.monotonic()
            said = client.post("/v1/chat/completions", json={**chat(), **LONG[kind]})
            took = time.monotonic() - begun
    finally:
        done.set()
        other.join()
    assert said.json()["error"]["code"] == "context_length_exceeded", said.text
    return max((end - start for start, end in answered if start >= begun), default=took) / took
