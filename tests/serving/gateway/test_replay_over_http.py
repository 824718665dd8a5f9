"""What a gateway put on the record, held against its own guards and against others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from loresmith import Workspace
from loresmith.sdk.calls.audit import SEARCH
from loresmith.sdk.calls.policy_replay import REPLAY, GuardFlip, GuardsReplayed
from tests.serving.gateway.guarded_house import ASKED, MAIL, REFUSED, ROUTED, Guarded, saying
from tests.serving.gateway.house import wait_until

LONG = "It is a long way to the sea. "
SEND = {"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}


@dataclass(frozen=True)
class Recorded:
    """A gateway that was asked all kinds of things, and the ids of its answers."""

    guarded: Guarded
    responses: tuple[str, ...]


@pytest.fixture(scope="module")
def recorded(guarded: Guarded) -> Recorded:
    chats = [{"model": "acme", "seed": 1, "max_tokens": 4, **body} for body in _asked()]
    asked = [("/v1/chat/completions", body) for body in chats]
    asked.append(("/v1/completions", {"model": "acme", "prompt": f"to {MAIL}", "max_tokens": 2}))
    asked.append(("/v1/responses", {"model": "acme", "input": f"the {ROUTED}", "max_output_tokens": 2}))
    with guarded.client() as client:
        responses = tuple(client.post(path, json=body).headers["x-request-id"] for path, body in asked)
    with Workspace.open(guarded.workspace) as opened:
        records = opened.ledger.audit_records
        wait_until(lambda: all(any(row.phase == "outcome" for row in records.of(one)) for one in responses))
    return Recorded(guarded, responses)


def _asked() -> list[dict[str, Any]]:
    words = ("Hi", f"Write to {MAIL} now", f"the {REFUSED}", f"a {ASKED}", f"one {ROUTED}")
    asked: list[dict[str, Any]] = [{"messages": [{"role": "user", "content": word}]} for word in words]
    hi = {"messages": [{"role": "user", "content": "Hi"}]}
    for text in (LONG, f"{LONG}To {MAIL}. {LONG}", f"{LONG}a {REFUSED} {LONG}", f"{LONG}a {ROUTED} {LONG}"):
        asked.append({**hi, **saying(text), "stream": text == LONG})
    name, _, domain = MAIL.partition("@")
    parts = [{"type": "text", "text": text} for text in (name, f"@{domain}")]
    asked.append({"messages": [{"role": "user", "content": parts}]})
    call = json.dumps({"name": "send", "arguments": {"to": MAIL}})
    asked.append({**hi, "tools": [SEND], **saying(f"<tool_call>\n{call}\n</tool_call>")})
    return asked


def replayed(recorded: Recorded, folder: Path, guards: list[dict[str, Any]]) -> GuardsReplayed:
    candidate = folder / "guards.yaml"
    candidate.write_text(yaml.safe_dump({"guards": guards}))
    with Workspace.open(recorded.guarded.workspace) as opened:
        found = REPLAY.run(opened, REPLAY.request(config=candidate, because="for the tests"), lambda _: None).guards
    assert found is not None
    return found


def flips_of(found: GuardsReplayed, recorded: Recorded) -> list[GuardFlip]:
    return [flip for flip in found.flips if flip.response in recorded.responses]


def in_force(recorded: Recorded) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(recorded.guarded.config.read_text())["guards"]
    return found


def test_the_guards_in_force_would_have_done_what_they_did(recorded: Recorded, tmp_path: Path) -> None:
    """Also about what other tests asked of this gateway."""
    found = replayed(recorded, tmp_path, in_force(recorded))
    assert found.flips == ()
    assert found.read >= len(recorded.responses) - 3
    with Workspace.open(recorded.guarded.workspace) as opened:
        request = SEARCH.request(phase="outcome", limit=10_000)
        outcomes = [one.record for one in SEARCH.run(opened, request, lambda _: None).records]
    of_words = [one for one in outcomes if one.action != "administer"]
    refused = [one for one in of_words if one.allowed and one.status != 200]  # before anything was kept
    assert found.omitted == len(refused) >= 3
    assert (found.gone, found.passed_over) == (0, sum(not one.allowed for one in of_words))


def test_without_guards_everything_that_was_stopped_would_have_passed(recorded: Recorded, tmp_path: Path) -> None:
    flips = flips_of(replayed(recorded, tmp_path, []), recorded)
    was = [flip.was for flip in flips]
    assert {action: was.count(action) for action in was} == {"redact": 4, "refuse": 3, "ask": 1, "route": 3}
    assert {flip.would for flip in flips} == {"allow"}


def test_a_new_phrase_is_found_wherever_it_was_said(recorded: Recorded, tmp_path: Path) -> None:
    sea = {"kind": "deny", "name": "sea", "phrases": ["to the sea"], "on": ["output"]}
    found = replayed(recorded, tmp_path, [*in_force(recorded), sea])
    flips = flips_of(found, recorded)
    # Of an answer that was stopped so little went out that what follows could still change what it says.
    assert [(flip.was, flip.would) for flip in flips] == [("allow", "refuse"), ("redact", "refuse")]
    assert {(rule.guard, rule.rule, rule.read) for flip in flips for rule in flip.rules} == {("sea", "phrase 1", True)}
    assert not any(words in found.model_dump_json() for words in ("the sea", MAIL, REFUSED))
