"""Conversations as tokens, in the one way in which training, evaluation and serving render them.

What stands in a message is text, whatever it spells: see `control_tokens`. What is learnt is what the template's own
generation markers enclose, in the turns that count.

The text is encoded in pieces, cut where the markers begin and end. So the prompt for an answer is, token by token, the
beginning of the conversation with the answer, even where the answer begins with white space that would otherwise have
merged with the template's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from loresmith.errors import UserError
from loresmith.models.control_tokens import ControlTokens, Piece
from loresmith.models.generation_markers import has_generation_markers, with_generation_markers
from loresmith.models.piece_encoder import PieceEncoder
from loresmith.models.template_omissions import Omissions
from loresmith.models.template_text import (
    Message,
    Span,
    TemplateRefusalError,
    TemplateText,
    require_jinja,
    template_text,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_GIVE_TEMPLATE = "name a file with a template that has {% generation %} markers in `chat_template`"
_SAID = "tried whether it is shown"
_PLACE = {"type": "object", "properties": {"at": {"type": "string", "description": "Where."}}, "required": ["at"]}
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "tried_whether_it_is_shown", "description": "Nothing.", "parameters": _PLACE},
}

Tools = Sequence[Mapping[str, Any]]
"""JSON schemas of the functions that the assistant may call."""


@dataclass(frozen=True)
class Rendered:
    """A conversation as a model sees it.

    Attributes:
        ids: int64 (n,).
        assistant_mask: bool (n,), true for what is learnt.
        pieces: the same as text; `text` joins it.
    """

    ids: NDArray[np.int64]
    assistant_mask: NDArray[np.bool_]
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The characters of `text` that are learnt."""
        spans: list[Span] = []
        place = 0
        for piece in self.pieces:
            end = place + len(piece.text)
            if piece.learnt:
                start = spans.pop()[0] if spans and spans[-1][1] == place else place
                spans.append((start, end))
            place = end
        return tuple(spans)


class ConversationRenderer:
    """Renders conversations for one tokenizer.

    Args:
        tokenizer: a fast tokenizer.
        template: what to render with instead of the tokenizer's own chat template.

    Attributes:
        template: the template, as a model is shipped with it.
        omissions: what it leaves out of conversations.

    Raises:
        UserError: there is no chat template, or the tokenizer is not a fast one.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, template: str | None = None) -> None:
        if not (template or tokenizer.chat_template):
            raise UserError("the tokenizer carries no chat template", hint=_GIVE_TEMPLATE)
        self.template: str = template or tokenizer.get_chat_template()
        require_jinja(self.template)
        self.variables: dict[str, Any] = dict(tokenizer.special_tokens_map)
        self.omissions = Omissions(self.template, self.variables)
        self._encoder = PieceEncoder(tokenizer)
        self._control_tokens = ControlTokens(tokenizer, self.template)

    def render(self, messages: Sequence[Message], tools: Tools = (), where: str | None = None) -> Rendered:
        """A conversation with what is learnt from it: the assistant's turns, but those with a `weight` of 0.

        Args:
            where: what to call the conversation in messages.

        Raises:
            UserError: the template refuses the conversation, leaves out part of it, or does not mark what the
                assistant writes.
        """
        return self.encode([self.pieces(messages, tools, where)])[0]

    def pieces(self, messages: Sequence[Message], tools: Tools = (), where: str | None = None) -> tuple[Piece, ...]:
        """The first half of `render`: the text, with what is learnt of it; raises as that does."""
        marked = self.marked
        try:
            return self._pieces(marked, messages, tools)
        except UserError as error:
            raise UserError(error.what, where=where, hint=error.hint) from error

    def _pieces(self, marked: str, messages: Sequence[Message], tools: Tools) -> tuple[Piece, ...]:
        text = self._text(marked, messages, tools)
        if marked != self.template and self._text(self.template, messages, tools).text != text.text:
            raise UserError("with generation markers, the chat template renders this conversation differently")
        pieces = self._control_tokens.cut(text, _counted(messages, text))
        missing = self.omissions.first(messages, tools, "".join(piece.text for piece in pieces))
        if missing is not None:
            raise UserError(
                f"the chat template drops {missing}",
                hint="use a template that renders it, in `chat_template`, or leave it out of the record",
            )
        return pieces

    def encode(self, texts: Iterable[tuple[Piece, ...]]) -> list[Rendered]:
        """The second half of `render`, for many conversations, on as many threads as the process may use."""
        cut = list(texts)
        rendered = []
        for pieces, parts in zip(cut, self._encoder.encode(cut), strict=True):
            ids = np.asarray([id_ for part in parts for id_ in part], np.int64)
            mask = np.repeat(np.asarray([piece.learnt for piece in pieces], bool), [len(part) for part in parts])
            rendered.append(Rendered(ids, mask, pieces))
        return rendered

    def prompt(self, messages: Sequence[Message], tools: Tools = ()) -> NDArray[np.int64]:
        """The ids after which the assistant's next turn comes; a template without markers will do.

        Raises:
            UserError: the template refuses the conversation.
        """
        text = self._text(self._with_markers or self.template, messages, tools, generation_prompt=True)
        (parts,) = self._encoder.encode([self._control_tokens.cut(text, [False] * len(text.spans))])
        return np.asarray([id_ for part in parts for id_ in part], np.int64)

    def token_texts(self, ids: NDArray[np.int64]) -> tuple[str, ...]:
        """What each token spells alone."""
        return self._encoder.token_texts(ids.tolist())

    @cached_property
    def marked(self) -> str:
        """The template with generation markers, its own or those that could be given to it.

        Raises:
            UserError: there are none, they leave out what ends an assistant's turn, or the template writes the date.
        """
        if "strftime_now" in self.template:
            raise UserError(
                "the chat template writes today's date: tomorrow it renders the same conversation differently",
                hint="name a file with a template that has a fixed date, or none, in `chat_template`",
            )
        marked = self._with_markers
        if marked is None:
            raise UserError(
                "the chat template does not mark what the assistant writes, and it cannot be told by rendering it",
                hint=_GIVE_TEMPLATE,
            )
        if has_generation_markers(self.template):
            self._require_end_of_turn()
        return marked

    @cached_property
    def end_of_turn(self) -> int | None:
        """The id of the token that ends an assistant's turn, after which a model has said what it had to say.

        None where the template ends it with ordinary text, will not take the plainest conversation, or marks nothing.
        """
        try:
            rendered = self.render([{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."}])
        except UserError:
            return None
        learnt = rendered.ids[rendered.assistant_mask]
        if not learnt.size:
            return None
        last = int(learnt[-1])
        return last if self._control_tokens.first(self.token_texts(np.asarray([last]))[0]) else None

    @cached_property
    def shows_tools(self) -> bool:
        """Whether the template writes down which functions the assistant may call."""
        asked: list[Message] = [{"role": "user", "content": "Where?"}]
        try:
            text = self._text(self.template, asked, [_TOOL], generation_prompt=True)
        except UserError:
            return False
        return str(_TOOL["function"]["name"]) in text.text

    @cached_property
    def shows_system(self) -> bool:
        """Whether the template writes down what the system says; some refuse it, or leave it out."""
        said: list[Message] = [{"role": "system", "content": _SAID}, {"role": "user", "content": "Where?"}]
        try:
            return _SAID in self._text(self.template, said, (), generation_prompt=True).text
        except UserError:
            return False

    def words(self, rendered: Rendered) -> str:
        """What is learnt of a conversation, without the control tokens."""
        learnt = (piece for piece in rendered.pieces if piece.learnt)
        return "".join(piece.text if piece.literal else self._control_tokens.without(piece.text) for piece in learnt)

    @cached_property
    def _with_markers(self) -> str | None:
        return with_generation_markers(self.template, self.variables)

    def _text(
        self, template: str, messages: Sequence[Message], tools: Tools, generation_prompt: bool = False
    ) -> TemplateText:
        guarded, guarded_tools = self._control_tokens.guarded(messages), self._control_tokens.guarded_tools(tools)
        try:
            return template_text(template, guarded, guarded_tools, self.variables, generation_prompt=generation_prompt)
        except TemplateRefusalError as error:
            raise UserError(f"the chat template refuses this conversation: {error}") from error

    def _require_end_of_turn(self) -> None:
        messages: list[Message] = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "There."}]
        try:
            text = template_text(self.template, messages, variables=self.variables)
        except TemplateRefusalError:
            return  # a template for messages of another form; those of the records are tried one by one
        token = self._control_tokens.first(text.text[text.spans[-1][1] :]) if text.spans else None
        if token is not None:
            raise UserError(
                f"the chat template's generation markers leave out {token!r}, which ends an assistant's turn: what "
                "learns from them never stops",
                hint="put the token inside the markers",
            )


def _counted(messages: Sequence[Message], text: TemplateText) -> list[bool]:
    """Of each span, whether its turn counts."""
    weights = [message.get("weight", 1) for message in messages if message["role"] == "assistant"]
    if len(text.spans) != len(weights):
        raise UserError(
            f"the chat template marks {len(text.spans)} stretches as the assistant's in a conversation in which it has "
            f"{len(weights)} turns"
        )
    return [weight != 0 for weight in weights]
