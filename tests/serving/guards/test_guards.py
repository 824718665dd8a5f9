"""Everything in a request is looked at, whoever says it and wherever it stands; what a guard asks for is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from loresmith.errors import UserError
from loresmith.serving.guards.conversation import Conversation
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.guards import UNREADABLE, Guards
from loresmith.serving.guards.named_guard import NamedGuard
from loresmith.serving.guards.settings import REFUSED, Action, DenyGuard, GuardsSettings
from loresmith.serving.guards.verdict import FAILED, strictest
from tests.serving.guards.evasions import TOKEN, elsewhere
from tests.serving.guards.guarding import KEY, content, guards, said

MAIL = "ada@example.com"
PRIVACY = {"kind": "privacy"}
FALCON = {"kind": "deny", "phrases": ["Project Falcon"]}


def test_what_is_redacted_is_gone_and_the_rest_is_as_it_was() -> None:
    messages = said(f"Write to {MAIL}, please – soon.")
    examined = guards(PRIVACY).examine(messages)
    assert content(examined) == "Write to [EMAIL], please – soon."
    assert examined.action == "redact"
    assert messages == said(f"Write to {MAIL}, please – soon.")  # the caller's own stays
    (verdict,) = examined.verdicts
    assert (verdict.guard, verdict.where, verdict.role, verdict.rule) == ("privacy", "input", "user", "email")
    assert (verdict.count, verdict.lengths) == (1, (15,))


def test_nothing_is_said_of_what_is_harmless() -> None:
    examined = guards(PRIVACY, {"kind": "secrets"}, FALCON, {"kind": "injection"}).examine(
        said("How do I change the filter of pump 7?"), retrieved=["The filter is behind the left panel."]
    )
    assert examined.action == "allow"
    assert examined.verdicts == ()
    assert examined.message == examined.route == ""


@pytest.mark.parametrize("number", range(16))
def test_a_secret_is_found_wherever_it_stands(number: int) -> None:
    case = list(elsewhere(TOKEN))[number]
    examined = guards({"kind": "secrets"}).examine(case.messages, case.tools, case.retrieved)
    after = json.dumps([examined.messages, examined.tools, examined.retrieved])
    assert TOKEN not in after or examined.action == "refuse"
    assert examined.action in ("redact", "refuse"), case.family


def test_no_string_of_a_request_is_overlooked() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "one", "name": "two", "extra": {"deep": [["three", {"four": "five"}]]}},
        {"role": "assistant", "tool_calls": [{"function": {"name": "six", "arguments": "seven"}}]},
        {"role": "not a role", "content": [{"type": "text", "text": "eight"}, "nine", {"type": "ten"}]},
    ]
    tools = [{"type": "function", "function": {"name": "eleven", "parameters": {"properties": {"twelve": {}}}}}]
    conversation = Conversation(messages, tools)
    texts = {said.text for said in conversation.said()}
    assert {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"} <= texts
    assert "not a role" in texts
    for piece in list(conversation.said()):
        piece.put(piece.text.upper())
    after = json.dumps([conversation.messages, conversation.tools])
    assert all(word.upper() in after for word in ("one", "four", "five", "eight", "nine", "twelve"))
    assert "one" in json.dumps(messages)  # the request itself is not touched


@pytest.mark.parametrize(
    ("actions", "done"),
    [
        (["allow"], "allow"),
        (["allow", "redact"], "redact"),
        (["redact", "route"], "route"),
        (["route", "ask"], "ask"),
        (["ask", "refuse", "allow"], "refuse"),
    ],
)
def test_the_strictest_of_what_guards_ask_for_is_done(actions: list[Action], done: Action) -> None:
    made = [
        {**FALCON, "name": action, "action": action, **({"route": "plain"} if action == "route" else {})}
        for action in actions
    ]
    examined = guards(*made).examine(said("about Project Falcon"))
    assert examined.action == done == strictest(actions)
    assert examined.route == ("plain" if done == "route" else "")
    assert bool(examined.message) == (done in ("refuse", "ask"))


def test_a_refusal_states_the_policy_of_the_guard_that_refuses() -> None:
    first = {**FALCON, "name": "first", "message": "We do not talk of projects."}
    second = {**FALCON, "name": "second", "message": "Another one."}
    assert guards(PRIVACY, first, second).examine(said(f"{MAIL} Project Falcon")).message == first["message"]


def test_guards_look_only_where_they_are_told_to() -> None:
    only_tools = guards({**FALCON, "on": ["tool"]})
    assert only_tools.examine(said("Project Falcon")).action == "allow"
    assert only_tools.examine(said("Project Falcon", role="tool")).action == "refuse"
    assert only_tools.examine([], retrieved=["Project Falcon"]).action == "allow"
    assert guards({**FALCON, "on": ["retrieved"]}).examine([], retrieved=["Project Falcon"]).action == "refuse"


class Broken:
    """A guard that breaks down at one word."""

    hold = 0
    left = 0
    whole = False

    def look(self, reading: Reading) -> list[Hit]:
        if "break" in reading.views.given:
            raise RuntimeError(f"broken by {reading.views.given}")
        return []

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)


@pytest.mark.parametrize("action", ["allow", "redact", "refuse", "ask"])
def test_a_guard_that_fails_refuses_whatever_it_is_there_for(action: Action, caplog: pytest.LogCaptureFixture) -> None:
    settings = DenyGuard(kind="deny", name="broken", phrases=("xx",), action=action)
    broken = Guards([NamedGuard(settings, Broken())], KEY)
    assert broken.examine(said("fine")).action == "allow"
    examined = broken.examine(said("break, says Ada"))
    assert (examined.action, examined.message) == ("refuse", REFUSED)
    assert [(verdict.guard, verdict.rule) for verdict in examined.verdicts] == [("broken", FAILED)]
    assert "Ada" not in caplog.text


def test_a_text_with_too_many_codes_is_refused() -> None:
    examined = guards(PRIVACY).examine(said("QUJDREVGRw " * 3000))
    assert examined.action == "refuse"
    assert examined.verdicts[0].rule == FAILED


def test_a_picture_is_refused_unless_no_guard_minds() -> None:
    picture = said([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])
    assert guards(PRIVACY).examine(picture).action == "refuse"
    assert guards(PRIVACY).examine(picture).verdicts[0].rule == UNREADABLE
    assert guards({**PRIVACY, "action": "allow"}).examine(picture).action == "allow"
    assert guards({**FALCON, "on": ["output"]}).examine(picture).action == "allow"


def test_what_only_several_parts_together_show_is_refused() -> None:
    parts = [{"type": "text", "text": "my card: 4111 1111 "}, {"type": "text", "text": "1111 1111"}]
    assert guards(PRIVACY).examine(said(parts)).action == "refuse"
    apart = [{"type": "text", "text": f"{MAIL}"}, {"type": "text", "text": "Thanks"}]
    assert guards(PRIVACY).examine(said(apart)).action == "redact"
    names = [{"type": "text", "text": "It was checked by Anna"}, {"type": "text", "text": "Miller pumps are red."}]
    assert guards(PRIVACY).examine(said(names)).action == "allow"


def test_verdicts_say_what_matched_to_nobody_without_the_key() -> None:
    examined = guards(PRIVACY).examine(said(MAIL))
    again = guards(PRIVACY).examine(said(f"again {MAIL}"))
    other = Guards.load(GuardsSettings.model_validate([PRIVACY]), Path()).examine(said(MAIL))
    digests = [found.verdicts[0].digest for found in (examined, again, other)]
    assert digests[0] == digests[1] != digests[2]
    assert guards(PRIVACY).examine(said("bob@example.com")).verdicts[0].digest != digests[0]
    assert MAIL not in repr(examined.verdicts)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ([{"kind": "privcy"}], "kind"),
        ([{"kind": "privacy", "finds": ["mail"]}], "finds"),
        ([{"kind": "privacy", "minimum": 1}], "minimum"),
        ([{"kind": "deny"}], "needs"),
        ([{"kind": "deny", "phrases": ["ab"], "action": "route"}], "route"),
        ([{"kind": "deny", "phrases": ["ab"], "route": "x"}], "route"),
        ([{"kind": "deny", "phrases": ["ab"], "action": "route", "route": "x@production"}], "no channel"),
        ([{"kind": "privacy"}, {"kind": "privacy"}], "name"),
        ([{"kind": "schema", "action": "redact"}], "cut out"),
        ([{"kind": "topic", "model": "x", "action": "redact"}], "hold"),
        ([{"kind": "grounding", "on": ["input"]}], "on"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: list[dict[str, Any]], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        GuardsSettings.model_validate(settings)


def test_what_settings_name_has_to_be_there(tmp_path: Path) -> None:
    for settings in (
        {"kind": "deny", "file": "phrases.txt"},
        {"kind": "privacy", "names": "names.txt"},
        {"kind": "privacy", "countries": ["atlantis"]},
        {"kind": "schema", "file": "schema.json"},
        {"kind": "topic", "model": "weapons/guard"},
        {"kind": "memorisation", "index": "passages/index"},
        {"kind": "deny", "phrases": ["--"]},
    ):
        with pytest.raises(UserError):
            guards(settings, folder=tmp_path)
    with pytest.raises(UserError, match="no index of passages"):
        guards({"kind": "memorisation", "index": "here"}, assets={"here": tmp_path})
