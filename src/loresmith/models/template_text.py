"""Rendering a chat template to text, with the stretches that its generation markers enclose."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError
from loresmith.models.offline import transformers

Message = Mapping[str, Any]
"""A turn as chat templates take it: `role`, `content` and what else the role has (`tool_calls`, `tool_call_id`)."""

Span = tuple[int, int]
"""Characters start .. end - 1 of a text."""

RENDERING = threading.Lock()
"""Held while a template is rendered: what transformers keeps of a template, all threads of a process share."""


class TemplateRefusalError(Exception):
    """The template raised an error of its own, or could not cope with what it was given."""


@dataclass(frozen=True)
class TemplateText:
    """A rendered conversation.

    Attributes:
        text: all of it, special tokens as they are written.
        spans: what the generation markers enclose, in order; empty for a template without any.
    """

    text: str
    spans: tuple[Span, ...]


def template_text(
    template: str,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    variables: Mapping[str, Any] | None = None,
    *,
    generation_prompt: bool = False,
) -> TemplateText:
    """Render as transformers does, in its sandbox.

    Args:
        template: Jinja, as tokenizers carry it.
        messages: the turns; keys without a value are left out, as `apply_chat_template` leaves them out.
        tools: JSON schemas of functions that the assistant may call.
        variables: what else the template may read: the tokenizer's special tokens by name.
        generation_prompt: end with what begins an assistant's turn.

    Raises:
        TemplateRefusalError: saying what the template said.
    """
    import jinja2

    given = [{key: value for key, value in message.items() if value is not None} for message in messages]
    try:
        with RENDERING:
            (text,), (spans,) = transformers.utils.chat_template_utils.render_jinja_template(
                conversations=[given],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=template,
                return_assistant_tokens_mask=True,
                add_generation_prompt=generation_prompt,
                **(variables or {}),
            )
    except (jinja2.TemplateError, TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
        # Jinja lets through what Python says of an operation that a value does not have.
        raise TemplateRefusalError(str(error)) from error
    return TemplateText(text, tuple(spans))


def require_jinja(template: str) -> None:
    """Raise UserError, with the line, if a chat template is no Jinja."""
    import jinja2

    try:
        transformers.utils.chat_template_utils._compile_jinja_template(template)
    except jinja2.TemplateSyntaxError as error:
        raise UserError(f"line {error.lineno} of the chat template is not valid Jinja: {error.message}") from None
