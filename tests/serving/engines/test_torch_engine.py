"""The engine `torch`: answers do not depend on the traffic, and slots are nobody's once they are free."""

from __future__ import annotations

import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from loresmith.errors import UserError
from loresmith.models.storage import load_model, load_weights
from loresmith.serving.engines.embedded.layout import Layout, Segment
from loresmith.serving.engines.embedded.slot_cache import SlotCache
from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from loresmith.serving.engines.generation import Generation, Grammar, JsonSchema, Regex, Sampling
from loresmith.serving.engines.starting import start_torch
from tests.serving.engines.answers import answers
from tests.serving.engines.served_models import VOCABULARY, write_tiny


def prompt(size: int, seed: int = 0) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(1, VOCABULARY, size).tolist())


def request(id: str, size: int = 20, seed: int = 0, **given: Any) -> Generation:
    sampling = Sampling(**{"temperature": 0.8, "seed": seed, **given.pop("sampling", {})})
    usual = {"prompt": prompt(size, seed), "max_new_tokens": 12, "min_new_tokens": 8}
    return Generation(id=id, sampling=sampling, **{**usual, **given})


GREEDY = {"temperature": 0}


def test_greedy_answers_are_those_of_transformers(tmp_path: Path) -> None:
    directory = write_tiny(tmp_path, "gemma3_text")
    model, _ = load_model(directory, torch.float32)
    engine = TorchEngine(directory, dtype=torch.float32, slots=4, window=256)
    requests = [request(str(n), 5 + 13 * n, n, sampling=GREEDY, min_new_tokens=12) for n in range(6)]
    got = answers(engine, requests, every=2)
    for asked in requests:
        ids = torch.tensor([asked.prompt])
        expected = model.generate(ids, max_new_tokens=12, min_new_tokens=12, do_sample=False)
        assert got[asked.id].ids == expected[0, len(asked.prompt) :].tolist()


@settings(max_examples=12, deadline=None)
@given(
    others=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 9)), max_size=7),
    every=st.integers(0, 3),
    size=st.integers(1, 150),
)
def test_the_same_seed_gives_the_same_answer_whatever_else_is_served(
    tiny_directory: Path, others: list[tuple[int, int]], every: int, size: int
) -> None:
    engine = TorchEngine(tiny_directory, slots=4, window=256)
    asked = request("it", size, 3, alternatives=2, scope="ada")
    alone = answers(engine, [asked])["it"]
    traffic = [request(f"other {n}", long, seed) for n, (long, seed) in enumerate(others)]
    beside = answers(engine, [*traffic[:3], asked, *traffic[3:]], every)["it"]
    assert beside.tokens == alone.tokens
    assert beside.text == alone.text


def test_an_engine_that_tries_two_paths_has_one_model_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[weakref.ref[Any]] = []

    def load(*given: Any) -> Any:
        assert [one for one in loaded if one() is not None] == []
        model = load_weights(*given)
        loaded.append(weakref.ref(model))
        return model

    monkeypatch.setattr("loresmith.models.storage.load_weights", load)
    engine = TorchEngine(write_tiny(tmp_path, "mamba"), dtype=torch.float32, slots=2, window=64)
    assert (engine.facts.path, len(loaded)) == ("one by one", 2)


def test_a_device_without_memory_is_told_of(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(*_given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(torch.nn.Embedding, "forward", embed)
    with pytest.raises(UserError, match="cpu has no memory for it: CUDA out of memory") as told:
        TorchEngine(tiny_directory, slots=4, window=256)
    assert "`slots`" in (told.value.hint or "")


def test_many_requests_in_banks_of_several_sizes_answer_as_each_does_alone(tiny_directory: Path) -> None:
    engine = TorchEngine(tiny_directory, slots=28, window=256)
    requests = [request(str(n), 3 + 9 * n, n, alternatives=2, max_new_tokens=8 + n % 7) for n in range(26)]
    together = answers(engine, requests, every=1)
    for asked in requests:
        assert together[asked.id].tokens == answers(engine, [asked])[asked.id].tokens


@pytest.mark.parametrize("slots", [1, 2, 8, 9, 16, 17, 40])
def test_no_two_slots_share_memory(slots: int) -> None:
    cache = SlotCache(slots, 200, torch.float32, torch.device("cpu"))
    positions = [Segment(slot, 0, [0] * 200, False) for slot in range(slots)]
    places = cache.places(Layout(positions, torch.device("cpu")))
    assert len(set(places.rows(2).tolist())) == slots * 200 * 2
    keys_NKD = torch.arange(slots * 400.0).view(-1, 2, 1)
    cache.store(0, places, keys_NKD, -keys_NKD)
    for slot, bank in enumerate(cache.banks):
        keys_JCKPD, values_JCKPD = cache.of_bank(0, bank, 4, list(range(bank.size)))
        keys_KLD, values_JKPD = cache.of_slot(0, slot, 4)
        for head in range(2):
            there = list(range(slot * 400 + head, slot * 400 + 400, 2))
            assert keys_JCKPD[:, slot - bank.begin, head].flatten()[:200].tolist() == there
            assert keys_KLD[head].flatten()[:200].tolist() == there
        assert torch.equal(values_JKPD, values_JCKPD[:, slot - bank.begin])
        assert torch.equal(values_JKPD, -keys_JCKPD[:, slot - bank.begin])


def test_another_seed_gives_another_answer(engine: TorchEngine) -> None:
    got = answers(engine, [request(str(n), sampling={"seed": n}) for n in range(8)])
    assert len({tuple(answer.ids) for answer in got.values()}) > 4


def test_what_was_computed_is_reused_within_a_scope_only(engine: TorchEngine) -> None:
    asked = prompt(60)
    first = answers(engine, [request("first", scope="ada", prompt=asked)])["first"]
    again = answers(engine, [request("again", scope="ada", prompt=asked)])["again"]
    stranger = answers(engine, [request("stranger", scope="bob", prompt=asked)])["stranger"]
    nobody = answers(engine, [request("nobody", prompt=asked), request("nobody too", prompt=asked)])
    assert (first.cached, again.cached, stranger.cached) == (0, 59, 0)
    assert [answer.cached for answer in nobody.values()] == [0, 0]
    assert first.tokens == again.tokens == stranger.tokens


def test_a_running_request_lends_its_beginning(engine: TorchEngine) -> None:
    shared = prompt(80)
    first = request("first", scope="ada", prompt=(*shared, 7), max_new_tokens=20)
    second = request("second", scope="ada", prompt=(*shared, 9, 11))
    alone = answers(engine, [request("second", prompt=second.prompt)])["second"]
    got = answers(engine, [first, second], every=3)
    assert got["second"].cached == 80
    assert got["second"].ids == alone.ids


def test_answers_end_before_the_first_stop_string_however_its_tokens_fall(engine: TorchEngine) -> None:
    whole = answers(engine, [request("it", sampling={"seed": 5}, max_new_tokens=30)])["it"].text
    for start in range(0, len(whole) - 4, 3):
        stop = whole[start : start + 4]
        cut = answers(engine, [request("it", sampling={"seed": 5}, max_new_tokens=30, stop=(stop, "never"))])["it"]
        assert cut.text == whole[: whole.index(stop)]
        assert (cut.finished, cut.stopped_by) == ("stop", stop)


def test_log_probabilities_are_those_of_the_model(tiny_directory: Path, engine: TorchEngine) -> None:
    asked = request("it", alternatives=3, sampling={"seed": 4, "top_p": 0.5})
    answer = answers(engine, [asked])["it"]
    model, _ = load_model(tiny_directory, torch.bfloat16)
    with torch.inference_mode():
        logits_TV = model(input_ids=torch.tensor([[*asked.prompt, *answer.ids]])).logits[0].float()
    expected_TV = torch.log_softmax(logits_TV[len(asked.prompt) - 1 : -1], -1)
    for token, expected_V in zip(answer.tokens, expected_TV, strict=True):
        assert token.log_probability == pytest.approx(float(expected_V[token.id]), abs=0.15)
        assert len(token.alternatives) == 3
        values = [value for _, value in token.alternatives]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(float(expected_V.max()), abs=0.15)


def test_scored_answers_are_the_same_to_the_bit(engine: TorchEngine) -> None:
    """And their scores are what is told to who asks for log-probabilities."""

    def asked(**more: Any) -> list[Generation]:
        rules = ({"seed": 4, "top_p": 0.5}, {"temperature": 0}, {"seed": 9, "repetition_penalty": 1.2})
        return [request(f"{number}", seed=number, sampling=rule, **more) for number, rule in enumerate(rules)]

    plain, scored, told = (answers(engine, asked(**more)) for more in ({}, {"scored": True}, {"alternatives": 0}))
    for id_, answer in plain.items():
        assert (scored[id_].ids, scored[id_].text) == (answer.ids, answer.text)
        assert {token.log_probability for token in answer.tokens} == {None}
        assert scored[id_].tokens == told[id_].tokens
        assert all(token.log_probability is not None for token in scored[id_].tokens)


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def test_constrained_answers_have_their_form(engine: TorchEngine) -> None:
    import json

    forms = {
        "schema": JsonSchema(value=SCHEMA),
        "regex": Regex(value="[0-9]{4}-[0-9]{2}"),
        "grammar": Grammar(value='start: "yes" | "no"'),
    }
    # A random model would write white space between the parts of JSON for ever.
    bias = {"logit_bias": dict.fromkeys((8, 9, 10, 11, 12, 13), 0.0)}
    requests = [
        request(f"{name} {seed}", seed=seed, constraint=form, max_new_tokens=200, sampling=bias)
        for name, form in forms.items()
        for seed in range(3)
    ]
    for name, answer in answers(engine, requests).items():
        assert answer.finished == "stop", name
        if name.startswith("schema"):
            found = json.loads(answer.text)
            assert set(found) == {"name", "age"}
            assert 0 <= found["age"] <= 99
        elif name.startswith("regex"):
            assert re.fullmatch("[0-9]{4}-[0-9]{2}", answer.text)
        else:
            assert answer.text in ("yes", "no")


@pytest.mark.parametrize(
    ("constraint", "said"),
    [
        (JsonSchema(value={"type": "no such type"}), "json schema"),
        (Regex(value="(unclosed"), "regex"),
        (Grammar(value="start: nowhere"), "grammar"),
    ],
)
def test_a_form_that_cannot_be_followed_is_refused(engine: TorchEngine, constraint: Any, said: str) -> None:
    with pytest.raises(UserError, match=f"this {said} cannot be followed"):
        engine.add(request("it", constraint=constraint))
    assert (engine.waiting, engine.running) == (0, 0)


def test_cancelling_frees_the_slot_for_the_next_step(engine: TorchEngine) -> None:
    for n in range(6):
        engine.add(request(str(n), max_new_tokens=100, min_new_tokens=50))
    engine.step()
    assert (engine.running, engine.waiting) == (4, 2)
    engine.cancel("1")
    engine.cancel("5")
    assert (engine.running, engine.waiting) == (3, 1)
    said = {emission.id for _ in range(3) for emission in engine.step()}
    assert said == {"0", "2", "3", "4"}


def test_a_request_that_cannot_be_carried_out_is_refused_before_it_waits(engine: TorchEngine) -> None:
    for wrong, said in [
        (request("long", 256), "the prompt has 256 tokens, and the window is 256"),
        (request("id", prompt=(5, VOCABULARY)), "outside the vocabulary"),
        (request("adapter", adapter="wards"), "wards"),
        (request("bias", sampling={"logit_bias": {VOCABULARY: 1.0}}), "logit_bias"),
    ]:
        with pytest.raises(UserError, match=said):
            engine.add(wrong)
    engine.add(request("twice"))
    with pytest.raises(UserError, match="already"):
        engine.add(request("twice"))


def test_an_answer_ends_where_the_window_does(engine: TorchEngine) -> None:
    answer = answers(engine, [request("it", 250, max_new_tokens=100, min_new_tokens=100)])["it"]
    assert (answer.finished, len(answer.ids)) == ("length", 6)


def test_penalties_and_biases_change_what_is_chosen(engine: TorchEngine) -> None:
    plain, often, biased = answers(
        engine,
        [
            request("plain", sampling=GREEDY, max_new_tokens=40, min_new_tokens=40),
            request("often", sampling={**GREEDY, "frequency_penalty": 2}, max_new_tokens=40, min_new_tokens=40),
            request("biased", sampling={**GREEDY, "logit_bias": {77: 100.0}}, max_new_tokens=5),
        ],
    ).values()
    assert len(set(often.ids)) > len(set(plain.ids))
    assert biased.ids == [77] * 5


@pytest.mark.parametrize(("seen", "said"), [(0, "none"), (2, "2")])
def test_it_is_told_how_many_devices_there_are(
    tiny_directory: Path, monkeypatch: pytest.MonkeyPatch, seen: int, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
    with pytest.raises(UserError, match=f"there is no device 'cuda:3' on this machine: torch sees {said}\n"):
        start_torch({"directory": str(tiny_directory), "device": "cuda:3"})


@pytest.mark.parametrize("device", ["cuda:99", "the good one"])
def test_a_device_that_is_not_there_is_named(tiny_directory: Path, device: str) -> None:
    with pytest.raises(UserError, match=re.escape(repr(device))) as said:
        start_torch({"directory": str(tiny_directory), "device": device})
    assert "cpu" in str(said.value.hint)


def test_it_loads_with_half_of_its_threads_and_computes_with_all(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is served meanwhile needs processors too; and what cannot be loaded leaves no fewer to the next."""
    seen: list[int] = []

    def watched(directory: Path, dtype: torch.dtype) -> Any:
        seen.append(torch.get_num_threads())
        return load_weights(directory, dtype)

    monkeypatch.setattr("loresmith.models.storage.load_weights", watched)
    before = torch.get_num_threads()
    try:
        for threads, loading in ((6, 3), (1, 1)):
            torch.set_num_threads(threads)
            start_torch({"directory": str(tiny_directory), "slots": 2, "window": 64})
            assert (seen.pop(), torch.get_num_threads()) == (loading, threads)
        torch.set_num_threads(6)
        with pytest.raises(UserError):
            start_torch({"directory": str(tmp_path), "slots": 2, "window": 64})
        assert (seen.pop(), torch.get_num_threads()) == (3, 6)
    finally:
        torch.set_num_threads(before)
