"""Rendering a chat template to text, with the stretches that its generation markers enclose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from loresmith.errors import UserError
from loresmith.models.offline import transformers

Message = Mapping[str, Any]
"""A turn as chat templates take it: `role`, `content` and what else the role has (`tool_calls`, `tool_call_id`)."""

Span = tuple[int, int]
"""Characters start .. end - 1 of a text."""

_TEMPLATES_KEPT = 100


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


class _Copy(str):
    """A template that is the same as no other: transformers compiles it by itself."""

    __slots__ = ()
    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__


_copies: dict[str, list[_Copy]] = {}
"""Copies that nobody renders with just now, by template."""


@contextmanager
def _own_copy(template: str) -> Iterator[str]:
    """A template for one rendering: what transformers keeps of a compiled one is of one rendering at a time, so that
    whoever shared it would have to wait for others' conversations, however long those are."""
    if len(_copies) > _TEMPLATES_KEPT:
        _copies.clear()
    unused = _copies.setdefault(template, [])
    try:
        copy = unused.pop()
    except IndexError:  # the first, or all are at work in other threads
        copy = _Copy(template)
    try:
        yield copy
    finally:
        unused.append(copy)


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
        with _own_copy(template) as own:
            (text,), (spans,) = transformers.utils.chat_template_utils.render_jinja_template(
                conversations=[given],
                tools=[dict(tool) for tool in tools] or None,
                chat_template=own,
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
