"""OpenTelemetry spans: one for each request to a model, and one in it for what was looked up. None holds a word of
what was asked, answered or found.

They follow the semantic conventions for generative AI (`gen_ai.*`). Whoever runs the gateway asks for them by the
variables of OpenTelemetry (OTEL_TRACES_EXPORTER, or an OTEL_EXPORTER_OTLP_ENDPOINT), or starts it under
`opentelemetry-instrument`; otherwise there are none, nothing of OpenTelemetry's is loaded, and nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points, version
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from loresmith.serving.gateway.asked import Asked
from loresmith.serving.gateway.problem import Problem

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

Operation = Literal["chat", "text_completion", "embeddings"]

PROVIDER = "loresmith"
GONE = 499
"""The status of a request whose caller went away, as on the record."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_RULES = ("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty")
_ENDED = {408: "timeout", GONE: "cancelled"}

_Error = TypeVar("_Error", bound=BaseException)


class Spans:
    """Makes the spans of one gateway.

    Args:
        say: told why there are none where they are asked for.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._tracer = _tracer(say)

    def begin(self, operation: Operation, headers: Mapping[str, str]) -> RequestSpan:
        """The span of a request, which ends by `RequestSpan.end`.

        Args:
            headers: of the request. A `traceparent` is gone on from; a `tracestate` is not, as it may hold anything.
        """
        if self._tracer is None:
            return UNSEEN
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({"traceparent": headers.get("traceparent") or ""})
        attributes = {"gen_ai.operation.name": operation, "gen_ai.provider.name": PROVIDER}
        span = self._tracer.start_span(operation, parent, SpanKind.SERVER, attributes)
        return RequestSpan(operation, self._tracer, span)


class RequestSpan:
    """The span of one request. Without a tracer it does nothing."""

    def __init__(self, operation: str = "", tracer: Tracer | None = None, span: Span | None = None) -> None:
        self._operation = operation
        self._tracer = tracer
        self._span = span
        self._error = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self.end(GONE if isinstance(error, asyncio.CancelledError) else 200)

    def note(self, **attributes: Any) -> None:
        """Attributes by their names behind `gen_ai.`, with `__` for a point; those that are None are left out."""
        if self._span is not None:
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(f"gen_ai.{name.replace('__', '.')}", value)

    def found(self, model: str) -> None:
        """What is asked for is served here. Before, its name is only something that a caller has written."""
        if self._span is not None:
            self._span.update_name(f"{self._operation} {model}")
            self.note(request__model=model)

    def asks(self, asked: Asked) -> None:
        """The numbers of a request, as far as the caller gave them."""
        if self._span is None:
            return
        given = asked.sampling.model_fields_set
        self.note(
            request__max_tokens=asked.max_tokens,
            request__seed=_signed(asked.sampling.seed) if asked.seeded else None,
            request__choice__count=asked.choices if asked.choices != 1 else None,
            request__stream=True if asked.stream else None,
            output__type="json" if asked.schema is not None else None,
            **{f"request__{name}": getattr(asked.sampling, name) for name in _RULES if name in given},
        )

    @contextmanager
    def retrieval(self, index: str, passages: int) -> Iterator[None]:
        """A span in this one, while passages are looked up.

        Args:
            index: where, as the configuration calls it.
            passages: how many are looked for.
        """
        if self._span is None or self._tracer is None:
            yield
            return
        from opentelemetry.trace import set_span_in_context

        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.data_source.id": index,
            "gen_ai.request.top_k": passages,
        }
        child = self._tracer.start_span(f"retrieval {index}", set_span_in_context(self._span), attributes=attributes)
        with RequestSpan("retrieval", self._tracer, child):
            yield

    def failed(self, error: _Error) -> _Error:
        """Say by what sort of error the request ends; never its message. Returns the error.

        Of a request that was cancelled, or left, the status says why: see `end`.
        """
        left = isinstance(error, asyncio.CancelledError | GeneratorExit)
        if self._span is not None and not self._error and not left:
            from opentelemetry.trace import StatusCode

            ours = True
            self._error = type(error).__name__
            if isinstance(error, Problem):
                ours = error.status >= 500
                self._error = error.code or str(error.status)
            self._span.set_attribute("error.type", self._error)
            if ours:  # as of HTTP: what the caller did is no error of a server
                self._span.set_status(StatusCode.ERROR)
        return error

    def end(self, status: int = 200) -> None:
        """The end of the request, with its status as on the record."""
        if self._span is None:
            return
        if status != 200 and not self._error:
            self.failed(Problem(status, "", code=_ENDED.get(status)))
        self._span.end()


UNSEEN = RequestSpan()
"""The span of what has none."""


def _signed(seed: int) -> int:
    """A seed as the caller wrote it: attributes have 64 bits with a sign."""
    return seed - 2**64 if seed >= 2**63 else seed


def _tracer(say: Callable[[str], None]) -> Tracer | None:
    """What makes spans; None where nobody wants any."""
    provider = _asked_for(say) or _given()
    return None if provider is None else provider.get_tracer("loresmith.gateway", version("loresmith"))


def _given() -> TracerProvider | None:
    """That of whoever started this process, such as `opentelemetry-instrument`."""
    trace = sys.modules.get("opentelemetry.trace")  # whoever has set one has loaded it
    if trace is None:
        return None
    provider: TracerProvider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider) else provider


def _asked_for(say: Callable[[str], None]) -> TracerProvider | None:
    """One of our own for the environment's exporters. It is nobody else's: what other libraries trace is not sent."""
    names = _exporters()
    if not names or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        made = [_exporter(name) for name in names]
        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        provider = TracerProvider(resource=Resource.create({} if named else {"service.name": PROVIDER}))
        for exporter in made:
            provider.add_span_processor(BatchSpanProcessor(exporter))
    except (ImportError, LookupError) as error:
        say(f"there are no spans, though the environment asks for them: {error} (pip install 'loresmith[otel]')")
        return None
    except ValueError as error:
        say(f"there are no spans: a variable of OpenTelemetry's (OTEL_...) is wrong: {error}")
        return None
    say(f"spans go to {', '.join(names)}")
    return provider


def _exporters() -> list[str]:
    """The names of exporters that the environment asks for. It asks for none by saying nothing."""
    default = "otlp" if any(os.environ.get(name) for name in _ENDPOINTS) else "none"
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or default
    protocol = next((value for name in _PROTOCOLS if (value := os.environ.get(name, "").strip())), "http/protobuf")
    names = [name.strip() for name in wanted.split(",")]
    return [_OTLP.get(protocol, protocol) if name == "otlp" else name for name in names if name not in ("", "none")]


def _exporter(name: str) -> Any:
    found = list(entry_points(group="opentelemetry_traces_exporter", name=name))
    if not found:
        raise LookupError(f"no exporter {name!r} is installed")
    return found[0].load()()
