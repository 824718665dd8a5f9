"""Generation markers for chat templates of others, which mostly have none.

A template says in markers which part of a conversation the assistant writes. Where it does not, it can be told apart
without a guess if an assistant's turn always renders as three parts:

    what `add_generation_prompt` writes | the words and the end of the turn | white space

So the body of the loop over the messages is rendered into a variable, cut at the two places, and the middle is put
between markers. Nothing else of the template changes. Whether it holds is not argued but tried, on conversations with
every feature that a template may treat specially: what the marked template renders must be the same bytes, and every
turn of an assistant marked from its first word to the token that ends it. A template of which that is not true in
plain conversations gets no markers; a conversation of another kind that falls outside the scheme is refused when it is
rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from loresmith.models.template_text import Message, TemplateRefusalError, TemplateText, template_text

_MARKER = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
_LOOP_TAG = re.compile(
    r"\{#.*?#\}|\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}"
    r"|\{%(?P<before>[-+]?)\s*(?P<tag>for|endfor)\b(?P<rest>(?:(?!%\}).)*?)(?P<after>[-+]?)%\}",
    re.DOTALL,
)
_TARGET = re.compile(r"\s*(\w+)\s+in\b")

_TURN = "loresmith_turn"
_OUTSIDE = (
    "the template writes an assistant turn of this conversation in a form in which what is to learn is not apparent"
)

_TOOLS: tuple[Mapping[str, Any], ...] = (
    {
        "type": "function",
        "function": {
            "name": "stock",
            "description": "Parts in stock.",
            "parameters": {"type": "object", "properties": {"part": {"type": "string"}}, "required": ["part"]},
        },
    },
)


def _call(part: str) -> Mapping[str, Any]:
    return {"type": "function", "id": "call00001", "function": {"name": "stock", "arguments": {"part": part}}}


def _turn(role: str, content: str, **more: Any) -> Message:
    return {"role": role, "content": content, **more}


_SYSTEM, _ASK, _ANSWER = _turn("system", "Be brief."), _turn("user", "Where is it?"), _turn("assistant", "Behind it.")
_AGAIN, _MORE = (
    _turn("user", "And {{ the }} other?\n"),
    _turn("assistant", "  In front,\n\nof course: ü 日本 🙂 {% if %}"),
)
_CALL = _turn("assistant", "", tool_calls=[_call("OF-12")])
_RESULT = _turn("tool", '{"left": 3}', tool_call_id="call00001", name="stock")
_REASONED = _turn("assistant", "Three.", reasoning_content="I counted them.")

_PLAIN: tuple[tuple[Message, ...], ...] = (
    (_ASK, _ANSWER),
    (_SYSTEM, _ASK, _ANSWER),
    (_ASK, _MORE, _AGAIN, _ANSWER),
    (_SYSTEM, _ASK, _ANSWER, _AGAIN, _MORE),
)
"""Conversations that a marked template must take where the original does."""

_OTHERS: tuple[tuple[Message, ...], ...] = (
    (_ASK, _ANSWER, _AGAIN),
    (_SYSTEM, _AGAIN),
    (_ANSWER, _ASK, _ANSWER),
    (_ASK, _REASONED),
    (_ASK, _REASONED, _AGAIN, _REASONED),
    (_ASK, _turn("assistant", "<think>\nHm.\n</think>\n\nThere."), _AGAIN, _MORE),
    (_ASK, _CALL, _RESULT, _ANSWER),
    (_SYSTEM, _ASK, _CALL, _RESULT, _ANSWER, _AGAIN, _CALL, _RESULT, _MORE),
    (_ASK, _turn("assistant", "Let me see.", tool_calls=[_call("A"), _call("B")]), _RESULT, _RESULT, _ANSWER),
    (_ASK, _CALL, _RESULT),
)
"""Conversations that it must take and mark rightly, or refuse."""


def has_generation_markers(template: str) -> bool:
    """Whether a template says which part of a conversation the assistant writes."""
    return _MARKER.search(template) is not None


def with_generation_markers(template: str, variables: Mapping[str, Any] | None = None) -> str | None:
    """The same template with generation markers; itself where it has them.

    Args:
        template: Jinja, as tokenizers carry it.
        variables: what it may read besides the messages: the tokenizer's special tokens by name.

    Returns:
        None if it cannot be marked by the scheme of this file.
    """
    if has_generation_markers(template):
        return template
    parts = _parts(template, variables or {})
    if parts is None:
        return None
    for start, end in _loops(template):
        marked = _marked(template, start, end, *parts)
        if marked is not None and _proven(template, marked, variables or {}):
            return marked
    return None


def _parts(template: str, variables: Mapping[str, Any]) -> tuple[str, str] | None:
    """What `add_generation_prompt` writes, and the white space after the end of an assistant's turn."""
    try:
        asked = template_text(template, [_ASK], variables=variables).text
        prompted = template_text(template, [_ASK], variables=variables, generation_prompt=True).text
        first, second = (
            template_text(template, [_ASK, _turn("assistant", said)], variables=variables).text.rpartition(said)[2]
            for said in ("Behind it.", "above")
        )
    except TemplateRefusalError:
        return None
    if not prompted.startswith(asked) or first != second or not first.strip():
        return None
    return prompted[len(asked) :], first[len(first.rstrip()) :]


def _loops(template: str) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """The outermost loops, the longest first: the one over the messages is hardly ever another."""
    stack: list[re.Match[str]] = []
    found: list[tuple[re.Match[str], re.Match[str]]] = []
    for match in _LOOP_TAG.finditer(template):
        if match["tag"] == "for":
            stack.append(match)
        elif match["tag"] == "endfor" and stack:
            opening = stack.pop()
            if not stack:
                found.append((opening, match))
    yield from sorted(found, key=lambda loop: loop[0].end() - loop[1].start())


def _marked(template: str, start: re.Match[str], end: re.Match[str], prompt: str, tail: str) -> str | None:
    target = _TARGET.match(start["rest"])
    if target is None:
        return None
    cut = f"-{len(tail)}" if tail else ""
    turn = (
        f"{{% if {target[1]}['role'] == 'assistant' %}}"
        f"{{% if {_TURN}[:{len(prompt)}] != {_quoted(prompt)} or not {_TURN}.endswith({_quoted(tail)}) %}}"
        f"{{{{ raise_exception({_quoted(_OUTSIDE)}) }}}}"
        "{% endif %}"
        f"{{{{ {_TURN}[:{len(prompt)}] }}}}"
        f"{{% generation %}}{{{{ {_TURN}[{len(prompt)}:{cut}] }}}}{{% endgeneration %}}"
        f"{{{{ {_quoted(tail)} }}}}"
        f"{{% else %}}{{{{ {_TURN} }}}}{{% endif %}}"
    )
    body = template[start.end() : end.start()]
    opening = f"{{% set {_TURN} {start['after']}%}}"
    closing = f"{{%{end['before']} endset %}}"
    return f"{template[: start.end()]}{opening}{body}{closing}{turn}{template[end.start() :]}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def _proven(template: str, marked: str, variables: Mapping[str, Any]) -> bool:
    """Whether the marked template does on every conversation what the original does, and marks what it should."""
    taken = 0
    for conversation, tools, prompt in product((*_PLAIN, *_OTHERS), ((), _TOOLS), (False, True)):
        original = _rendered(template, conversation, tools, variables, prompt)
        rendered = _rendered(marked, conversation, tools, variables, prompt)
        plain = conversation in _PLAIN and not tools
        if original is None or (rendered is None and not plain):
            continue
        if rendered is None or rendered.text != original.text or not _well_marked(rendered, conversation, plain):
            return False
        taken += plain
    return taken > 0


def _rendered(
    template: str,
    conversation: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    variables: Mapping[str, Any],
    prompt: bool,
) -> TemplateText | None:
    try:
        return template_text(template, conversation, tools, variables, generation_prompt=prompt)
    except TemplateRefusalError:
        return None


def _well_marked(rendered: TemplateText, conversation: Sequence[Message], plain: bool) -> bool:
    """Every assistant's turn is marked; one that is not will be seen, and need not be taken unless it is plain."""
    turns = [message for message in conversation if message["role"] == "assistant"]
    if len(turns) != len(rendered.spans):
        return not plain
    return all(
        message["content"].rpartition("</think>")[2].strip() in rendered.text[start:end]
        for message, (start, end) in zip(turns, rendered.spans, strict=True)
    )
