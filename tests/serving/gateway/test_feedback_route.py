"""`/v1/feedback` over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import pytest

from loresmith import Workspace
from loresmith.ledger import Feedback
from loresmith.serving.audit.tenant_keys import FOLDER, TenantKeys
from loresmith.serving.feedback.given import SEALED
from tests.serving.gateway.faces import FORBIDDEN, STATED, Face
from tests.serving.gateway.records import records_of


def answer(face: Face, key: str, **more: Any) -> str:
    """The id of an answer that somebody just got."""
    with face.gateway.client(key) as client:
        said = {"model": "acme", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3, **more}
        done = client.post("/v1/chat/completions", json=said)
        assert done.status_code == 200, done.text
        return str(done.json()["id"])


def give(face: Face, key: str, **said: Any) -> httpx.Response:
    with face.gateway.client(key) as client:
        return client.post("/v1/feedback", json=said)


def kept(face: Face, identity: str) -> tuple[Feedback, dict[str, Any]]:
    """A piece of feedback as the ledger has it, and what it says in words."""
    with Workspace.open(face.workspace) as workspace:
        (found,) = [each for each in workspace.ledger.feedback.list() if each.id == identity]
        keys = TenantKeys(workspace.place.state / FOLDER, workspace.ledger.tenant_keys)
        return found, {} if found.content is None else json.loads(keys.open(found.content, identity, SEALED))


def test_a_thumb_is_kept_with_the_answer_it_is_for(face: Face) -> None:
    response = answer(face, face.ada)
    done = give(face, face.ada, response=response, rating="up")  # at once: the end of the answer may not be recorded
    assert done.status_code == 200, done.text
    assert (done.json()["object"], done.json()["kind"], done.json()["consent"]) == ("feedback", "thumb", False)
    found, said = kept(face, done.json()["id"])
    assert (found.response, found.principal, found.facts["rating"], said) == (response, "user:ada", "up", {})


def test_words_pass_the_guards_and_are_sealed(face: Face) -> None:
    response = answer(face, face.bob, metadata={"consent": "true"})
    done = give(face, face.bob, response=response, correction="Ask bob@loresmith.example.org.", comment="Too short.")
    found, said = kept(face, done.json()["id"])
    assert said == {"correction": "Ask [EMAIL].", "comment": "Too short."}
    assert found.facts["consent"] is True
    refused = give(face, face.bob, response=response, preferred="Yes.", rejected=f"It is in {FORBIDDEN}.")
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, STATED)


def test_a_choice_that_was_not_given_is_not_judged(face: Face) -> None:
    response = answer(face, face.ada, n=2)
    done = give(face, face.ada, response=response, choice=1, rating="up")
    assert done.status_code == 200, done.text
    assert kept(face, done.json()["id"])[0].facts["choice"] == 1
    refused = give(face, face.ada, response=response, choice=2, rating="up")
    assert (refused.status_code, refused.json()["error"]["param"]) == (404, "choice")
    (outcome,) = records_of(face.workspace, refused.headers["x-request-id"])
    assert (outcome.status, outcome.allowed, outcome.release) == (404, True, "acme")
    # Who may not say anything of it does not learn how many there are.
    denied = give(face, face.eve, response=answer(face, face.eve), choice=2, rating="up")
    assert denied.status_code == 403


def test_only_who_asked_may_say_something(face: Face) -> None:
    response = answer(face, face.ada)
    theirs = give(face, face.bob, response=response, rating="down")
    nobodys = give(face, face.bob, response="resp_" + "0" * 32, rating="down")
    assert (theirs.status_code, nobodys.status_code) == (404, 404)
    assert theirs.json()["error"]["message"].replace(response, "") == nobodys.json()["error"]["message"].replace(
        "resp_" + "0" * 32, ""
    )
    with face.gateway.client(face.ada) as client:
        vector = client.post("/v1/embeddings", json={"model": "meaning", "input": "Hello"}).headers["x-request-id"]
    assert give(face, face.ada, response=response, rating="up").status_code == 200
    assert give(face, face.ada, response=vector, rating="up").status_code == 404


def test_the_policy_may_forbid_it(face: Face) -> None:
    done = give(face, face.eve, response=answer(face, face.eve), rating="up")
    assert (done.status_code, done.json()["error"]["code"]) == (403, "forbidden")
    (outcome,) = records_of(face.workspace, done.headers["x-request-id"])
    assert (outcome.action, outcome.allowed, outcome.status) == ("feedback", False, 403)


def test_the_policy_may_ask_how_long_an_answer_can_get(face: Face) -> None:
    asked = {"model": "acme", "messages": [{"role": "user", "content": "Where is the drain?"}]}
    with face.gateway.client(face.eve) as client:
        short = client.post("/v1/chat/completions", json={**asked, "max_tokens": 4})
        long = client.post("/v1/chat/completions", json={**asked, "max_tokens": 500})
    assert (short.status_code, long.status_code) == (200, 404)
    intent, _ = records_of(face.workspace, short.headers["x-request-id"])
    assert intent.context["tokens"] == intent.prompt_tokens + 4
    (outcome,) = records_of(face.workspace, long.headers["x-request-id"])
    assert (outcome.allowed, outcome.context["tokens"]) == (False, outcome.prompt_tokens + 500)


def test_it_is_on_the_record(face: Face) -> None:
    response = answer(face, face.ada)
    done = give(face, face.ada, response=response, comment="Ask ada@loresmith.example.org")
    intent, outcome = records_of(face.workspace, done.headers["x-request-id"])
    assert (intent.action, intent.about, intent.release, intent.principal) == ("feedback", response, "acme", "user:ada")
    assert [(verdict.guard, verdict.action) for verdict in intent.guards] == [("privacy", "redact")]
    assert (outcome.status, outcome.allowed) == (200, True)


@pytest.mark.parametrize("wrong", [{}, {"rating": "sideways"}, {"rating": "up", "stars": 5}, {"preferred": "a"}])
def test_feedback_that_says_nothing_is_refused(face: Face, wrong: dict[str, Any]) -> None:
    done = give(face, face.ada, response="resp_1", **wrong)
    assert (done.status_code, done.json()["error"]["type"]) == (400, "invalid_request_error")
