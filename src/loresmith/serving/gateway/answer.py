"""An answer, from the question to the last word: everything that has to be so before, while and after it is given.

In this order: it is looked whether the record can be written; the policy decides; guards look at what is asked;
passages are found, each decided on and looked at; the conversation becomes tokens; the quotas admit it; the intent is
put on the record while the engine begins; once it is there, guards look at what the engine writes; what went out is
what is told, counted and put on the record as the outcome. Where several answers are asked for (`n`), all of this but
the writing is done once: they are on one record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from loresmith.errors import UserError
from loresmith.ledger.clock import timestamp
from loresmith.serving.audit.record import AuditRecord, Content
from loresmith.serving.engines.generation import Emission, Generation
from loresmith.serving.engines.host import EngineGone
from loresmith.serving.gateway.asked import Asked, Finish, Piece, Usage, sampling_of_choice
from loresmith.serving.gateway.found_passages import find_passages, show_as_many_as_fit
from loresmith.serving.gateway.gateway import Gateway, Rules
from loresmith.serving.gateway.long_text import is_long, worked
from loresmith.serving.gateway.outgoing import Outgoing, context_of
from loresmith.serving.gateway.problem import Problem, no_model
from loresmith.serving.gateway.prompting import conversation, generation, prompt_ids
from loresmith.serving.gateway.served_model import ServedModel
from loresmith.serving.gateway.spans import Operation
from loresmith.serving.gateway.standing import Standing, unrecorded
from loresmith.serving.gateway.time_limit import TimeLimit
from loresmith.serving.gateway.together import together
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.resource import Resource
from loresmith.serving.policy.served import SEPARATOR, model_resource
from loresmith.serving.retrieval.citations import Cited, citations
from loresmith.serving.retrieval.passage import Passage
from loresmith.serving.retrieval.prompt import question_of, with_passages
from loresmith.serving.traffic_sample.traffic import Outcome, Traffic

ANSWERS_SHARE = 4
"""A part of so many of the window is not given to passages."""


class Answer:
    """What one request is answered.

    Args:
        asked: what is asked for.
        principal: by whom.
        response: the id that the answer carries.
        address: the caller's.
        limit: of the time that it may take.
        headers: of the request, for the trace that it belongs to.

    Attributes:
        response: that id.
        choices: the answers that are asked for, as far as they went out; none before the engine is asked.
        usage: tokens so far.
        passages: those that the model was shown, by their numbers.
        model: that answers.
        adapter: on it; None for the model as it is.
        created: when it began, in seconds since 1970.
    """

    model: ServedModel

    def __init__(
        self,
        gateway: Gateway,
        asked: Asked,
        principal: Principal,
        response: str,
        address: str,
        limit: TimeLimit,
        headers: Mapping[str, str],
    ) -> None:
        context = {"route": asked.route, "address": address, "stream": asked.stream, "tools": bool(asked.tools)}
        self._gateway = gateway
        self._asked = asked
        operation: Operation = "text_completion" if asked.messages is None else "chat"
        self._span = gateway.telemetry.spans.begin(operation, headers)
        self._standing = Standing(gateway, principal, "complete", response, limit, context)
        self._rules = self._standing.rules
        self._principal = principal
        self._first_token_ms = 0
        self._stream: AsyncGenerator[Emission] | None = None
        self._first: Emission | None = None
        self._asked_for: Generation | None = None
        self._said: list[dict[str, Any]] = []  # by the caller, as guards left it
        self._messages: list[dict[str, Any]] | None = None  # that, with what was retrieved
        self._tools: Sequence[Mapping[str, Any]] = ()
        self._passage_texts: Sequence[str] = ()
        self._prompt_ids: tuple[int, ...] = ()
        self._error = ""
        self._ended = False
        self.response = response
        self.choices: tuple[Outgoing, ...] = ()
        self.usage = Usage()
        self.passages: tuple[Passage, ...] = ()
        self.adapter: str | None = None
        self.created = int(time.time())

    @property
    def finish(self) -> Finish | None:
        """Why the first of its choices ended; None where it has not."""
        return self.choices[0].finish if self.choices else None

    @property
    def prompt_text(self) -> str:
        """The text that the answer goes on from, as guards let it in."""
        return "" if self._messages is None else str(self._messages[0]["content"])

    @property
    def served(self) -> str:
        """The name under which what answers is served."""
        return self.model.name if self.adapter is None else f"{self.model.name}{SEPARATOR}{self.adapter}"

    @property
    def rules(self) -> Rules:
        """Those by which it is given."""
        return self._rules

    def cited(self, choice: int = 0) -> Cited | None:
        """What the marks in one of its choices stand for; None where nothing was retrieved."""
        return citations(self.choices[choice].text, self.passages) if self.passages else None

    async def open(self) -> None:
        """Everything up to the model's first token.

        Raises:
            Problem: the request is not answered; that is on the record too.
        """
        try:
            await self._open()
        except BaseException as error:
            self._span.failed(error)
            await self._end(*self._standing.ended_by(error))
            raise

    async def pieces(self) -> AsyncGenerator[Piece]:
        """What is said, piece by piece, as guards let it out.

        Raises:
            Problem: the engine broke, or the record cannot be written.
        """
        said = [self._pieces_of(choice) for choice in self.choices]
        try:
            async with aclosing(said[0] if len(said) == 1 else together(said)) as pieces:
                async for piece in pieces:
                    yield piece
        except EngineGone as error:
            self._error = error.what
            problem = Problem(503, error.what, code="engine_unavailable", retry_after=5)
            raise self._span.failed(problem) from None
        except UserError as error:
            raise self._span.failed(Problem(400, str(error), code="bad_request")) from None

    async def close(self, error: BaseException | None = None) -> None:
        """The end of it, also where it was left in the middle: the slot is freed, tokens are settled, the outcome is
        put on the record. Only the first call does something.

        Args:
            error: by which it ended.
        """
        if error is not None and not self._ended:
            self._span.failed(error)
        status, why = self._standing.ended_by(error)
        await self._end(status, self._error or why)

    async def _open(self) -> None:
        self._standing.require_open()
        self._find_model(self._asked.model)
        self._span.found(self._asked.model)
        self._span.asks(self._asked)
        self._decide()
        self._require_few()
        await self._require_followed()
        await self._examine()
        await self._retrieve()
        asked_for = await self._generation()
        tokens = len(asked_for.prompt) + asked_for.max_new_tokens * self._asked.choices
        self._standing.decide_on_tokens(tokens, no_model(self._asked.model))
        await self._standing.admit(tokens, self._asked.choices)
        await self._require_preparable(asked_for)
        late = any("output" in guard.on for guard in self._rules.config.guards.root)
        held, shown = self._principal.labels, self._passage_texts
        self.choices = tuple(
            Outgoing(index, self._asked, self._rules.guards, held, shown, late=late)
            for index in range(self._asked.choices)
        )
        await self._begin(asked_for)
        self._first_token_ms = self._standing.milliseconds

    async def _begin(self, asked_for: Generation) -> None:
        """Wait for the disk and the engine together; nothing leaves before both have answered.

        Further answers begin after the first has: then the engine has its prompt in the cache.
        """
        self._asked_for = asked_for
        stack, at_work = self._standing.stack, self._gateway.telemetry.at_work.labels(self.model.name)
        at_work.inc()
        stack.callback(at_work.dec)
        content = Content(messages=tuple(self._messages or ()), tools=tuple(self._tools))
        intending = asyncio.ensure_future(self._standing.intend(self._record("intent"), content))
        try:
            try:
                self._stream = await stack.enter_async_context(aclosing(self.model.host.generate(asked_for)))
                self._first = await anext(self._stream)
            finally:
                await intending
        except EngineGone as error:
            raise Problem(503, error.what, code="engine_unavailable", retry_after=5, reason=error.what) from None
        except UserError as error:
            raise Problem(400, str(error), code="bad_request") from None

    def _find_model(self, name: str) -> None:
        self.model, self.adapter = self._gateway.models.find(name)
        self.model.users += 1
        model = self.model

        def leave() -> None:
            model.users -= 1

        self._standing.stack.callback(leave)

    def _decide(self) -> None:
        self._standing.decide(self._resource(), no_model(self._asked.model))

    def _require_few(self) -> None:
        asked, most = self._asked.choices, self._rules.config.limits.choices
        if asked > most:
            few = "one answer" if most == 1 else f"{most} answers"
            message = f"n is {asked}, and a request may ask for {few} here: send several requests"
            raise Problem(400, message, code="too_many_choices", param="n")

    def _resource(self) -> Resource:
        """What the policy decides about: the release, or the adapter beside it."""
        model = self.model
        return model_resource(model.settings, model.labels_of(self.adapter), self.adapter, model.digest)

    async def _require_followed(self) -> None:
        """See that guards can hold the answer to the schemas that come with the request."""
        asked = self._asked
        if asked.schema is None and not asked.tools:
            return
        try:
            await asyncio.to_thread(self._rules.guards.require_followed, context_of(asked, self._principal.labels))
        except UserError as error:
            form = "text" if asked.route == "/v1/responses" else "response_format"
            param = "tools" if error.where else form
            raise Problem(400, str(error), code="invalid_schema", param=param) from None

    async def _require_preparable(self, asked_for: Generation) -> None:
        """See that the form of the answer holds up nobody else's. Behind the quotas, since it takes its time."""
        if asked_for.constraint is None or self.model.settings.engine == "openai":
            return
        try:
            await self._gateway.grammar_trials.require_preparable(asked_for.constraint)
        except UserError as error:
            raise Problem(400, str(error), code="bad_request") from None

    async def _examine(self) -> None:
        """Let the guards look at what is asked; go where they send it."""
        messages = await worked(is_long(self._asked.prompt), conversation, self._asked, self.model)
        aside, context = is_long(messages, self._asked.tools), Context(labels=self._principal.labels)
        examined = await worked(aside, self._rules.guards.examine, messages, self._asked.tools, (), context)
        self._standing.verdicts += examined.verdicts
        self._said = examined.messages
        if examined.action in ("refuse", "ask"):
            code = "needs_person" if examined.action == "ask" else "content_filter"
            raise Problem(400, examined.message, code=code, reason=f"a guard: {examined.action}")
        if examined.action == "route":
            # Another release answers, if the caller may use it.
            self._find_model(examined.route)
            self._decide()
        self._messages = examined.messages
        self._tools = examined.tools

    async def _retrieve(self) -> None:
        settings, retriever = self._rules.config.retrieval, self._rules.retriever
        if settings is None or retriever is None or self._asked.messages is None or not self.model.settings.retrieval:
            return
        assert self._messages is not None
        question = question_of(self._messages)
        if not question.strip():
            return
        context = self._standing.context
        with self._span.retrieval(settings.index, settings.passages):
            found = await find_passages(question, settings, retriever, self._rules, self._principal, context)
        self._standing.verdicts += found.verdicts
        said = self._messages

        async def show(most: int) -> tuple[int, bool]:
            grounded = with_passages(said, found.passages, settings, found.texts, most)
            self._messages, self.passages = grounded.messages, grounded.passages
            self._passage_texts = found.texts[: len(self.passages)]
            await self._render()
            return len(self.passages), self._has_room()

        await show_as_many_as_fit(len(found.passages), show)

    async def _render(self) -> None:
        assert self._messages is not None
        aside = is_long(self._messages, self._tools)
        self._prompt_ids = await worked(aside, prompt_ids, self._asked, self.model, self._messages, self._tools)
        self.usage.prompt = len(self._prompt_ids)

    def _has_room(self) -> bool:
        """Whether an answer has room behind the prompt: all that it may have, or a fair share of the window."""
        wanted = self._asked.max_tokens or self.model.settings.answer_tokens
        wanted = min(wanted, self._rules.config.limits.answer_tokens, self.model.window // ANSWERS_SHARE)
        return self.model.window - len(self._prompt_ids) >= wanted

    async def _generation(self) -> Generation:
        """The request in tokens."""
        if not self._prompt_ids:
            await self._render()
        return generation(
            self._asked,
            self.model,
            self._prompt_ids,
            self._rules.config.limits.answer_tokens,
            id=self.response,
            adapter=self.adapter,
            scope=f"{self._principal.tenant}/{self._principal.id}",
            scored=self._gateway.sample.enabled,
        )

    async def _pieces_of(self, choice: Outgoing) -> AsyncGenerator[Piece]:
        """What is said in one of the answers."""
        async with aclosing(self._begun() if choice.index == 0 else self._other(choice.index)) as emissions:
            async for emission in emissions:
                if not self._gateway.audit.healthy:
                    raise self._span.failed(unrecorded())
                self.usage.completion += len(emission.tokens)
                if choice.index == 0:  # the others' prompt is the same
                    self.usage.cached += emission.cached_tokens
                piece = await choice.piece(emission)
                if piece.text or piece.calls or piece.tokens or piece.refusal is not None:
                    yield piece
                if piece.refusal is not None:
                    return

    async def _begun(self) -> AsyncGenerator[Emission]:
        """What the engine writes of the first answer."""
        assert self._stream is not None
        assert self._first is not None
        async with aclosing(self._stream) as rest:
            yield self._first
            if self._first.finished is None:
                async for emission in rest:
                    yield emission

    def _other(self, index: int) -> AsyncGenerator[Emission]:
        """What it writes of another one."""
        assert self._asked_for is not None
        sampling = sampling_of_choice(self._asked.sampling, index)
        more = {"id": f"{self.response}-{index}", "sampling": sampling}
        return self.model.host.generate(self._asked_for.model_copy(update=more))

    def _record(self, phase: Literal["intent", "outcome"], **outcome: Any) -> AuditRecord:
        model, resource = getattr(self, "model", None), self._standing.resource
        labels = {label for passage in self.passages for label in passage.labels}
        facts: dict[str, Any] = {}
        if model is not None:
            facts = {"release": model.settings.release, "channel": model.settings.channel, "model": model.digest}
            facts["adapter"] = "" if self.adapter is None else model.adapters[self.adapter].digest
            facts["served"] = self.served
        return self._standing.record(
            phase,
            self._verdicts(),
            **facts,
            documents=tuple(dict.fromkeys(passage.document for passage in self.passages)),
            answer_labels=tuple(sorted(labels | (frozenset() if resource is None else resource.labels))),
            choices=self._asked.choices,
            prompt_tokens=self.usage.prompt,
            consent=self._asked.consent,
            **outcome,
        )

    def _verdicts(self, choices: Sequence[Outgoing] | None = None) -> list[Verdict]:
        """Of the guards on the request, and on its answers or on some of them."""
        looked_at = self.choices if choices is None else choices
        return [*self._standing.verdicts, *(verdict for choice in looked_at for verdict in choice.verdicts)]

    async def _end(self, status: int, error: str) -> None:
        if self._ended:
            return
        self._ended = True
        # What is left to do may not be cut short by whoever cancels this.
        await asyncio.shield(asyncio.ensure_future(self._finish(status, error)))

    async def _finish(self, status: int, error: str) -> None:
        await self._standing.leave(self.usage.prompt + self.usage.completion)
        record = self._record(
            "outcome",
            completion_tokens=self.usage.completion,
            cached_tokens=self.usage.cached,
            latency_ms=self._standing.milliseconds,
            first_token_ms=self._first_token_ms,
            status=status,
            bytes_scanned=sum(choice.bytes_scanned for choice in self.choices),
            bytes_emitted=sum(choice.bytes_emitted for choice in self.choices),
            error=error,
        )
        # Also of what was never intended the decision is on the record, as `policy replay` reads it.
        content = self._answered() if self._standing.intended else None
        self._gateway.audit.outcome_later(record, content, intended=self._standing.intended)
        self._count(status)
        self._end_span(status)

    def _answered(self) -> Content:
        """What went out, as it is kept."""
        first, *others = [choice.message() for choice in self.choices]
        return Content(answer=first, others=tuple(others))

    def _end_span(self, status: int) -> None:
        answered = bool(self.choices)
        finishes = [choice.finish for choice in self.choices if choice.finish is not None]
        adapted = "" if self.adapter is None else f"{SEPARATOR}{self.adapter}"
        self._span.note(
            response__id=self.response,
            response__model=f"{self.model.name}{adapted}" if answered else None,
            response__finish_reasons=finishes or None,
            response__time_to_first_chunk=self._first_token_ms / 1000 if self._first_token_ms else None,
            usage__input_tokens=self.usage.prompt if answered else None,
            usage__output_tokens=self.usage.completion if answered else None,
            usage__cache_read__input_tokens=self.usage.cached or None,
        )
        self._span.end(status)

    def _count(self, status: int) -> None:
        model = getattr(self, "model", None)
        name = "" if model is None else model.name
        tokens = {"prompt": self.usage.prompt, "completion": self.usage.completion}
        self._standing.count(self._asked.route, name, status, tokens, self._verdicts())
        if self._first_token_ms:
            self._gateway.telemetry.first_token.labels(name).observe(self._first_token_ms / 1000)
        if self._standing.decision is not None and name:
            self._gateway.sample.offer(self._traffic(status))

    def _traffic(self, status: int) -> Traffic:
        labels = set(self.model.labels_of(self.adapter)) | {
            label for passage in self.passages for label in passage.labels
        }
        # Of several answers the first stands for all: it is as it would have been alone, so figures compare.
        first = self.choices[:1]
        return Traffic(
            response=self.response,
            at=timestamp(),
            release=f"{self.model.settings.release}@{self.model.settings.channel}",
            model=self.model.digest,
            tenant=self._principal.tenant,
            outcome=self._outcome(status, first),
            messages=self._said,
            admitted=self._messages is not None,
            answer="".join(choice.text for choice in first),
            prompt_ids=self._prompt_ids,
            answer_ids=[id_ for choice in first for id_ in choice.ids],
            prompt_tokens=self.usage.prompt,
            answer_tokens=sum(len(choice.ids) for choice in first),
            log_probabilities=[one for choice in first for one in choice.log_probabilities],
            guard_hits=tuple(f"{verdict.guard}:{verdict.rule}" for verdict in self._verdicts(first)),
            labels=tuple(sorted(labels)),
            tool_calls=sum(len(choice.calls) for choice in first),
            first_token_ms=self._first_token_ms,
            latency_ms=self._standing.milliseconds,
            consent=self._asked.consent,
        )

    def _outcome(self, status: int, choices: Sequence[Outgoing]) -> Outcome:
        if self._standing.decision is None or not self._standing.decision.allowed:
            return "denied"
        verdicts = self._verdicts(choices)
        stopped = any(choice.refusal is not None for choice in choices)
        if stopped or any(verdict.action in ("refuse", "ask") for verdict in verdicts):
            return "refused"
        if status != 200:
            return "failed"
        return "redacted" if any(verdict.action == "redact" for verdict in verdicts) else "answered"
