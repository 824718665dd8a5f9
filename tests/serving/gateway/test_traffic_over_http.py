"""What a gateway at work keeps of its traffic: numbers, of every kind that the sample has."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from loresmith import Workspace
from loresmith.serving.traffic_sample.sampler import FOLDER
from tests.serving.gateway.guarded_house import saying
from tests.serving.gateway.house import wait_until
from tests.serving.gateway.observed_house import ABOUT_IT, FORBIDDEN, PASSAGE, Observed
from tests.serving.gateway.records import records_of
from tests.serving.retrieval.indexes import minilm

GERMAN = "Welche Dichtung passt, und wie oft muss sie bei dieser Anlage gewechselt werden?"
ENGLISH = "The seal is changed once a year, and the bearing is changed every other year."


def row_of(observed: Observed, said: Any) -> dict[str, Any]:
    return observed.sampled(said.headers["x-request-id"])


@pytest.mark.parametrize("stream", [False, True])
def test_lengths_languages_tokens_and_vectors_are_those_of_the_request(observed: Observed, stream: bool) -> None:
    said = observed.ask(text=GERMAN, **saying(ENGLISH), stream=stream, metadata={"consent": "true"})
    row = row_of(observed, said)
    *_, outcome = records_of(observed.workspace, said.headers["x-request-id"])
    assert (row["prompt_characters"], row["answer_characters"]) == (len(GERMAN), len(ENGLISH))
    assert (row["prompt_language"], row["answer_language"]) == ("de", "en")
    assert (row["prompt_tokens"], row["answer_tokens"]) == (outcome.prompt_tokens, outcome.completion_tokens)
    assert row["token_source"] == "tokens"
    assert sum(row["prompt_counts"]) == row["prompt_tokens"] > 10
    assert sum(row["answer_counts"]) == row["answer_tokens"] > 10
    assert len(row["prompt_buckets"]) == len(row["prompt_counts"]) > 5
    np.testing.assert_allclose(row["embedding"], minilm().embed([GERMAN])[0], atol=1e-6)
    assert (row["release"], row["model"], row["outcome"]) == ("acme@production", outcome.model, "answered")
    assert (row["tenant"], row["messages"], row["consent"], row["refusal"]) == ("default", 1, True, False)
    assert row["latency_ms"] >= row["first_token_ms"] > 0
    assert row["guard_hits"] == []
    assert row["content"] is None
    assert row["seen"] >= 1


@pytest.mark.parametrize("stream", [False, True])
def test_answers_have_a_perplexity_of_which_callers_are_told_nothing(observed: Observed, stream: bool) -> None:
    asked = {**saying(ENGLISH), "temperature": 0.7, "stream": stream}
    said = observed.ask(**asked)
    assert '"logprob"' not in said.text
    assert "token_logprobs" not in said.text
    perplexity = row_of(observed, said)["perplexity"]
    assert perplexity is not None
    assert math.isfinite(perplexity)
    # Who asks is told them; the answer and its perplexity are the same.
    told = observed.ask(**asked, logprobs=True)
    assert '"logprob"' in told.text
    assert row_of(observed, told)["perplexity"] == pytest.approx(perplexity, rel=1e-3)
    if not stream:
        values = [token["logprob"] for token in told.json()["choices"][0]["logprobs"]["content"]]
        assert perplexity == pytest.approx(math.exp(-sum(values) / len(values)), rel=1e-3)
        assert said.json()["choices"][0]["message"] == told.json()["choices"][0]["message"]
        assert said.json()["choices"][0]["logprobs"] is None


def test_refusals_guard_hits_calls_and_failures_are_counted(observed: Observed) -> None:
    refused = row_of(observed, observed.ask(text=f"A {FORBIDDEN}!"))
    assert (refused["outcome"], refused["refusal"], refused["answer_characters"]) == ("refused", True, 0)
    assert (refused["prompt_characters"], sum(refused["prompt_counts"])) == (len(f"A {FORBIDDEN}!"), 2)
    assert [hit.partition(":")[0] for hit in refused["guard_hits"]] == ["deny"]
    stopped = row_of(observed, observed.ask(**saying(f"It is a {FORBIDDEN}.")))
    assert (stopped["outcome"], stopped["refusal"]) == ("refused", True)
    assert stopped["answer_tokens"] > 0
    sorry = row_of(observed, observed.ask(**saying("I'm sorry, but that is not for me to say.")))
    assert (sorry["outcome"], sorry["refusal"]) == ("answered", True)
    redacted = row_of(observed, observed.ask(text="Write to ada.lovelace@example.com now", max_tokens=2))
    assert (redacted["outcome"], redacted["guard_hits"]) == ("redacted", ["privacy:email"])
    failed = row_of(observed, observed.ask(guided_regex="(((", max_tokens=4))
    assert (failed["outcome"], failed["perplexity"]) == ("failed", None)
    tool = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}
    call = '<tool_call>\n{"name": "send", "arguments": {}}\n</tool_call>'
    assert row_of(observed, observed.ask(tools=[tool], **saying(call)))["tool_calls"] == 1
    grounded = row_of(observed, observed.ask(text=ABOUT_IT, **saying(f"{PASSAGE} [1]")))
    assert grounded["outcome"] == "answered"
    assert grounded["prompt_characters"] == len(ABOUT_IT)  # passages are nothing that was asked


def test_that_it_cannot_be_written_is_seen_where_one_looks(observed: Observed) -> None:
    """In the notes, which say nothing of where it lies; in the figures; and why, in the log. Nothing is refused."""
    row_of(observed, observed.ask())
    with Workspace.open(observed.workspace) as opened:
        folder = opened.place.state / FOLDER
    aside = folder.with_name("aside")

    def ready() -> tuple[int, list[str]]:
        with observed.gateway.client(None) as client:
            said = client.get("/ready")
        return said.status_code, said.json()["notes"]

    def figures() -> list[str]:
        with observed.gateway.client(observed.ada) as client:
            lines = client.get("/metrics").raise_for_status().text.splitlines()
        return [line for line in lines if line.startswith("loresmith_traffic_sample_")]

    def told(what: str) -> None:
        deadline = time.monotonic() + 60
        while what not in str(observed.gateway.next_event(deadline)):
            pass

    assert ready() == (200, [])
    assert figures() == ["loresmith_traffic_sample_trouble 0.0", "loresmith_traffic_sample_lost 0.0"]
    folder.rename(aside)
    folder.write_text("in the way")
    try:
        said = observed.ask()
        wait_until(lambda: ready() == (200, ["the traffic sample cannot be written"]))
        assert figures() == ["loresmith_traffic_sample_trouble 1.0", "loresmith_traffic_sample_lost 0.0"]
        told("the traffic sample cannot be written, and waits in memory: ")
    finally:
        folder.unlink()
        aside.rename(folder)
    wait_until(lambda: ready() == (200, []))
    told("the traffic sample is written again")
    assert row_of(observed, said)["outcome"] == "answered"
