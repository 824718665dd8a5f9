"""The official `openai` client: what an application does with it, it can do here."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Literal

import openai
import pytest
from pydantic import BaseModel, ConfigDict, Field

from tests.serving.gateway.house import House

ASK = [{"role": "user", "content": "What is behind the panel?"}]


class Forecast(BaseModel):
    """A form that ends soon, whatever a model of random numbers writes."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Rome", "Oslo", "Lima"]
    sunny: bool
    days: Annotated[int, Field(ge=1, le=9)]


def tool(name: str) -> dict[str, Any]:
    parameters = Forecast.model_json_schema()
    return {"type": "function", "function": {"name": name, "description": "Says it.", "parameters": parameters}}


TOOLS = [tool("forecast"), tool("record")]


def test_an_answer_has_the_shape_of_openais(house: House) -> None:
    said = house.openai().chat.completions.create(model="acme", messages=ASK, max_tokens=9, seed=5)
    assert (said.object, said.model) == ("chat.completion", "acme")
    assert said.id.startswith("resp_")
    (choice,) = said.choices
    assert (choice.index, choice.message.role, choice.message.refusal) == (0, "assistant", None)
    assert choice.finish_reason == "length"
    assert choice.message.content
    assert said.usage.completion_tokens == 9
    assert said.usage.total_tokens == said.usage.prompt_tokens + 9


def test_a_stream_says_what_the_whole_answer_says(house: House) -> None:
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 40, "seed": 7}
    whole = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    choices = [piece.choices[0] for piece in pieces if piece.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content
    assert len(choices) > 10  # as it is written, not at the end
    assert choices[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in choices][-1] == whole.choices[0].finish_reason
    assert all(choice.finish_reason is None for choice in choices[:-1])
    assert len({piece.id for piece in pieces}) == 1
    assert pieces[-1].usage.total_tokens == whole.usage.total_tokens


def test_the_same_seed_says_the_same_and_another_does_not(house: House) -> None:
    def said(**more: Any) -> str:
        text: str = (
            house.openai()
            .chat.completions.create(model="acme", messages=ASK, max_tokens=24, **more)
            .choices[0]
            .message.content
        )
        return text

    assert said(seed=3) == said(seed=3)
    assert said(seed=-3) == said(seed=-3)
    assert said(seed=3) != said(seed=4)
    assert said() != said()  # no seed is not one seed for all
    assert said(temperature=0, seed=3) == said(temperature=0, seed=4)


def test_an_answer_ends_before_a_stop_string(house: House) -> None:
    client = house.openai()
    asked: dict[str, Any] = {
        "model": "acme",
        "messages": ASK,
        "max_tokens": 60,
        "extra_body": {"guided_regex": "one two three four five six"},
    }
    assert client.chat.completions.create(**asked).choices[0].message.content == "one two three four five six"
    for stop in (
        ["three"],
        "three",
        ["nothing", " three"],
        "three four five six",
    ):  # the last is longer than there may be strings in a list
        for stream in (False, True):
            said = client.chat.completions.create(**asked, stop=stop, stream=stream)
            pieces = [piece.choices[0] for piece in said] if stream else said.choices
            text = "".join((piece.delta if stream else piece.message).content or "" for piece in pieces)
            assert text.rstrip() == "one two"
            assert pieces[-1].finish_reason == "stop"


def test_log_probabilities_are_those_of_the_tokens_that_are_said(house: House) -> None:
    asked: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 20, "seed": 2, "logprobs": True}
    whole = house.openai().chat.completions.create(**asked, top_logprobs=3)
    tokens = whole.choices[0].logprobs.content
    assert len(tokens) == whole.usage.completion_tokens
    # The bytes of tokens together are the text's, also where a letter takes several tokens.
    text = bytes(byte for token in tokens for byte in token.bytes).decode(errors="replace")
    assert text == whole.choices[0].message.content
    for token in tokens:
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 3
        assert sum(math.exp(one.logprob) for one in token.top_logprobs) <= 1.001
        assert token.top_logprobs[0].logprob >= token.logprob
    streamed = house.openai().chat.completions.create(**asked, top_logprobs=3, stream=True)
    again = [token for piece in streamed if piece.choices[0].logprobs for token in piece.choices[0].logprobs.content]
    assert [(token.token, token.logprob) for token in again] == [(token.token, token.logprob) for token in tokens]
    with pytest.raises(openai.BadRequestError, match="top_logprobs"):
        house.openai().chat.completions.create(model="acme", messages=ASK, top_logprobs=3)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "record"}}], ids=["required", "named"]
)
def test_a_tool_that_has_to_be_called_is_called(house: House, choice: Any) -> None:
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 300, "tools": TOOLS, "tool_choice": choice}
    asked |= {"seed": 1, "parallel_tool_calls": False}
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.finish_reason == "tool_calls"
    (call,) = whole.message.tool_calls
    assert call.function.name in ({"record"} if isinstance(choice, dict) else {"record", "forecast"})
    Forecast.model_validate_json(call.function.arguments)

    pieces = [piece.choices[0] for piece in client.chat.completions.create(**asked, stream=True)]
    assert pieces[-1].finish_reason == "tool_calls"
    told = [one for piece in pieces for one in piece.delta.tool_calls or ()]
    assert {one.index for one in told} == {0}
    assert told[0].function.name == call.function.name
    assert "".join(one.function.arguments or "" for one in told) == call.function.arguments


def test_the_conversation_goes_on_with_what_the_tool_gave(house: House) -> None:
    client = house.openai()
    first = client.chat.completions.create(
        model="acme",
        messages=ASK,
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=300,
        seed=1,
    ).choices[0]
    call = first.message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sun."}
    conversation = [*ASK, first.message.model_dump(exclude_none=True), result]
    said = client.chat.completions.create(model="acme", messages=conversation, tools=TOOLS, max_tokens=5, seed=1)
    assert said.choices[0].message.content


def test_a_model_may_call_a_tool_and_need_not(house: House) -> None:
    arguments = {"city": "Rome", "sunny": True, "days": 3}
    written = f"So <tool_call>\n{json.dumps({'name': 'record', 'arguments': arguments})}\n</tool_call>"
    pattern = written.replace("{", r"\{").replace("}", r"\}")
    asked: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 300, "tools": TOOLS}
    asked["extra_body"] = {"guided_regex": pattern}
    client = house.openai()
    for choice in ("auto", openai.omit):
        said = client.chat.completions.create(**asked, tool_choice=choice).choices[0]
        assert said.finish_reason == "tool_calls"
        assert said.message.content == "So "
        assert json.loads(said.message.tool_calls[0].function.arguments) == arguments
        pieces = [one.choices[0] for one in client.chat.completions.create(**asked, tool_choice=choice, stream=True)]
        assert "".join(piece.delta.content or "" for piece in pieces) == "So "  # nothing of the call's own letters
        assert sum(len(piece.delta.tool_calls or ()) for piece in pieces) == 1
    none = client.chat.completions.create(**asked, tool_choice="none").choices[0]
    assert (none.finish_reason, none.message.tool_calls) == ("stop", None)
    assert none.message.content == written
    plain = client.chat.completions.create(model="acme", messages=ASK, tools=TOOLS, max_tokens=4)
    assert plain.choices[0].message.tool_calls is None


def test_an_answer_is_parsed_into_a_pydantic_model(house: House) -> None:
    client = house.openai()
    said = client.chat.completions.parse(
        model="acme", messages=ASK, response_format=Forecast, max_tokens=300, seed=1
    ).choices[0]
    assert said.finish_reason == "stop"
    assert isinstance(said.message.parsed, Forecast)
    with client.chat.completions.stream(
        model="acme", messages=ASK, response_format=Forecast, max_tokens=300, seed=1
    ) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == said.message.parsed


def test_an_answer_is_written_by_a_grammar(house: House) -> None:
    """Which no expression could: as many brackets are closed as were opened."""
    grammar = 'start: "(" sum ")"\nsum: NUMBER "+" NUMBER | start\nNUMBER: /[0-9]/'
    for seed in range(3):
        asked: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 200, "seed": seed}
        said = house.openai().chat.completions.create(**asked, extra_body={"guided_grammar": grammar}).choices[0]
        found = re.fullmatch(r"(\(+)\d\+\d(\)+)", said.message.content)
        assert found is not None, said
        assert (said.finish_reason, len(found[1])) == ("stop", len(found[2]))


def test_a_text_is_gone_on_from(house: House) -> None:
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "prompt": "def f(x):", "max_tokens": 8, "seed": 1}
    whole = client.completions.create(**asked, echo=True)
    assert whole.choices[0].text.startswith("def f(x):")
    assert whole.usage.completion_tokens == 8
    streamed = client.completions.create(**asked, echo=True, stream=True)
    assert "".join(piece.choices[0].text for piece in streamed) == whole.choices[0].text


def test_errors_are_the_classes_that_applications_catch(house: House) -> None:
    stranger = house.gateway.openai("ls-aaaaaaaaaa-" + "a" * 43)
    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.chat.completions.create(model="acme", messages=ASK)
    client = house.openai()
    with pytest.raises(openai.NotFoundError) as nowhere:
        client.chat.completions.create(model="nothing", messages=ASK)
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="acme", messages=ASK, temperature=7)
    with pytest.raises(openai.BadRequestError) as several:
        client.chat.completions.create(model="acme", messages=ASK, n=0)
    with pytest.raises(openai.BadRequestError) as extra:
        client.chat.completions.create(model="acme", messages=ASK, extra_body={"tempratur": 1})
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model="acme", messages=[{"role": "user", "content": "long " * 3000}])
    with pytest.raises(openai.PermissionDeniedError) as forbidden:
        client.with_options(base_url=house.gateway.address).post("/admin/reload", cast_to=object)
    expected = [
        (unknown, 401, "authentication_error", "invalid_api_key", None),
        (nowhere, 404, "not_found_error", "model_not_found", None),
        (bad, 400, "invalid_request_error", "invalid_request", "temperature"),
        (several, 400, "invalid_request_error", "invalid_request", "n"),
        (extra, 400, "invalid_request_error", "invalid_request", "tempratur"),
        (long, 400, "invalid_request_error", "context_length_exceeded", "messages"),
        (forbidden, 403, "permission_error", "forbidden", None),
    ]
    for caught, status, kind, code, param in expected:
        error = caught.value
        assert (error.status_code, error.type, error.code, error.param) == (status, kind, code, param)
        assert set(error.body) == {"message", "type", "param", "code"}
        assert error.request_id.startswith("resp_")


def test_who_asks_too_much_is_told_when_to_come_again(house: House) -> None:
    client = house.openai("user:hurry")
    client.chat.completions.create(model="acme", messages=ASK, max_tokens=1)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="acme", messages=ASK, max_tokens=1)
    error: Any = caught.value
    assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(error.response.headers["retry-after"]) <= 60


def test_models_are_listed_with_their_adapters(house: House) -> None:
    ids = {model.id for model in house.openai("user:of-physicians").models.list()}
    assert ids >= {"acme", "acme:open", "acme:clinical", "ward", "ward:open"}
    assert house.openai().models.retrieve("acme:open").id == "acme:open"


def test_an_adapter_answers_in_its_own_way(house: House) -> None:
    client = house.openai()
    said = [
        client.chat.completions.create(model=model, messages=ASK, max_tokens=24, temperature=0)
        for model in ("acme", "acme:open")
    ]
    assert said[1].model == "acme:open"
    assert said[0].choices[0].message.content != said[1].choices[0].message.content
