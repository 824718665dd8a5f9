"""What an engine writes, on its way out: calls of tools are cut out, and guards let the rest through or stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loresmith.serving.engines.generation import Chosen, Emission
from loresmith.serving.gateway.asked import Asked, Finish, Piece, ToolCall
from loresmith.serving.gateway.long_text import worked
from loresmith.serving.gateway.tool_calls import ToolCallReader
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.output_guard import Rerouted, Stopped
from loresmith.serving.guards.verdict import Verdict


class Outgoing:
    """One answer, as far as it went out.

    Args:
        index: its place among the answers of its request.
        guards: that look at it.
        labels: that the caller holds.
        passages: the texts that the model was shown, for the check that they bear the answer.
        late: log-probabilities are told only when all of the answer has gone out as it was written.

    Attributes:
        index: that place.
        text: what went out.
        calls: of tools that did.
        refusal: the stated policy by which a guard ended it.
        finish: why it ended.
        ids: of the tokens that the engine wrote.
        log_probabilities: of those, as far as the engine told them.
    """

    def __init__(
        self, index: int, asked: Asked, guards: Guards, labels: frozenset[str], passages: Sequence[str], *, late: bool
    ) -> None:
        self.index = index
        self._asked = asked
        self._guards = guards
        self._late = late
        self._context = context_of(asked, labels, passages)
        self._guard = guards.output(self._context)
        self._reader = ToolCallReader([tool["function"]["name"] for tool in asked.tools])
        self._of_calls: list[Verdict] = []
        self._bytes = [0, 0]
        self._written = ""
        self._told_late: list[Chosen] = []
        self.text = ""
        self.calls: list[ToolCall] = []
        self.refusal: str | None = None
        self.finish: Finish | None = None
        self.ids: list[int] = []
        self.log_probabilities: list[float] = []

    @property
    def verdicts(self) -> list[Verdict]:
        """Of the guards on the answer."""
        return [*self._of_calls, *self._guard.verdicts]

    @property
    def bytes_scanned(self) -> int:
        return self._bytes[0] + self._guard.bytes_scanned

    @property
    def bytes_emitted(self) -> int:
        return self._bytes[1] + self._guard.bytes_emitted

    async def piece(self, emission: Emission) -> Piece:
        """What may go out of what the engine says."""
        self.ids += [token.id for token in emission.tokens]
        self.log_probabilities += [
            token.log_probability for token in emission.tokens if token.log_probability is not None
        ]
        text, calls = self._reader.feed(emission.text)
        last = emission.finished is not None
        if last:
            text += self._reader.end()
        self._written += text
        aside = self._guard.judges_whole and (last or bool(calls))
        piece = await worked(aside, self._guarded, text, calls, last)
        self.text += piece.text
        self.calls += piece.calls
        if last and self.refusal is None:
            self.finish = "length" if emission.finished == "length" else "stop"
        if self.calls and self.finish == "stop":
            self.finish = "tool_calls"
        piece.tokens = self._tokens_to_tell(emission.tokens, last)
        return piece

    def _guarded(self, text: str, calls: Sequence[ToolCall], last: bool) -> Piece:
        """As much of it as guards let out."""
        piece = Piece(self.index)
        try:
            piece.text = self._guard.feed(text)
            if last:
                piece.text += self._guard.finish()
        except Stopped as stopped:
            piece.text += stopped.text
            self._stop(stopped, piece)
        else:
            self._let_out(calls, piece)
        return piece

    def message(self) -> dict[str, Any]:
        """The assistant's message in OpenAI's form."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or (None if self.calls else "")}
        if self.refusal is not None:
            message["refusal"] = self.refusal
        if self.calls:
            message["tool_calls"] = [_told_call(call) for call in self.calls]
        return message

    def _tokens_to_tell(self, tokens: Sequence[Chosen], last: bool) -> tuple[Chosen, ...]:
        """The tokens whose log-probabilities may be told now.

        They spell what the model wrote. So where a guard looks at answers they wait for the end, and are told only if
        all of it went out as it was written.
        """
        if self._asked.alternatives is None:
            return ()
        if not self._late:
            return tuple(tokens)
        self._told_late += tokens
        if not last or self.refusal is not None or self.text != self._written:
            return ()
        return tuple(self._told_late)

    def _let_out(self, calls: Sequence[ToolCall], piece: Piece) -> None:
        """Put calls into a piece as far as guards let them out."""
        for call in calls:
            try:
                piece.calls += (self._guarded_call(call),)
            except Stopped as stopped:
                self._stop(stopped, piece)  # what had passed of the arguments is no call, and no text either
                return

    def _guarded_call(self, call: ToolCall) -> ToolCall:
        """A call as guards let it out."""
        guard = self._guards.output(self._context, tool=call.name)
        try:
            arguments = guard.feed(call.arguments)
            arguments += guard.finish()
        finally:
            self._of_calls += guard.verdicts
        self._bytes[0] += guard.bytes_scanned
        self._bytes[1] += guard.bytes_emitted
        self._written += "" if arguments == call.arguments else call.arguments
        return ToolCall(call.id, call.name, arguments)

    def _stop(self, stopped: Stopped, piece: Piece) -> None:
        """A guard ends the answer."""
        if isinstance(stopped, Rerouted):
            self.refusal = f"this is answered by {stopped.route!r}: ask for that model"
        else:
            self.refusal = getattr(stopped, "message", "") or "a guard stopped the answer"
        piece.refusal = self.refusal
        self.finish = "content_filter"


def context_of(asked: Asked, labels: frozenset[str], passages: Sequence[str] = ()) -> Context:
    """What guards know of a request when they look at its answer."""
    return Context(
        labels=labels,
        passages=tuple(passages),
        schema=asked.schema,
        tools={tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in asked.tools},
    )


def _told_call(call: ToolCall) -> Mapping[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
