"""One answer, from the question to the last word: everything that has to be so before, while and after it is given.

In this order: the policy decides; guards look at what is asked; passages are found, each decided on and looked at;
the conversation becomes tokens; the quotas admit it; the intent is put on the record; the engine writes; guards look at
what it writes; what went out is what is told, counted and put on the record as the outcome.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.record import AuditedResource, AuditRecord, Content, GuardVerdict
from loresmith.serving.audit.writer import AuditUnavailable
from loresmith.serving.engines.generation import Chosen, Emission, Generation
from loresmith.serving.engines.host import EngineGone
from loresmith.serving.gateway.asked import Asked, Finish, Piece, ToolCall, Usage
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.problem import Problem, no_model
from loresmith.serving.gateway.served_model import ServedModel
from loresmith.serving.gateway.tool_calls import ToolCallReader, call_grammar
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import Examined
from loresmith.serving.guards.output_guard import OutputGuard, Rerouted, Stopped
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.policy import Decision
from loresmith.serving.policy.resource import Resource
from loresmith.serving.quotas.over_quota import OverQuota
from loresmith.serving.retrieval.citations import Cited, citations
from loresmith.serving.retrieval.passage import Passage, PassageRef
from loresmith.serving.retrieval.prompt import question_of, with_passages
from loresmith.serving.traffic_sample.traffic import Outcome, Traffic

_LONG_TEXT = 20_000
"""Characters from which on guards look at a request outside of the event loop."""

_NO_ANSWER = "answers cannot be put on the record just now, so none is given"


class Answer:
    """One answer.

    Args:
        asked: what is asked for.
        principal: by whom.
        response: the id that the answer carries.
        address: the caller's.

    Attributes:
        finish: why it ended.
        usage: tokens so far.
        passages: those that the model was shown, by their numbers.
        model: that answers.
        created: when it began, in seconds since 1970.
    """

    def __init__(self, gateway: Gateway, asked: Asked, principal: Principal, response: str, address: str) -> None:
        self._gateway = gateway
        self._rules = gateway.rules
        self._asked = asked
        self._principal = principal
        self._address = address
        self._begun = time.monotonic()
        self._first_token_ms = 0
        self._stack = AsyncExitStack()
        self._stream: AsyncGenerator[Emission] | None = None
        self._first: Emission | None = None
        self._decision: Decision | None = None
        self._verdicts: list[Verdict] = []
        self._guard: OutputGuard | None = None
        self._messages: list[dict[str, Any]] | None = None
        self._tools: Sequence[Mapping[str, Any]] = ()
        self._prompt_ids: tuple[int, ...] = ()
        self._answer_ids: list[int] = []
        self._log_probabilities: list[float] = []
        self._said = ""
        self._written = ""
        self._told_late: list[Chosen] = []
        self._calls: list[ToolCall] = []
        self._refusal: str | None = None
        self._error = ""
        self._intended = False
        self._ended = False
        self._grant: Any = None
        self._documents: dict[str, bool] = {}  # whether the caller may see them
        self._bytes = [0, 0]
        self.response = response
        self.finish: Finish | None = None
        self.usage = Usage()
        self.passages: tuple[Passage, ...] = ()
        self.model: ServedModel
        self.adapter: str | None = None
        self.created = int(time.time())

    @property
    def text(self) -> str:
        """What went out so far."""
        return self._said

    @property
    def prompt_text(self) -> str:
        """The text that the answer goes on from, as guards let it in."""
        return "" if self._messages is None else str(self._messages[0]["content"])

    @property
    def cited(self) -> Cited | None:
        """What the marks in the answer stand for; None where nothing was retrieved."""
        return citations(self._said, self.passages) if self.passages else None

    async def open(self) -> None:
        """Everything up to the model's first token.

        Raises:
            Problem: the request is not answered; that is on the record too.
        """
        try:
            await self._open()
        except Problem as problem:
            await self._end(problem.status, problem.reason or problem.code or "")
            raise
        except asyncio.CancelledError:
            await self._end(499, "the caller went away")
            raise
        except BaseException as error:
            await self._end(500, type(error).__name__)
            raise

    async def pieces(self) -> AsyncGenerator[Piece]:
        """What is said, piece by piece, as guards let it out.

        Raises:
            Problem: the engine broke, or the record cannot be written.
        """
        assert self._stream is not None
        reader = ToolCallReader([tool["function"]["name"] for tool in self._asked.tools])
        try:
            async with aclosing(self._emissions()) as emissions:
                async for emission in emissions:
                    if not self._gateway.audit.healthy:
                        raise Problem(503, _NO_ANSWER, code="audit_unavailable", retry_after=5)
                    piece = self._piece(emission, reader)
                    if piece.text or piece.calls or piece.tokens or piece.refusal is not None:
                        yield piece
                    if self._refusal is not None:
                        break
        except EngineGone as error:
            self._error = error.what
            raise Problem(503, error.what, code="engine_unavailable", retry_after=5) from None
        except UserError as error:
            raise Problem(400, str(error), code="bad_request") from None

    async def close(self, status: int = 200, error: str = "") -> None:
        """The end of it, also where it was left in the middle: the slot is freed, tokens are settled, the outcome is
        put on the record."""
        await self._end(status, error or self._error)

    async def _open(self) -> None:
        asked, gateway = self._asked, self._gateway
        self._find_model(asked.model)
        self._decide()
        if not gateway.audit.healthy:
            raise Problem(503, _NO_ANSWER, code="audit_unavailable", retry_after=5)
        if gateway.draining:
            raise Problem(503, "the gateway is ending", code="unavailable", retry_after=5)
        await self._examine()
        await self._retrieve()
        generation = self._generation()
        await self._admit(len(generation.prompt) + generation.max_new_tokens)
        await self._intend()
        self._guard = self._rules.guards.output(self._context())
        gateway.telemetry.at_work.labels(self.model.name).inc()
        self._stack.callback(gateway.telemetry.at_work.labels(self.model.name).dec)
        try:
            stream = await self._stack.enter_async_context(aclosing(self.model.host.generate(generation)))
            self._first = await anext(stream)
            self._stream = stream
        except EngineGone as error:
            raise Problem(503, error.what, code="engine_unavailable", retry_after=5, reason=error.what) from None
        except UserError as error:
            raise Problem(400, str(error), code="bad_request") from None
        self._first_token_ms = self._milliseconds()

    def _find_model(self, name: str) -> None:
        self.model, self.adapter = self._gateway.models.find(name)
        self.model.users += 1
        model = self.model

        def leave() -> None:
            model.users -= 1

        self._stack.callback(leave)

    def _resource(self) -> Resource:
        """What the policy decides about: the release, or the adapter beside it."""
        attributes = {"channel": self.model.settings.channel, "model": self.model.digest}
        labels = self.model.labels_of(self.adapter)
        if self.adapter is None:
            return Resource("release", self.model.name, labels, attributes)
        return Resource("adapter", f"{self.model.name}:{self.adapter}", labels, attributes)

    def _decide(self) -> None:
        decision = self._rules.policy.decide(self._principal, "complete", self._resource(), self._policy_context())
        self._decision = decision
        if not decision.allowed:
            problem = no_model(self._asked.model)
            problem.reason = "; ".join(decision.errors) or "denied by the policy"
            raise problem

    def _policy_context(self) -> dict[str, Any]:
        return {
            "route": self._asked.route,
            "address": self._address,
            "stream": self._asked.stream,
            "tools": bool(self._asked.tools),
        }

    async def _examine(self) -> None:
        """Let the guards look at what is asked; go where they send it."""
        asked = self._asked
        if asked.messages is None:
            text = asked.prompt if isinstance(asked.prompt, str) else self.model.tokenizer.decode(list(asked.prompt))
            messages: Sequence[Mapping[str, Any]] = [{"role": "user", "content": text}]
        else:
            messages = asked.messages
        examined = await self._looked_at(messages, asked.tools)
        self._verdicts += examined.verdicts
        if examined.action in ("refuse", "ask"):
            code = "needs_person" if examined.action == "ask" else "content_filter"
            raise Problem(400, examined.message, code=code, reason=f"a guard: {examined.action}")
        if examined.action == "route":
            await self._go_to(examined.route)
        self._messages = examined.messages
        self._tools = examined.tools

    async def _go_to(self, route: str) -> None:
        """Have another release answer, if the caller may use it."""
        self._find_model(route)
        self._decide()

    async def _looked_at(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], passage: str | None = None
    ) -> Examined:
        retrieved = () if passage is None else (passage,)
        guards, context = self._rules.guards, Context(labels=self._principal.labels)
        if sum(len(str(message.get("content") or "")) for message in messages) + len(passage or "") < _LONG_TEXT:
            return guards.examine(messages, tools, retrieved, context)
        return await asyncio.to_thread(guards.examine, messages, tools, retrieved, context)

    async def _retrieve(self) -> None:
        settings, retriever = self._rules.config.retrieval, self._rules.retriever
        if settings is None or retriever is None or self._asked.messages is None or not self.model.settings.retrieval:
            return
        assert self._messages is not None
        question = question_of(self._messages)
        if not question.strip():
            return
        found = await asyncio.to_thread(
            retriever.retrieve,
            question,
            self._principal.labels,
            self._may_retrieve,
            settings.passages,
            settings.least_cosine,
        )
        shown: list[Passage] = []
        texts: list[str] = []
        for passage in found:
            examined = await self._looked_at([], [], passage.text)
            named = await self._looked_at([], [], passage.path)  # the model is shown where it stands, too
            self._verdicts += (*examined.verdicts, *named.verdicts)
            if examined.action in ("allow", "redact") and named.action == "allow":
                shown.append(passage)
                texts.append(examined.retrieved[0])
        grounded = with_passages(self._messages, shown, settings, texts)
        self._messages, self.passages = grounded.messages, grounded.passages
        self._passage_texts = texts[: len(grounded.passages)]

    def _may_retrieve(self, ref: PassageRef) -> bool:
        found = self._documents.get(ref.document)
        if found is None:
            resource = Resource("document", ref.document, frozenset(ref.labels), {"path": ref.path})
            decision = self._rules.policy.decide(self._principal, "retrieve", resource, self._policy_context())
            found = self._documents[ref.document] = decision.allowed
        return found

    def _context(self) -> Context:
        return Context(
            labels=self._principal.labels,
            passages=getattr(self, "_passage_texts", ()),
            schema=self._asked.schema,
            tools={tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in self._asked.tools},
        )

    def _generation(self) -> Generation:
        """The request in tokens."""
        asked, model = self._asked, self.model
        self._prompt_ids = self._prompt()
        self.usage.prompt = len(self._prompt_ids)
        limit = min(
            asked.max_tokens or model.settings.answer_tokens,
            self._rules.config.limits.answer_tokens,
        )
        room = model.window - len(self._prompt_ids)
        if room < 1:
            raise Problem(
                400,
                f"the prompt has {len(self._prompt_ids)} tokens, and the model's window is {model.window}",
                code="context_length_exceeded",
                param="messages",
            )
        constraint = asked.constraint
        if asked.call is not None:
            name = None if asked.call == "any" else asked.call
            constraint = call_grammar(asked.tools, name, several=not asked.one_call)
        return Generation(
            id=self.response,
            prompt=self._prompt_ids,
            max_new_tokens=min(limit, room),
            sampling=asked.sampling,
            stop=asked.stop,
            ends=model.ends if asked.messages is not None else (),
            constraint=constraint,
            alternatives=asked.alternatives,
            adapter=self.adapter,
            scope=f"{self._principal.tenant}/{self._principal.id}",
        )

    def _prompt(self) -> tuple[int, ...]:
        asked, model = self._asked, self.model
        assert self._messages is not None
        if asked.messages is None:
            text = self._messages[0]["content"]
            if not isinstance(asked.prompt, str) and text == model.tokenizer.decode(list(asked.prompt)):
                return tuple(asked.prompt)
            ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
            end = model.tokenizer.eos_token_id
            if not ids and end is None:
                raise Problem(400, "the prompt is empty", code="bad_request", param="prompt")
            return tuple(ids or [end])
        if model.renderer is None:
            raise Problem(
                400,
                f"the model {model.name!r} has no chat template: ask `/v1/completions`",
                code="no_chat_template",
                param="model",
            )
        try:
            return tuple(model.renderer.prompt(_as_template_takes_it(self._messages), self._tools).tolist())
        except UserError as error:
            raise Problem(400, str(error), code="bad_request", param="messages") from None

    async def _admit(self, tokens: int) -> None:
        try:
            self._grant = await self._stack.enter_async_context(self._gateway.quotas.admit(self._principal, tokens))
        except OverQuota as error:
            raise Problem(
                429, f"too much: {error.what}", code="rate_limit_exceeded", retry_after=error.retry_after_seconds
            ) from None

    async def _intend(self) -> None:
        content = Content(messages=tuple(self._messages or ()), tools=tuple(self._tools))
        try:
            await self._gateway.audit.intent(self._record("intent"), content)
        except AuditUnavailable as error:
            raise Problem(503, _NO_ANSWER, code="audit_unavailable", retry_after=5, reason=error.what) from None
        self._intended = True

    async def _emissions(self) -> AsyncGenerator[Emission]:
        assert self._stream is not None
        assert self._first is not None
        yield self._first
        if self._first.finished is None:
            async for emission in self._stream:
                yield emission

    def _piece(self, emission: Emission, reader: ToolCallReader) -> Piece:
        """What may go out of what the engine says."""
        assert self._guard is not None
        self._answer_ids += [token.id for token in emission.tokens]
        self._log_probabilities += [
            token.log_probability for token in emission.tokens if token.log_probability is not None
        ]
        self.usage.completion += len(emission.tokens)
        self.usage.cached += emission.cached_tokens
        text, calls = reader.feed(emission.text)
        last = emission.finished is not None
        if last:
            text += reader.end()
        self._written += text
        piece = Piece()
        try:
            piece.text = self._guard.feed(text)
            if last:
                piece.text += self._guard.finish()
        except Stopped as stopped:
            piece.text += stopped.text
            self._stop(stopped, piece)
        else:
            self._let_out(calls, piece)
        self._said += piece.text
        self._calls += piece.calls
        if last and self._refusal is None:
            self.finish = "length" if emission.finished == "length" else "stop"
        if self._calls and self.finish == "stop":
            self.finish = "tool_calls"
        piece.tokens = self._tokens_to_tell(emission.tokens, last)
        return piece

    def _tokens_to_tell(self, tokens: Sequence[Chosen], last: bool) -> tuple[Chosen, ...]:
        """The tokens whose log-probabilities may be told now.

        They spell what the model wrote. So where a guard looks at answers they wait for the end, and are told only if
        all of it went out as it was written.
        """
        if self._asked.alternatives is None:
            return ()
        if not any("output" in guard.on for guard in self._rules.config.guards.root):
            return tuple(tokens)
        self._told_late += tokens
        if not last or self._refusal is not None or self._said != self._written:
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
        guard = self._rules.guards.output(self._context(), tool=call.name)
        try:
            arguments = guard.feed(call.arguments)
            arguments += guard.finish()
        finally:
            self._verdicts += guard.verdicts
        self._bytes[0] += guard.bytes_scanned
        self._bytes[1] += guard.bytes_emitted
        self._written += "" if arguments == call.arguments else call.arguments
        return ToolCall(call.id, call.name, arguments)

    def _stop(self, stopped: Stopped, piece: Piece) -> None:
        """A guard ends the answer."""
        if isinstance(stopped, Rerouted):
            self._refusal = f"this is answered by {stopped.route!r}: ask for that model"
        else:
            self._refusal = getattr(stopped, "message", "") or "a guard stopped the answer"
        piece.refusal = self._refusal
        self.finish = "content_filter"

    def _record(self, phase: Any, **outcome: Any) -> AuditRecord:
        decision, principal = self._decision, self._principal
        model = getattr(self, "model", None)
        resource = self._resource() if model is not None else None
        labels = {label for passage in self.passages for label in passage.labels}
        return AuditRecord(
            response=self.response,
            phase=phase,
            at=timestamp(),
            tenant=principal.tenant,
            principal=principal.id,
            release="" if model is None else model.settings.release,
            groups=principal.groups,
            labels=tuple(sorted(principal.labels)),
            credential=principal.credential,
            action="complete",
            channel="" if model is None else model.settings.channel,
            model="" if model is None else model.digest,
            adapter="" if model is None or self.adapter is None else model.adapters[self.adapter].digest,
            resource=None
            if resource is None
            else AuditedResource(
                kind=resource.kind,
                id=resource.id,
                labels=tuple(sorted(resource.labels)),
                attributes=resource.attributes,
            ),
            context=self._policy_context(),
            policy=self._rules.policy.digest,
            allowed=decision is not None and decision.allowed,
            policies=() if decision is None else decision.policies,
            guards=tuple(GuardVerdict(**vars(verdict)) for verdict in self._all_verdicts()),
            documents=tuple(dict.fromkeys(passage.document for passage in self.passages)),
            answer_labels=tuple(sorted(labels | (frozenset() if resource is None else resource.labels))),
            prompt_tokens=self.usage.prompt,
            consent=self._asked.consent,
            **outcome,
        )

    def _all_verdicts(self) -> list[Verdict]:
        return [*self._verdicts, *(self._guard.verdicts if self._guard is not None else ())]

    async def _end(self, status: int, error: str) -> None:
        if self._ended:
            return
        self._ended = True
        if self._grant is not None:
            self._grant.settle(self.usage.prompt + self.usage.completion)
        # What is left to do may not be cut short by whoever cancels this.
        await asyncio.shield(asyncio.ensure_future(self._finish(status, error)))

    async def _finish(self, status: int, error: str) -> None:
        await self._stack.aclose()
        guard, gateway = self._guard, self._gateway
        scanned = self._bytes[0] + (guard.bytes_scanned if guard is not None else 0)
        emitted = self._bytes[1] + (guard.bytes_emitted if guard is not None else 0)
        record = self._record(
            "outcome",
            completion_tokens=self.usage.completion,
            cached_tokens=self.usage.cached,
            latency_ms=self._milliseconds(),
            first_token_ms=self._first_token_ms,
            status=status,
            bytes_scanned=scanned,
            bytes_emitted=emitted,
            error=error,
        )
        content = Content(answer=self.message()) if self._intended else None
        if not self._intended:
            # The decision is on the record in any case, as `policy replay` reads it.
            gateway.audit.outcome_later(record, None)
        else:
            gateway.audit.outcome_later(record, content)
        self._count(status)

    def message(self) -> dict[str, Any]:
        """The assistant's message in OpenAI's form."""
        message: dict[str, Any] = {"role": "assistant", "content": self._said or (None if self._calls else "")}
        if self._refusal is not None:
            message["refusal"] = self._refusal
        if self._calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in self._calls
            ]
        return message

    def _count(self, status: int) -> None:
        telemetry, name = self._gateway.telemetry, self._known_name()
        telemetry.requests.labels(self._asked.route, name, str(status)).inc()
        telemetry.latency.labels(self._asked.route).observe(time.monotonic() - self._begun)
        if self._first_token_ms:
            telemetry.first_token.labels(name).observe(self._first_token_ms / 1000)
        telemetry.tokens.labels(name, "prompt").inc(self.usage.prompt)
        telemetry.tokens.labels(name, "completion").inc(self.usage.completion)
        for verdict in self._all_verdicts():
            telemetry.verdicts.labels(verdict.guard, verdict.where, verdict.action).inc(verdict.count)
        if self._decision is not None and name:
            self._gateway.sample.offer(self._traffic(status))

    def _known_name(self) -> str:
        model = getattr(self, "model", None)
        return "" if model is None else model.name

    def _traffic(self, status: int) -> Traffic:
        record_labels = set(self.model.labels_of(self.adapter))
        record_labels |= {label for passage in self.passages for label in passage.labels}
        return Traffic(
            response=self.response,
            at=timestamp(),
            release=f"{self.model.settings.release}@{self.model.settings.channel}",
            model=self.model.digest,
            tenant=self._principal.tenant,
            outcome=self._outcome(status),
            messages=self._messages or (),
            answer=self._said,
            prompt_ids=self._prompt_ids,
            answer_ids=self._answer_ids,
            prompt_tokens=self.usage.prompt,
            answer_tokens=self.usage.completion,
            log_probabilities=self._log_probabilities,
            guard_hits=tuple(f"{verdict.guard}:{verdict.rule}" for verdict in self._all_verdicts()),
            labels=tuple(sorted(record_labels)),
            tool_calls=len(self._calls),
            first_token_ms=self._first_token_ms,
            latency_ms=self._milliseconds(),
            consent=self._asked.consent,
        )

    def _outcome(self, status: int) -> Outcome:
        if self._decision is None or not self._decision.allowed:
            return "denied"
        verdicts = self._all_verdicts()
        if self._refusal is not None or any(verdict.action in ("refuse", "ask") for verdict in verdicts):
            return "refused"
        if status != 200:
            return "failed"
        return "redacted" if any(verdict.action == "redact" for verdict in verdicts) else "answered"

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self._begun) * 1000)


def _as_template_takes_it(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Messages in the form of chat templates: texts instead of parts, arguments as data, `system` for `developer`."""
    return [_turn(message) for message in messages]


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    turn = {key: value for key, value in message.items() if key in _TURN and value is not None}
    if turn["role"] == "developer":
        turn["role"] = "system"
    content = turn.get("content")
    if isinstance(content, list | tuple):
        turn["content"] = "".join(str(part.get("text", "")) for part in content)
    return turn


_TURN = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content")
