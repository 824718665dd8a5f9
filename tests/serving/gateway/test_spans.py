"""Spans say what became of each request, and hold no word of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from loresmith.serving.gateway.answer import Answer
from loresmith.serving.gateway.asked import Asked
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.gateway.time_limit import TimeLimit
from loresmith.serving.identity.principal import Principal
from tests.serving.gateway.gateways import write_config
from tests.serving.gateway.guarded_house import saying
from tests.serving.gateway.house import wait_until
from tests.serving.gateway.idle_gateway import in_workspace, until
from tests.serving.gateway.observed_house import ABOUT_IT, FORBIDDEN, PASSAGE, PATH, Observed, with_exporter
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_faults import LONG, Stream
from tests.serving.gateway.test_reload import engines

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CALLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=statecanary", "baggage": "who=baggagecanary"}
RULES = {"temperature": 0.5, "top_p": 0.9, "seed": -5, "max_tokens": 40}


def named(span: dict[str, Any]) -> dict[str, Any]:
    """Its attributes, without the time that it took to the first token."""
    attributes: dict[str, Any] = dict(span["attributes"])
    assert attributes.pop("gen_ai.response.time_to_first_chunk", 0.1) > 0
    return attributes


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_has_a_span_by_the_conventions(observed: Observed, stream: bool) -> None:
    said = observed.ask(headers=CALLED, **{**saying("Good morning."), **RULES}, stream=stream)
    assert said.status_code == 200, said.text
    response = said.headers["x-request-id"]
    span = observed.span(response)
    *_, outcome = records_of(observed.workspace, response)
    expected: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "loresmith",
        "gen_ai.request.model": "acme",
        "gen_ai.request.max_tokens": 40,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.seed": -5,
        "gen_ai.response.model": "acme",
        "gen_ai.response.id": response,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": outcome.prompt_tokens,
        "gen_ai.usage.output_tokens": outcome.completion_tokens,
    }
    if stream:
        expected["gen_ai.request.stream"] = True
    found = named(span)
    found.pop("gen_ai.usage.cache_read.input_tokens", None)
    assert found == expected
    assert outcome.completion_tokens > 5
    assert (span["name"], span["kind"]) == ("chat acme", "SpanKind.SERVER")
    assert (span["context"]["trace_id"], span["parent_id"]) == (f"0x{TRACE}", f"0x{PARENT}")
    assert span["status"] == {"status_code": "UNSET"}
    assert (span["events"], span["links"]) == ([], [])
    assert span["resource"]["attributes"]["service.name"] == "loresmith"


def test_what_the_caller_does_not_give_is_not_told(observed: Observed) -> None:
    endless = {"logit_bias": {"0": -100, "2": -100}}  # without a seed, any token may be the first
    span = observed.span(observed.ask(max_tokens=2, **endless).headers["x-request-id"])
    assert {name for name in span["attributes"] if name.startswith("gen_ai.request.")} == {
        "gen_ai.request.model",
        "gen_ai.request.max_tokens",
    }
    assert span["parent_id"] is None
    assert span["attributes"]["gen_ai.response.finish_reasons"] == ["length"]


def test_every_way_to_a_model_has_a_span(observed: Observed) -> None:
    ways = {
        "text_completion": observed.ask("/v1/completions", prompt="Hi", max_tokens=2),
        "chat": observed.ask("/v1/responses", input="Hi", max_output_tokens=2),
        "embeddings": observed.ask("/v1/embeddings", model="retrieval", input=["Hi", "there"]),
    }
    for operation, said in ways.items():
        assert said.status_code == 200, said.text
        span = observed.span(said.headers["x-request-id"])
        model = said.json()["model"]
        assert (span["name"], span["kind"]) == (f"{operation} {model}", "SpanKind.SERVER")
        found = named(span)
        assert found["gen_ai.operation.name"] == operation
        assert found["gen_ai.request.model"] == found["gen_ai.response.model"] == model
        used = said.json()["usage"]
        assert found["gen_ai.usage.input_tokens"] == used.get("prompt_tokens", used.get("input_tokens")) > 0
    assert found["gen_ai.embeddings.dimension.count"] == 384


def test_what_is_looked_up_is_a_span_in_the_requests(observed: Observed) -> None:
    response = observed.ask(text=ABOUT_IT, max_tokens=2, headers=CALLED).headers["x-request-id"]
    span = observed.span(response)
    (child,) = (one for one in observed.spans() if one["parent_id"] == span["context"]["span_id"])
    assert child["name"] == f"retrieval {observed.index}"
    assert child["kind"] == "SpanKind.INTERNAL"
    assert child["context"]["trace_id"] == f"0x{TRACE}"
    assert child["attributes"] == {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.provider.name": "loresmith",
        "gen_ai.data_source.id": observed.index,
        "gen_ai.request.top_k": 2,
    }
    assert span["start_time"] <= child["start_time"] <= child["end_time"] <= span["end_time"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_refused_has_a_span_that_says_so(observed: Observed, stream: bool) -> None:
    cases = {
        "content_filter": {"text": FORBIDDEN},
        "model_not_found": {"model": "unheard-of-canary"},
        "bad_request": {"guided_regex": "(((", "max_tokens": 4},
        "context_length_exceeded": {"text": "word " * 9000},
    }
    for error, body in cases.items():
        said = observed.ask(**body, stream=stream)
        assert said.status_code in (400, 404)
        assert said.json()["error"]["code"] == error
        span = observed.span(said.headers["x-request-id"])
        assert span["attributes"]["error.type"] == error
        assert "gen_ai.response.finish_reasons" not in span["attributes"]
        assert span["status"] == {"status_code": "UNSET"}  # the caller's fault, as of HTTP
        assert span["name"] == ("chat" if error == "model_not_found" else "chat acme")
        assert "unheard-of" not in json.dumps(span)
    said = observed.ask(**saying(f"It is a {FORBIDDEN}."), stream=stream)
    assert said.status_code == 200
    attributes = observed.span(said.headers["x-request-id"])["attributes"]
    assert attributes["gen_ai.response.finish_reasons"] == ["content_filter"]
    assert "error.type" not in attributes


def test_vectors_that_are_refused_have_a_span_that_says_so(observed: Observed) -> None:
    for error, body in {
        "content_filter": {"input": FORBIDDEN},
        "model_not_found": {"model": "x", "input": "y"},
    }.items():
        said = observed.ask("/v1/embeddings", **{"model": "retrieval", **body})
        span = observed.span(said.headers["x-request-id"])
        assert span["attributes"]["error.type"] == error
        assert span["name"] == ("embeddings retrieval" if error == "content_filter" else "embeddings")


def test_the_span_of_vectors_that_take_too_long_says_so(observed: Observed) -> None:
    with limited(observed, request_seconds=1):
        said = observed.ask("/v1/embeddings", model="retrieval", input=["word " * 200] * 500)
    assert said.status_code == 408
    span = observed.span(said.headers["x-request-id"])
    assert span["attributes"]["error.type"] == "timeout"
    (outcome,) = (one for one in records_of(observed.workspace, said.headers["x-request-id"]) if one.status)
    assert outcome.status == 408


@contextmanager
def limited(observed: Observed, **limits: float) -> Iterator[None]:
    """With other limits, until the end."""
    file = observed.workspace.parent / "serve.yaml"
    before = file.read_text()
    with observed.gateway.client(observed.ada) as client:
        file.write_text(yaml.safe_dump({**yaml.safe_load(before), "limits": limits}))
        client.post("/admin/reload").raise_for_status()
        try:
            yield
        finally:
            file.write_text(before)
            wait_until(lambda: client.post("/admin/reload").status_code == 200)  # it has the same limit


def test_the_span_of_an_answer_that_breaks_names_what_broke_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not that of one whose reader left, nor of one that has ended."""
    folder = with_exporter(tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    file = folder / "spans"
    for name, value in {"TRACES_EXPORTER": "to-a-file", "BSP_SCHEDULE_DELAY": "50"}.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    monkeypatch.setenv("SPANS_FILE", str(file))

    async def story(gateway: Gateway) -> None:
        asked = Asked(route="/v1/chat/completions", model="acme", messages=())
        ada = Principal("user:ada", (), frozenset(), "default", "k-1")
        for number, error in enumerate((RuntimeError("canary"), GeneratorExit(), None)):
            async with TimeLimit(60) as limit:
                answer = Answer(gateway, asked, ada, f"resp_{number}", "", limit, {})
                await answer.close(error)
                await answer.close(RuntimeError("canary"))
        await until(lambda: file.exists() and file.read_text().count("\n") == 3)

    in_workspace(tmp_path / "workspace", write_config(tmp_path, {"models": {"acme": {"release": "acme"}}}), story)
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [span["attributes"].get("error.type") for span in found] == ["RuntimeError", "cancelled", None]
    assert [span["status"]["status_code"] for span in found] == ["ERROR", "UNSET", "UNSET"]
    assert "canary" not in file.read_text()


def test_the_span_of_who_goes_away_ends(observed: Observed) -> None:
    for seconds in (0.5, 1, 2, 4, 8, 0.5, 0.5):  # guards hold the answer back; one machine is slow, another is fast
        with observed.gateway.client(observed.ada) as client:
            with client.stream("POST", "/v1/chat/completions", json={**LONG, "max_tokens": 3900}) as said:
                next(said.iter_lines())
                time.sleep(seconds)
            response = said.headers["x-request-id"]
        *_, outcome = records_of(observed.workspace, response)
        if outcome.status == 499 and outcome.completion_tokens > 0:
            break
    span = observed.span(response)
    assert span["attributes"]["error.type"] == "cancelled"
    assert span["status"] == {"status_code": "UNSET"}
    assert "gen_ai.response.finish_reasons" not in span["attributes"]
    assert span["attributes"]["gen_ai.usage.output_tokens"] == outcome.completion_tokens > 0


def test_no_word_of_a_request_or_an_answer_is_in_any_span(observed: Observed) -> None:
    tool = {"type": "function", "function": {"name": "namecanary", "parameters": {"description": "toolcanary"}}}
    call = json.dumps({"name": "namecanary", "arguments": {"to": "argumentcanary"}})
    schema = {"type": "object", "properties": {"schemacanary": {"type": "integer"}}, "required": ["schemacanary"]}
    cases: list[dict[str, Any]] = [
        {"text": f"{ABOUT_IT} promptcanary", **saying(f"{PASSAGE} [1]")},
        {"text": "promptcanary", **saying("An answercanary."), "stop": "stopcanary", "user": "usercanary"},
        {"tools": [tool], **saying(f"<tool_call>\n{call}\n</tool_call>")},
        {"metadata": {"x": "metacanary"}, **saying(f"An answercanary, and then a {FORBIDDEN}.")},
        {"model": "modelcanary"},
        {"text": f"promptcanary {FORBIDDEN}"},
        {"guided_regex": "[regexcanary", "max_tokens": 4},
        {
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
            "max_tokens": 3,
        },
        {"path": "/v1/completions", "prompt": "promptcanary", **saying("An answercanary.")},
        {"path": "/v1/responses", "input": "promptcanary", "max_output_tokens": 3},
        {"path": "/v1/embeddings", "model": "retrieval", "input": "promptcanary"},
        {"path": "/v1/embeddings", "model": "modelcanary", "input": "promptcanary"},
    ]
    responses, said = [], ""
    for case in cases:
        for stream in (False, True):
            streamed = {} if case.get("path") == "/v1/embeddings" else {"stream": stream}
            answered = observed.ask(headers=CALLED, **case, **streamed)
            responses.append(answered.headers["x-request-id"])
            said += answered.text
    for response in responses:
        observed.span(response)
    assert all(word in said for word in ("answercanary", "argumentcanary", "wardcanary", PATH))  # it has been there
    sent = observed.file.read_text()
    assert len(sent.splitlines()) > len(cases)
    assert "canary" not in sent


@pytest.mark.slow
def test_the_span_of_an_engine_that_dies_ends_with_an_error(observed: Observed) -> None:
    stream = Stream(observed.gateway, observed.ada)
    wait_until(lambda: stream.events)
    time.sleep(0.5)  # guards hold the answer back; by now there is some
    (engine,) = engines(observed.gateway)
    os.kill(engine, signal.SIGKILL)
    stream.thread.join(20)
    span = observed.span(stream.response)
    assert span["attributes"]["error.type"] == "engine_unavailable"
    assert span["status"] == {"status_code": "ERROR"}
    assert span["attributes"]["gen_ai.usage.output_tokens"] > 0
    wait_until(lambda: observed.ask(max_tokens=1).status_code == 200, 60, 0.2)


ASKS = """
import json, sys
from loresmith.serving.gateway.spans import Spans
said = []
spans = Spans(said.append)
with spans.begin("chat", {"traceparent": ""}) as span:
    span.found("acme")
loaded = [name for name in sys.modules if name.startswith("opentelemetry")]
print(json.dumps([said, len(loaded), span is spans.begin("chat", {})]))
"""


def made(folder: Path, code: str = ASKS, **environment: str) -> Any:
    """What is said, how much of OpenTelemetry is loaded, whether spans are none, in a process with this environment."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    path = os.pathsep.join([str(folder), usual.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**usual, "PYTHONPATH": path, "SPANS_FILE": str(folder / "spans"), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_there_are_no_spans_unless_the_environment_asks_for_them(tmp_path: Path) -> None:
    folder = with_exporter(tmp_path)
    nothing: list[Any] = [[], 0, True]
    assert made(folder) == nothing
    assert made(folder, OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318") == nothing
    assert made(folder, OTEL_TRACES_EXPORTER="to-a-file", OTEL_SDK_DISABLED="true") == nothing
    assert not (folder / "spans").exists()
    said, loaded, none = made(folder, OTEL_TRACES_EXPORTER="to-a-file", OTEL_SERVICE_NAME="ward")
    assert (said, none) == (["spans go to to-a-file"], False)
    assert loaded
    sent = [json.loads(line) for line in (folder / "spans").read_text().splitlines()]
    assert sorted(span["name"] for span in sent) == ["chat acme"]
    assert sent[0]["resource"]["attributes"]["service.name"] == "ward"


def test_spans_that_cannot_be_sent_are_said_and_harm_nobody(tmp_path: Path) -> None:
    folder = with_exporter(tmp_path)
    ((said,), _, none) = made(folder, OTEL_TRACES_EXPORTER="unheard-of")
    assert "no exporter 'unheard-of' is installed" in said
    assert "loresmith[otel]" in said
    assert none
    hidden = "import sys; sys.modules['opentelemetry.sdk.trace'] = None\n" + ASKS
    ((said,), _, none) = made(folder, hidden, OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318")
    assert "there are no spans" in said
    assert none


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "9999"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many"),
    ],
)
def test_a_wrong_variable_is_said_and_harms_nobody(tmp_path: Path, variable: str, value: str) -> None:
    wrong = {"OTEL_TRACES_EXPORTER": "to-a-file", variable: value}
    ((said,), _, none) = made(with_exporter(tmp_path), **wrong)
    assert "there are no spans" in said
    assert "(OTEL_...) is wrong" in said
    assert none


def test_spans_go_to_whom_the_process_was_started_for(tmp_path: Path) -> None:
    code = "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider\n"
    said, _, none = made(tmp_path, f"{code}trace.set_tracer_provider(TracerProvider())\n{ASKS}")
    assert (said, none) == ([], False)


def test_no_spans_cost_nothing() -> None:
    from loresmith.serving.gateway.spans import Spans

    spans = Spans()
    begun = time.thread_time()
    for _ in range(1000):
        with spans.begin("chat", CALLED) as span, span.retrieval("index", 4):
            span.found("acme")
            span.note(response__id="x")
    assert (time.thread_time() - begun) / 1000 < 0.0002  # some microseconds
