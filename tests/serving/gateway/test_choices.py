"""Several answers to one request (`n`): each is what it would be alone, and one record covers all of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest

from loresmith import Workspace
from loresmith.sdk.calls.audit import SEARCH
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.engines.generation import Sampling
from loresmith.serving.gateway.asked import sampling_of_choice
from loresmith.serving.gateway.together import together
from tests.serving.gateway.engine_processes import processor_seconds
from tests.serving.gateway.guarded_house import MAIL, REFUSED, STATED, Guarded
from tests.serving.gateway.house import House, chat, wait_until, work_of
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_chat import ASK, TOOLS

ASKED: dict[str, Any] = {"model": "acme", "messages": ASK, "max_tokens": 24, "seed": 5}


def outcome(place: House | Guarded, response: str) -> AuditRecord:
    return records_of(place.workspace, response)[-1]


def kept(place: House | Guarded, response: str) -> list[str]:
    """The text of each answer, as the record keeps it."""
    with Workspace.open(place.workspace) as opened:
        request = SEARCH.request(response=response, content=True, because="for the tests", phase="outcome")
        (found,) = SEARCH.run(opened, request, lambda _: None).records
    assert found.said is not None
    return [str(said["content"] or "") for said in (found.said["answer"], *found.said.get("others", ()))]


def test_each_answer_is_its_own_and_the_first_is_the_one_alone(house: House) -> None:
    client = house.openai()
    alone = client.chat.completions.create(**ASKED)
    said = client.chat.completions.create(**ASKED, n=3)
    again = client.chat.completions.create(**ASKED, n=2)
    texts = [choice.message.content for choice in said.choices]
    assert [choice.index for choice in said.choices] == [0, 1, 2]
    assert texts[0] == alone.choices[0].message.content
    assert len(set(texts)) == 3
    assert [choice.message.content for choice in again.choices] == texts[:2]
    assert {choice.finish_reason for choice in said.choices} <= {"length", "stop"}
    assert said.usage.prompt_tokens == alone.usage.prompt_tokens
    assert said.usage.prompt_tokens_details.cached_tokens <= said.usage.prompt_tokens
    assert said.usage.completion_tokens > 2 * alone.usage.completion_tokens


def test_a_seed_for_each_answer_follows_from_the_one_that_is_given() -> None:
    seeds = {
        (seed, choice): sampling_of_choice(Sampling(seed=seed), choice).seed for seed in range(9) for choice in range(9)
    }
    assert all(seeds[seed, 0] == seed for seed in range(9))
    assert len(set(seeds.values())) == len(seeds)
    assert seeds[5, 1] == sampling_of_choice(Sampling(seed=5, temperature=0.5), 1).seed


@pytest.mark.parametrize("tokens", [False, True], ids=["words", "log-probabilities"])
def test_a_stream_says_of_each_what_the_whole_answer_says(house: House, tokens: bool) -> None:
    client = house.openai()
    asked = {**ASKED, "n": 3, **({"logprobs": True} if tokens else {})}
    whole = client.chat.completions.create(**asked)
    pieces = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    chunks = [piece.choices[0] for piece in pieces if piece.choices]
    for choice in whole.choices:
        own = [chunk for chunk in chunks if chunk.index == choice.index]
        assert own[0].delta.role == "assistant"
        assert "".join(chunk.delta.content or "" for chunk in own) == choice.message.content
        assert [chunk.finish_reason for chunk in own][-1] == choice.finish_reason
        assert all(chunk.finish_reason is None for chunk in own[:-1])
        told = [one for chunk in own if chunk.logprobs for one in chunk.logprobs.content]
        assert [one.logprob for one in told] == [one.logprob for one in (choice.logprobs.content if tokens else ())]
    assert len({piece.id for piece in pieces}) == 1
    written = [chunk.index for chunk in chunks if chunk.delta.content]
    assert sorted(written) != written  # together, not one after the other
    assert pieces[-1].usage.total_tokens == whole.usage.total_tokens


def test_texts_are_gone_on_from_in_several_ways(house: House) -> None:
    client = house.openai()
    asked: dict[str, Any] = {"model": "acme", "prompt": "def f(x):", "max_tokens": 8, "seed": 1}
    alone = client.completions.create(**asked)
    whole = client.completions.create(**asked, n=2, echo=True)
    assert whole.choices[0].text == "def f(x):" + alone.choices[0].text
    assert whole.choices[1].text.startswith("def f(x):")
    assert whole.choices[1].text != whole.choices[0].text
    streamed = [piece.choices[0] for piece in client.completions.create(**asked, n=2, echo=True, stream=True)]
    for choice in whole.choices:
        own = [piece for piece in streamed if piece.index == choice.index]
        assert "".join(piece.text for piece in own) == choice.text
        assert own[-1].finish_reason == choice.finish_reason


def test_each_answer_may_call_tools(house: House) -> None:
    asked: dict[str, Any] = {**ASKED, "max_tokens": 300, "tools": TOOLS, "tool_choice": "required", "n": 2}
    asked["parallel_tool_calls"] = False
    client = house.openai()
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion()
    for choice, same in zip(whole.choices, streamed.choices, strict=True):
        assert choice.finish_reason == same.finish_reason == "tool_calls"
        (call,), (told,) = choice.message.tool_calls, same.message.tool_calls
        assert (call.function.name, call.function.arguments) == (told.function.name, told.function.arguments)


def test_more_than_the_gateway_lets_a_request_ask_for_is_refused(house: House) -> None:
    for route in ("chat/completions", "completions"):
        body = {**chat(), "n": 5} if route.startswith("chat") else {"model": "acme", "prompt": "Hi", "n": 5}
        with house.client() as client:
            refused = client.post(f"/v1/{route}", json=body)
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("too_many_choices", "n")
        assert "n is 5" in error["message"]
        assert "4 answers" in error["message"]
        record = outcome(house, refused.headers["x-request-id"])
        assert (record.status, record.choices, record.completion_tokens) == (400, 5, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_one_record_covers_all_of_them(house: House, stream: bool) -> None:
    asked = {**ASKED, "n": 3}
    whole = house.openai().chat.completions.create(**asked)
    texts, response = [choice.message.content for choice in whole.choices], whole.id
    if stream:
        *_, last = house.openai().chat.completions.create(**asked, stream=True)
        response = last.id
    record = outcome(house, response)
    assert (record.choices, record.status) == (3, 200)
    assert record.prompt_tokens == whole.usage.prompt_tokens
    assert record.completion_tokens == whole.usage.completion_tokens
    assert record.bytes_scanned == record.bytes_emitted == sum(len(text.encode()) for text in texts)
    assert kept(house, response) == texts


def mixed(guarded: Guarded, pattern: str, odd: str) -> tuple[dict[str, Any], list[Any]]:
    """A request of several answers of which some say something odd and others do not, and these."""
    for seed in range(40):
        asked = {**ASKED, "max_tokens": 300, "seed": seed, "n": 4, "extra_body": {"guided_regex": pattern}}
        choices = guarded.openai().chat.completions.create(**asked).choices
        if len({odd in (choice.message.content or "") + str(choice.message.refusal) for choice in choices}) == 2:
            return asked, choices
    raise AssertionError("they all say the same")


def test_guards_look_at_each_of_them(guarded: Guarded) -> None:
    """What one of them says ends that one; the others are answers as if they had been asked for alone."""
    asked, whole = mixed(guarded, f"One (cat|{REFUSED}) is seen by us all\\.", STATED)
    pieces = list(guarded.openai().chat.completions.create(**asked, stream=True))
    said = []
    for choice in whole:
        own = [piece.choices[0] for piece in pieces if piece.choices and piece.choices[0].index == choice.index]
        said.append("".join(chunk.delta.content or "" for chunk in own))
        assert REFUSED not in said[-1]
        refusals = [chunk.delta.refusal for chunk in own if chunk.delta.refusal]
        if choice.message.refusal:
            assert (choice.finish_reason, own[-1].finish_reason) == ("content_filter", "content_filter")
            assert choice.message.refusal == STATED
            assert refusals == [STATED]
        else:
            assert (choice.finish_reason, own[-1].finish_reason) == ("stop", "stop")
            assert choice.message.content == said[-1] == "One cat is seen by us all."
            assert refusals == []
    record = outcome(guarded, pieces[0].id)
    refused = sum(bool(choice.message.refusal) for choice in whole)
    assert [(one.guard, one.action) for one in record.guards] == [("refusing", "refuse")] * refused
    assert record.bytes_scanned == record.bytes_emitted == sum(len(text.encode()) for text in said)


def test_what_guards_take_out_they_take_out_of_each(guarded: Guarded) -> None:
    _, choices = mixed(guarded, f"One (cat|dog) writes to {re.escape(MAIL)} today\\.", "cat")
    texts = [choice.message.content for choice in choices]
    assert set(texts) == {f"One {pet} writes to [EMAIL] today." for pet in ("cat", "dog")}


def test_who_goes_away_leaves_all_of_them(house: House) -> None:
    """All slots are taken by answers of many seconds; whoever comes after their caller has left need not wait."""
    endless = chat(max_tokens=2000, n=4, logit_bias={"0": -100, "2": -100}, temperature=0, stream=True)
    with house.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=endless) as one:
            read = one.iter_lines()
            indices: set[int] = set()
            with client.stream("POST", "/v1/chat/completions", json=endless) as other:
                next(other.iter_lines())
                while len(indices) < 4:
                    line = next(read)
                    if '"content":"' in line:
                        indices.add(json.loads(line[6:])["choices"][0]["index"])
        responses = [said.headers["x-request-id"] for said in (one, other)]
        spent = processor_seconds(house.gateway)
        assert client.post("/v1/chat/completions", json=chat(max_tokens=1)).status_code == 200
        soon = processor_seconds(house.gateway) - spent
        alone = client.post("/v1/chat/completions", json={**endless, "n": 1, "stream": False})
        assert alone.json()["usage"]["completion_tokens"] > 1500, "it was over too soon to tell"
        assert soon < 0.3 * (processor_seconds(house.gateway) - spent)
    for response in responses:
        record = outcome(house, response)
        assert (record.status, record.choices) == (499, 4)
        assert record.completion_tokens < 4 * 1500
    wait_until(lambda: work_of(house) == 0)


def test_where_one_breaks_the_others_are_closed() -> None:
    closed: list[str] = []

    async def saying(name: str, count: int | None) -> AsyncGenerator[str]:
        try:
            while count is None or count:
                await asyncio.sleep(0)
                count = None if count is None else count - 1
                yield name
            raise ZeroDivisionError
        finally:
            closed.append(name)

    async def run() -> list[str]:
        said = []
        try:
            async for one in together([saying("a", None), saying("b", 3), saying("c", None)]):
                said.append(one)
        except ZeroDivisionError:
            return said
        raise AssertionError("nobody heard that it broke")

    said = asyncio.run(run())
    assert said.count("b") == 3
    assert sorted(closed) == ["a", "b", "c"]


def test_who_is_slow_to_take_is_not_read_ahead_for() -> None:
    made: list[str] = []

    async def saying(name: str) -> AsyncGenerator[str]:
        for _ in range(100):
            made.append(name)
            yield name

    async def run() -> None:
        stream = together([saying("a"), saying("b")])
        for _ in range(3):
            await anext(stream)
            await asyncio.sleep(0.01)
        await stream.aclose()

    asyncio.run(run())
    assert len(made) <= 6


def test_an_application_is_told_by_the_class_that_it_catches(house: House) -> None:
    with pytest.raises(openai.BadRequestError, match="n is 9"):
        house.openai().chat.completions.create(**ASKED, n=9)
