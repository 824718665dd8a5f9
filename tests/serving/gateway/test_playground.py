"""The playground, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from loresmith import Workspace
from tests.serving.gateway.browsing import ask, connect, opened
from tests.serving.gateway.faces import EDGES, FORBIDDEN, STATED, Face


def test_the_files_are_open_and_ask_nobody_else(face: Face) -> None:
    with face.gateway.client(None) as client:
        page = client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        names = re.findall(r'(?:src|href)="([^"]*)"', page.text)
        assert names == ["data:,", "playground.css", "playground.js"]
        for name in names[1:]:
            file = client.get(f"/{name}")
            assert file.status_code == 200
            assert file.headers["x-content-type-options"] == "nosniff"
            assert not re.search(r"https?://|@import|url\(|innerHTML|eval\(", file.text)
        assert client.get("/playground.html").status_code == 404
        assert client.get("/v1/models").status_code == 401


@pytest.fixture
def page(browser: Any, face: Face) -> Iterator[Any]:
    with opened(browser, face.gateway.address) as page:
        yield page


def have_answered(page: Any, schema: dict[str, Any]) -> None:
    """Have the model say what a schema allows, whatever is asked next."""

    def changed(route: Any) -> None:
        body = json.loads(route.request.post_data)
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "said", "schema": schema}}
        route.continue_(post_data=json.dumps({**body, "max_tokens": 1900}))

    page.route("**/v1/chat/completions", changed)


@pytest.mark.slow
def test_an_answer_streams_in_and_gets_a_thumb(page: Any, face: Face) -> None:
    connect(page, face.ada)
    page.wait_for_selector("#chat:not([hidden])")
    assert page.locator("#model option").all_inner_texts() == ["acme"]
    page.evaluate(
        "window.lengths = new Set(); new MutationObserver(() => lengths.add(log.querySelector('.assistant .text')"
        "?.textContent.length || 0)).observe(log, {subtree: true, childList: true, characterData: true})"
    )
    have_answered(page, {"type": "string", "minLength": 300, "maxLength": 400})
    answer = ask(page, "Hello there")
    assert page.evaluate("lengths.size") >= 3
    assert page.locator("#log li.user .text").inner_text() == "Hello there"
    assert page.locator("#status").inner_text() != "The model answers…"
    answer.get_by_role("button", name="Good answer").click()
    answer.get_by_text("Thank you.").wait_for()
    assert answer.get_by_role("button", name="Good answer").get_attribute("aria-pressed") == "true"
    with Workspace.open(face.workspace) as workspace:
        *_, last = workspace.ledger.feedback.list()
    assert (last.principal, last.facts["rating"]) == ("user:ada", "up")
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


@pytest.mark.slow
def test_a_wrong_key_shows_an_error(page: Any, face: Face) -> None:
    connect(page, face.ada[:-4] + "AAAA")
    page.wait_for_selector("#error:not([hidden])")
    assert page.get_by_role("alert").inner_text() == "this key opens nothing here"
    assert page.locator("#chat").is_hidden()
    connect(page, face.ada)
    page.wait_for_selector("#chat:not([hidden])")
    assert page.locator("#error").is_hidden()


@pytest.mark.slow
def test_what_a_model_says_is_text(page: Any, face: Face) -> None:
    connect(page, face.bob)
    have_answered(page, {"const": EDGES})
    answer = ask(page, "<img src=x onerror=document.title='stolen'>")
    assert EDGES in answer.locator(".text").inner_text()
    assert page.title() == "Loresmith playground"
    assert page.locator("#log script, #log img").count() == 0


@pytest.mark.slow
def test_sources_stand_under_an_answer(page: Any, face: Face) -> None:
    connect(page, face.bob)
    have_answered(page, {"const": "Behind the panel [1]."})
    answer = ask(page, "Where is the filter of the pump?")
    assert "[1] pump.md" in answer.get_by_role("list", name="Sources").inner_text()


@pytest.mark.slow
def test_a_refusal_is_shown_with_its_policy(page: Any, face: Face) -> None:
    connect(page, face.bob)
    answer = ask(page, f"What of {FORBIDDEN}?")
    assert STATED in answer.locator(".problem").inner_text()
    assert STATED in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="New conversation").click()
    assert page.locator("#log li").count() == 0
    assert ask(page, "Hello").locator(".text").inner_text()


@pytest.mark.slow
def test_an_answer_can_be_stopped(page: Any, face: Face) -> None:
    connect(page, face.bob)
    page.wait_for_selector("#chat:not([hidden])")
    have_answered(page, {"type": "string", "minLength": 1500})
    page.get_by_label("Message", exact=True).fill("Go on and on")
    page.keyboard.press("Enter")
    page.locator("#log .assistant .text", has_text=re.compile(r"\S")).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("The answer was stopped.").wait_for()
    assert len(page.locator("#log .assistant .text").inner_text()) < 1500
    assert page.get_by_role("button", name="Send").is_enabled()


@pytest.mark.slow
def test_a_key_is_kept_for_the_tab_only_if_asked(page: Any, face: Face) -> None:
    page.get_by_label("Keep it until this tab is closed").check()
    connect(page, face.bob)
    page.wait_for_selector("#chat:not([hidden])")
    page.reload()
    page.wait_for_selector("#chat:not([hidden])")
    page.get_by_role("button", name="Forget the key").click()
    page.reload()
    assert page.locator("#chat").is_hidden()
    assert page.evaluate("sessionStorage.length") == 0
