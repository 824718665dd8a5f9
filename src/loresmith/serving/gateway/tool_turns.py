"""Tools for a model whose chat template knows none: as text, in the form of Hermes 2 Pro that `tool_calls` reads.

Else functions would be offered that the model is never shown, and what it called and was told would be gone from the
conversation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from loresmith.serving.gateway.tool_calls import BEGIN, END

_OFFER = """\
You may call functions. Their signatures stand between <tools> and </tools>, as JSON:
<tools>
{tools}
</tools>
To call one, write its name and its arguments as JSON:
{begin}
{{"name": <name>, "arguments": <arguments>}}
{end}"""


def has_tools(turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a conversation is one with tools."""
    return bool(tools) or any(turn.get("tool_calls") or turn["role"] == "tool" for turn in turns)


def written_out(
    turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], *, system: bool = True
) -> list[dict[str, Any]]:
    """The conversation without tools but for what its texts say of them.

    Args:
        turns: as `turn_of` makes them.
        tools: in OpenAI's form.
        system: whether the template shows what the system says; else the user offers the tools.
    """
    told: list[dict[str, Any]] = []
    answered = False  # by a tool, for which the user speaks: many templates want users and assistants to take turns
    for turn in turns:
        said = f"<tool_response>\n{turn['content']}\n</tool_response>" if turn["role"] == "tool" else turn["content"]
        if turn["role"] in ("tool", "user") and answered:
            told[-1]["content"] += f"\n{said}"
        elif turn["role"] == "tool":
            told.append({"role": "user", "content": said})
        else:
            calls = [_called(call) for call in turn.get("tool_calls") or ()]
            kept = {key: value for key, value in turn.items() if key != "tool_calls"}
            told.append({**kept, "content": "\n".join([*filter(None, [turn["content"]]), *calls])})
        answered = turn["role"] == "tool"
    if tools:
        offer = _OFFER.format(tools="\n".join(map(_json, tools)), begin=BEGIN, end=END)
        _offer(offer, told, system)
    return told


def _offer(offer: str, told: list[dict[str, Any]], system: bool) -> None:
    first = next((turn for turn in told if turn["role"] == "user"), None)
    if not system and first is not None:
        first["content"] = f"{offer}\n\n{first['content']}"
    elif told and told[0]["role"] == "system":
        told[0]["content"] += f"\n\n{offer}"
    else:
        told.insert(0, {"role": "system", "content": offer})


def _called(call: Mapping[str, Any]) -> str:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    written = {"name": function["name"], "arguments": arguments}
    with suppress(ValueError, RecursionError):  # then it is shown as it was written
        read = _json({**written, "arguments": json.loads(arguments)}) if isinstance(arguments, str) else _json(written)
        read.encode()  # half a letter (a lone surrogate) is no text
        return f"{BEGIN}\n{read}\n{END}"
    return f"{BEGIN}\n{_json(written)}\n{END}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
