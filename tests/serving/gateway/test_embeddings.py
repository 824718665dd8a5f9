"""`/v1/embeddings`, asked by the official client over HTTP."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import socket
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import torch
import yaml

from loresmith import Workspace
from loresmith.serving.audit.record import AuditRecord
from tests.serving.engines.served_models import write_tiny
from tests.serving.gateway.faces import FORBIDDEN, STATED, Face
from tests.serving.gateway.gateways import add_release
from tests.serving.gateway.house import House, wait_until
from tests.serving.gateway.records import records_of
from tests.serving.gateway.test_faults import records
from tests.serving.gateway.test_reload import rewritten
from tests.serving.retrieval.indexes import minilm

TEXTS = ["The pump is broken.", "Fever goes down."]


def vectors(answer: Any) -> Any:
    return np.array([each.embedding for each in answer.data], np.float32)


def test_vectors_are_those_of_the_embedder(face: Face) -> None:
    client = face.openai()
    answer = client.embeddings.create(model="meaning", input=TEXTS, encoding_format="float")
    np.testing.assert_array_equal(vectors(answer), minilm().embed(TEXTS))
    assert [each.index for each in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens == sum(minilm().tokens(text) for text in TEXTS)
    # The client asks for base64 where nobody says anything, and reads it.
    np.testing.assert_array_equal(vectors(client.embeddings.create(model="meaning", input=TEXTS)), vectors(answer))
    with face.gateway.client(face.ada) as plain:
        asked = {"model": "meaning", "input": TEXTS[1], "encoding_format": "base64"}
        (one,) = plain.post("/v1/embeddings", json=asked).json()["data"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(one["embedding"]), "<f4"), vectors(answer)[1])
    by_retrieval = client.embeddings.create(model="retrieval", input=TEXTS)
    np.testing.assert_array_equal(vectors(by_retrieval), vectors(answer))


def test_a_model_embeds_for_those_who_hold_its_labels(face: Face) -> None:
    answer = face.openai(face.ada).embeddings.create(model="ward-states", input=TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors(answer), axis=1), 1, rtol=1e-5)
    bob = face.openai(face.bob)
    with pytest.raises(openai.NotFoundError) as hidden:
        bob.embeddings.create(model="ward-states", input=TEXTS)
    with pytest.raises(openai.NotFoundError) as missing:
        bob.embeddings.create(model="nothing-here", input=TEXTS)
    assert hidden.value.body["message"] == missing.value.body["message"].replace("nothing-here", "ward-states")  # type: ignore[index]
    assert "ward-states" in [model.id for model in face.openai(face.ada).models.list()]
    listed = {model.id: model.embeds for model in bob.models.list()}
    assert listed == {"acme": False, "meaning": True, "retrieval": True}


def test_a_model_that_makes_none_is_told_from_one_that_is_not_there(face: Face) -> None:
    """With those that make some, as far as the caller may ask them."""
    for key, named in ((face.ada, "'meaning', 'retrieval', 'ward-states'"), (face.bob, "'meaning', 'retrieval'")):
        with pytest.raises(openai.BadRequestError) as said:
            face.openai(key).embeddings.create(model="acme", input=TEXTS)
        assert said.value.body["message"] == f"the model 'acme' makes no embeddings: ask {named}"  # type: ignore[index]
        assert (said.value.code, said.value.param) == ("no_embeddings", "model")


def test_nothing_is_told_of_a_model_that_one_may_not_ask(house: House) -> None:
    def said(who: str, name: str) -> tuple[int, str]:
        with house.client(who) as client:
            answer = client.post("/v1/embeddings", json={"model": name, "input": TEXTS})
        return answer.status_code, answer.json()["error"]["message"].replace(name, "NAME")

    none = (400, "the model 'NAME' makes no embeddings: there is none that you may ask for them")
    assert said("user:of-physicians", "ward") == said("user:ada", "acme:open") == none
    assert said("user:ada", "ward") == said("user:ada", "acme:both") == said("user:ada", "nothing-here")
    assert said("user:ada", "ward")[0] == 404


def test_guards_look_at_what_is_embedded(face: Face) -> None:
    client = face.openai()
    with pytest.raises(openai.BadRequestError, match=STATED) as refused:
        client.embeddings.create(model="meaning", input=["harmless", f"about {FORBIDDEN}"])
    assert refused.value.code == "content_filter"
    redacted = client.embeddings.create(model="meaning", input="Write to ada@loresmith.example.org today.")
    np.testing.assert_array_equal(vectors(redacted), minilm().embed(["Write to [EMAIL] today."]))


def test_it_is_on_the_record_without_what_was_said(face: Face) -> None:
    with face.gateway.client(face.ada) as client:
        answer = client.post("/v1/embeddings", json={"model": "ward-states", "input": "word " * 3})
        response, used = answer.headers["x-request-id"], answer.json()["usage"]["prompt_tokens"]
    intent, outcome = records_of(face.workspace, response)
    assert (intent.phase, intent.action, intent.allowed, intent.principal) == ("intent", "complete", True, "user:ada")
    assert intent.resource is not None
    assert (intent.resource.id, intent.resource.labels) == ("ward-states", ("clinical",))
    assert (outcome.phase, outcome.status, outcome.prompt_tokens) == ("outcome", 200, used)
    with face.gateway.client(face.bob) as client:
        denied = client.post("/v1/embeddings", json={"model": "ward-states", "input": "word"}).headers["x-request-id"]
    (outcome,) = records_of(face.workspace, denied)
    assert (outcome.status, outcome.allowed, outcome.error) == (404, False, "denied by the policy")


def test_what_cannot_be_embedded_whole_is_refused(face: Face) -> None:
    client = face.openai()
    texts: tuple[tuple[Any, str], ...] = (("a " * 300, "tokens"), (["a", ""], r"input\.1"), ([], "1 to"))
    for wrong, place in texts:
        with pytest.raises(openai.BadRequestError, match=place):
            client.embeddings.create(model="meaning", input=wrong)
    with pytest.raises(openai.BadRequestError, match="384"):
        client.embeddings.create(model="meaning", input="a", dimensions=12)
    assert len(vectors(client.embeddings.create(model="meaning", input="a", dimensions=384))[0]) == 384


def test_a_policy_may_ask_how_many_tokens_there_are(face: Face) -> None:
    """Of all texts together; and what it forbids looks as if it were not there."""
    text = "word " * 200
    with face.gateway.client(face.eve) as client:
        one, three, missing = (
            client.post("/v1/embeddings", json={"model": model, "input": texts})
            for model, texts in (("meaning", [text]), ("meaning", [text] * 3), ("nothing", [text] * 3))
        )
    assert (one.status_code, three.status_code) == (200, 404)
    assert three.json() == json.loads(missing.text.replace("nothing", "meaning"))
    (outcome,) = records_of(face.workspace, three.headers["x-request-id"])
    assert (outcome.allowed, outcome.error, outcome.prompt_tokens) == (False, "denied by the policy", 0)
    assert outcome.context["tokens"] == 3 * one.json()["usage"]["prompt_tokens"]


def test_who_leaves_pays_for_what_was_begun(face: Face) -> None:
    texts = ["The pump is broken. " * 12] * 2000
    with face.gateway.client(face.ada) as client:
        head = client.build_request("POST", "/v1/embeddings", json={"model": "meaning", "input": texts})
        last = client.post("/v1/embeddings", json={"model": "meaning", "input": "word"}).headers["x-request-id"]
    records_of(face.workspace, last)  # and so all that was asked before is on the record
    known = records(face.workspace).keys()

    def mine() -> dict[str, AuditRecord]:
        new = {response: one for response, one in records(face.workspace).items() if response not in known}
        found = [one for one in new.values() if "intent" in one]  # what was refused before may be written only now
        assert len(found) <= 1
        return found[0] if found else {}

    with socket.create_connection((head.url.host, head.url.port)) as connection:
        lines = [f"{name.decode()}: {value.decode()}" for name, value in head.headers.raw]
        connection.sendall("\r\n".join(["POST /v1/embeddings HTTP/1.1", *lines, "", ""]).encode() + head.content)
        wait_until(lambda: "intent" in mine(), 60)
    wait_until(lambda: "outcome" in mine(), 60)
    outcome = mine()["outcome"]
    assert (outcome.status, outcome.prompt_tokens) == (499, 2000 * minilm().tokens(texts[0]))


def test_others_are_answered_while_it_computes(face: Face) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool, face.gateway.client(face.bob) as client:
        client.get("/health")
        for number in (25, 50, 100, 200):  # a fast machine is done too soon with few
            many = ["The filter of the pump is behind the panel. " * 20] * number
            embedding = pool.submit(face.openai().embeddings.create, model="meaning", input=many)
            answered = 0
            while not embedding.done():
                assert client.get("/health").status_code == 200
                answered += 1
            assert len(embedding.result().data) == number
            if answered > 20:
                break
    assert answered > 20  # were they kept waiting until it is done, there would be two at most


def test_an_embedder_follows_its_release(face: Face, tmp_path: Path) -> None:
    """Forwards and back, with the labels of each, while nobody is left without an answer; and a target that cannot be
    loaded changes nothing, and keeps no other change of the configuration from being taken."""
    digests = {}
    with Workspace.open(face.workspace) as opened:
        digests["first"] = add_release(opened, tmp_path, (), "states")
        for name, family, labels in (("second", "llama", ("clinical",)), ("broken", "qwen3", ())):
            (tmp_path / name).mkdir()
            directory = write_tiny(tmp_path / name, family, torch.bfloat16)
            if name == "broken":
                (directory / "model.safetensors").write_bytes(b"no weights")
            digests[name] = opened.ledger.assets.add("model", directory, {"test": name}, labels).digest

    def promote(name: str) -> None:
        with Workspace.open(face.workspace) as opened:
            opened.ledger.releases.promote("states", digests[name], "production", "for the tests")

    def model(key: str) -> str:
        """The digest of the model that embeds for a caller; empty where they are told that there is none."""
        with face.gateway.client(key) as client:
            said = client.post("/v1/embeddings", json={"model": "moving", "input": TEXTS[0]})
        assert said.status_code in (200, 404), said.text
        *_, outcome = records_of(face.workspace, said.headers["x-request-id"])
        return outcome.model if said.status_code == 200 else ""

    def notes() -> list[str]:
        with face.gateway.client(None) as client:
            return list(client.get("/ready").json()["notes"])

    with rewritten(face.config) as config:
        config["embeddings"]["moving"] = {"model": "states@production"}
        face.config.write_text(yaml.safe_dump(config))
        wait_until(lambda: model(face.bob) == digests["first"], 60)
        before = vectors(face.openai().embeddings.create(model="moving", input=TEXTS))
        promote("second")
        wait_until(lambda: model(face.ada) == digests["second"], 60)
        assert model(face.bob) == ""  # who does not hold its label
        after = vectors(face.openai().embeddings.create(model="moving", input=TEXTS))
        assert not np.allclose(before, after, atol=1e-3)
        promote("first")
        wait_until(lambda: model(face.bob) == digests["first"], 60)
        np.testing.assert_array_equal(before, vectors(face.openai().embeddings.create(model="moving", input=TEXTS)))
        promote("broken")
        wait_until(lambda: notes() == ["models and embedders whose releases point at what cannot be served: 1"], 60)
        assert model(face.bob) == digests["first"]
        config["embeddings"]["again"] = {"index": config["retrieval"]["index"]}
        face.config.write_text(yaml.safe_dump(config))
        listed = lambda: [one.id for one in face.openai().models.list()]  # noqa: E731
        wait_until(lambda: "again" in listed(), 60)
        promote("second")
        wait_until(lambda: model(face.ada) == digests["second"], 60)
        wait_until(lambda: notes() == [])
    wait_until(lambda: model(face.ada) == "", 60)
