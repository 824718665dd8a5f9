"""A request in the tokens of the model that is to answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.errors import UserError
from loresmith.serving.engines.generation import Generation
from loresmith.serving.gateway.asked import Asked
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.served_model import ServedModel
from loresmith.serving.gateway.tool_calls import call_grammar
from loresmith.serving.gateway.tool_turns import has_tools, written_out
from loresmith.serving.message_parts import kind_of_part, text_of_part

_TURN = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content")


def conversation(asked: Asked, model: ServedModel) -> Sequence[Mapping[str, Any]]:
    """What guards look at: the messages, or a text to go on from as the one message of a user."""
    if asked.messages is not None:
        return asked.messages
    text = asked.prompt if isinstance(asked.prompt, str) else model.tokenizer.decode(list(asked.prompt))
    return [{"role": "user", "content": text}]


def generation(
    asked: Asked,
    model: ServedModel,
    prompt: tuple[int, ...],
    longest: int,
    **who: Any,
) -> Generation:
    """What the engine is asked for.

    Args:
        prompt: the ids of `prompt_ids`.
        longest: tokens that an answer may have here.
        who: `id`, `adapter`, `scope` and `scored` of the generation.

    Raises:
        Problem: the window has no room for an answer.
    """
    room = model.window - len(prompt)
    if room < 1:
        raise Problem(
            400,
            f"the prompt has {len(prompt)} tokens, and the model's window is {model.window}",
            code="context_length_exceeded",
            param="messages",
        )
    constraint = asked.constraint
    if asked.call is not None:
        name = None if asked.call == "any" else asked.call
        constraint = call_grammar(asked.tools, name, several=not asked.one_call)
    return Generation(
        prompt=prompt,
        max_new_tokens=min(asked.max_tokens or model.settings.answer_tokens, longest, room),
        sampling=asked.sampling,
        stop=asked.stop,
        ends=model.ends if asked.messages is not None else (),
        constraint=constraint,
        alternatives=asked.alternatives,
        **who,
    )


def prompt_ids(
    asked: Asked, model: ServedModel, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
) -> tuple[int, ...]:
    """The ids after which the answer comes.

    Args:
        messages, tools: as guards let them in, with what was retrieved.

    Raises:
        Problem: the model has no chat template, its template refuses the conversation, or a part of it is no text.
    """
    if asked.messages is None:
        return _text_ids(asked, model, messages[0]["content"])
    turns = [turn_of(message) for message in messages]
    try:
        renderer = model.renderer
        if renderer is None:
            raise Problem(
                400,
                f"the model {model.name!r} has no chat template: ask `/v1/completions`",
                code="no_chat_template",
                param="model",
            )
        if has_tools(turns, tools) and not renderer.shows_tools:
            turns, tools = written_out(turns, tools, system=renderer.shows_system), ()
        return tuple(renderer.prompt(turns, tools).tolist())
    except UserError as error:
        raise Problem(400, str(error), code="bad_request", param="messages") from None


def _text_ids(asked: Asked, model: ServedModel, text: str) -> tuple[int, ...]:
    if not isinstance(asked.prompt, str) and text == model.tokenizer.decode(list(asked.prompt)):
        return tuple(asked.prompt)
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    end = model.tokenizer.eos_token_id
    if not ids and end is None:
        raise Problem(400, "the prompt is empty", code="bad_request", param="prompt")
    return tuple(ids or [end])


def turn_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the form of chat templates: text instead of parts, `system` for `developer`.

    Text is always there, since many templates take it as given: also in a turn that is calls of tools alone.

    Raises:
        Problem: a part is no text, such as a picture.
    """
    turn = {key: value for key, value in message.items() if key in _TURN and value is not None}
    if turn["role"] == "developer":
        turn["role"] = "system"
    content = turn.get("content", message.get("refusal") or "")
    turn["content"] = content if isinstance(content, str) else "".join(map(_read, content))
    return turn


def _read(part: Mapping[str, Any]) -> str:
    text = text_of_part(part)
    if text is None:
        named = f"of the type {kind_of_part(part)[:40]!r}"
        message = f"a part of a message is {named}: models here read text alone, in parts of the type 'text'"
        raise Problem(400, message, code="invalid_request", param="messages")
    return text
