"""A long body is read like a short one, in a thread; one that would take very long to read is not read at all."""

from __future__ import annotations

import json

import httpx2 as httpx
import pytest

from loresmith.serving.gateway.body_route import LONG_BODY
from tests.serving.gateway.guarded_house import Guarded
from tests.serving.gateway.house import House, chat
from tests.serving.gateway.records import records_of

LONG = " " * (LONG_BODY + 1)
HUGE = '{"model": "acme", "prompt": [%s1]}'
"""A body of as many values as there are put into it."""


def post(house: House | Guarded, body: str, route: str = "completions") -> httpx.Response:
    with house.client() as client:
        return client.post(f"/v1/{route}", content=body, headers={"content-type": "application/json"})


WRONG = {
    "a field that is not known": json.dumps({**chat(), "tempratur": 1}),
    "a value of another kind": json.dumps({**chat(), "max_tokens": "many"}),
    "something wrong deep inside": json.dumps({**chat(), "messages": [{"role": "nobody", "content": "Hi"}]}),
    "a list": json.dumps([chat()]),
    "a number of many digits": '{"model": "acme", "n": ' + "1" * 5000 + "}",
    "nothing": "",
    "no JSON": '{"model": }',
    "half a letter": json.dumps(chat(text="\ud800")),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_told_as_of_a_short_one(house: House, kind: str) -> None:
    short = post(house, WRONG[kind], "chat/completions")
    long = post(house, WRONG[kind] + LONG, "chat/completions")
    assert short.status_code == long.status_code == 400
    if kind == "nothing":  # then the long one is white space
        assert long.json()["error"]["code"] == short.json()["error"]["code"]
    else:
        assert long.json() == short.json()


def test_a_long_body_is_answered_as_a_short_one(house: House) -> None:
    for route, body in (
        ("chat/completions", chat()),
        ("completions", {"model": "acme", "prompt": "Hi", "max_tokens": 4, "seed": 1}),
        ("responses", {"model": "acme", "input": "Hi", "max_output_tokens": 4, "temperature": 0}),
    ):
        said = [post(house, json.dumps(body) + more, route) for more in ("", LONG)]
        assert [one.status_code for one in said] == [200, 200]
        short, long = (one.json().get("choices") or one.json()["output"][0]["content"] for one in said)
        assert short == long
        assert records_of(house.workspace, said[1].headers["x-request-id"])[-1].status == 200


def test_what_would_take_long_to_read_is_not_read(guarded: Guarded) -> None:
    refused = post(guarded, HUGE % ("1," * 140_000))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_values")
    assert "131072 values" in refused.json()["error"]["message"]
    words = post(guarded, json.dumps({"model": "acme", "prompt": "1, [2], {3} " * 100_000}))  # these are none
    assert words.json()["error"]["code"] == "context_length_exceeded"


def test_of_very_many_mistakes_none_is_named(guarded: Guarded) -> None:
    refused = post(guarded, HUGE % ('"",' * 100_000))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert "places of the body" in refused.json()["error"]["message"]
