"""Files that a gateway follows while somebody writes them, and while there is something wrong with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import UserError
from loresmith.serving.gateway import gateway as working
from loresmith.serving.gateway.gateway import Gateway
from loresmith.serving.policy.policy import Policy
from loresmith.serving.retrieval import opening
from tests.serving.gateway.gateways import write_config
from tests.serving.gateway.idle_gateway import in_workspace, until

FORBID = 'forbid (principal == User::"eve", action, resource);\n'
GUARDS = [{"kind": "deny", "phrases": ["okapi"], "on": ["input"]}]


def configured(folder: Path, **more: Any) -> Path:
    usual = {"models": {"acme": {"release": "acme"}}, "standby": False, "policy": {"files": ["own.cedar"]}}
    return write_config(folder, {**usual, **more})


def test_half_of_a_file_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of a policy, whose rules may lie behind the cut, nor of a configuration, whose guards may."""
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.4)
    policy = tmp_path / "own.cedar"
    policy.write_text(FORBID)
    config = configured(tmp_path, guards=GUARDS)
    text = config.read_text()
    whole, half = text, text.replace(text[text.index("guards:") : text.index("models:")], "")
    assert len(half) < len(whole)

    async def story(gateway: Gateway) -> None:
        before = gateway.rules
        for number in range(1, 12):
            policy.write_text("// " + "x" * number)
            config.write_text(half)
            assert gateway.rules is before
            await asyncio.sleep(0.1)
        policy.write_text("// ...\n" + FORBID)
        config.write_text(whole)
        await until(lambda: gateway.rules is not before)
        assert len(gateway.rules.config.guards.root) == 1
        assert FORBID[:20] in str([one.text for one in gateway.rules.policy.statements])
        assert gateway.trouble == ""

    in_workspace(tmp_path / "workspace", config, story)


def test_what_somebody_asks_for_is_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "WATCH_SECONDS", 60)
    (tmp_path / "own.cedar").write_text(FORBID)

    async def story(gateway: Gateway) -> None:
        (tmp_path / "own.cedar").write_text("// nobody\n")
        before = gateway.rules.policy.digest
        assert await gateway.reload()
        assert gateway.rules.policy.digest != before

    in_workspace(tmp_path / "workspace", configured(tmp_path), story)


def test_what_cannot_be_taken_is_not_tried_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index takes long to open; it is opened when something has changed, or after a while."""
    tried: list[str] = []

    def counted(*arguments: Any) -> Any:
        tried.append(str(arguments[1]))
        return real(*arguments)

    real = opening.open_index
    monkeypatch.setattr(opening, "open_index", counted)
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.02)
    (tmp_path / "own.cedar").write_text(FORBID)
    config = configured(tmp_path)

    async def story(gateway: Gateway) -> None:
        configured(tmp_path, retrieval={"index": "nowhere"})
        await until(lambda: "nowhere" in gateway.trouble)
        await asyncio.sleep(0.5)
        assert tried == ["nowhere"]
        assert gateway.trouble
        configured(tmp_path, retrieval={"index": "elsewhere"})
        await until(lambda: "elsewhere" in gateway.trouble)
        monkeypatch.setattr(working, "AGAIN_SECONDS", 0.1)
        configured(tmp_path, retrieval={"index": "nowhere"})
        await until(lambda: tried.count("nowhere") > 2)
        configured(tmp_path)
        await until(lambda: gateway.trouble == "")

    in_workspace(tmp_path / "workspace", config, story)


def test_a_mistake_in_a_policy_is_found_before_an_index_is_opened(tmp_path: Path) -> None:
    (tmp_path / "own.cedar").write_text(FORBID)

    async def story(gateway: Gateway) -> None:
        configured(tmp_path, retrieval={"index": "nowhere"})
        (tmp_path / "own.cedar").write_text("permit (")
        with pytest.raises(UserError, match=r"own\.cedar"):
            await gateway.reload()

    in_workspace(tmp_path / "workspace", configured(tmp_path), story)


def test_trouble_lasts_until_a_configuration_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is written to while it is read is not."""
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.02)
    policy = tmp_path / "own.cedar"
    policy.write_text(FORBID)
    config = configured(tmp_path)
    looks: list[str] = []
    real = Policy.load

    def written_to(*arguments: Any) -> Policy:
        looks.append(gateways[0].trouble)
        policy.write_text(f"// {len(looks)}\n{FORBID}")
        return real(*arguments)

    gateways: list[Gateway] = []

    async def story(gateway: Gateway) -> None:
        gateways.append(gateway)
        configured(tmp_path, retrieval={"index": "nowhere"})
        await until(lambda: "nowhere" in gateway.trouble)
        with monkeypatch.context() as patched:
            patched.setattr(Policy, "load", written_to)
            configured(tmp_path, keep_previous_seconds=7)
            await until(lambda: len(looks) > 3)
        assert all("nowhere" in trouble for trouble in looks)
        await until(lambda: gateway.trouble == "")
        assert gateway.rules.config.keep_previous_seconds == 7

    in_workspace(tmp_path / "workspace", config, story)


def test_what_is_in_force_is_not_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read it once at each look is enough; and while another reload goes on, there is no waiting for it."""
    monkeypatch.setattr(working, "WATCH_SECONDS", 0.02)
    (tmp_path / "own.cedar").write_text(FORBID)
    config = configured(tmp_path)

    async def story(gateway: Gateway) -> None:
        configured(tmp_path, retrieval={"index": "nowhere"})
        await until(lambda: "nowhere" in gateway.trouble)
        async with gateway._reloading:
            configured(tmp_path)
            await until(lambda: gateway.trouble == "")

    in_workspace(tmp_path / "workspace", config, story)
