"""What was said, held against other guards: what they would have done, and no word of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.serving.audit.record import Content, GuardVerdict
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.output_guard import Stopped
from loresmith.serving.guards.recorded import recorded_talks
from loresmith.serving.guards.replay import GuardReplay, replay_guards
from loresmith.serving.guards.verdict import Verdict
from loresmith.serving.retrieval.prompt import with_passages
from loresmith.serving.retrieval.settings import INSTRUCTIONS
from tests.serving.audit.places import auditing, keys_of, record
from tests.serving.guards.guarding import guards
from tests.serving.retrieval.test_prompt import SETTINGS, passage

SINCE = "2020-01-01T00:00:00.000000Z"
EMAIL = {"kind": "privacy", "finds": ["email"]}
FALCON = {"kind": "deny", "phrases": ["Project Falcon"]}
TALKS = {
    "plain": ("What is the tallest tower?", "It is in Dubai."),
    "mail in": ("Write to ada@example.com now", "Done."),
    "mail out": ("Where can I write?", "To bob@example.com, if it is about the bill."),
    "falcon in": ("Tell me of Project Falcon", "It is a bird."),
    "falcon out": ("What are you working on?", "On Project Falcon, as it happens, and so is everybody else here."),
}
"""What was asked and answered, by the response's id."""


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.init(tmp_path / "workspace") as opened:
        yield opened


def recorded(of: Sequence[Verdict]) -> list[GuardVerdict]:
    return [GuardVerdict(**vars(verdict)) for verdict in of]


def ask(workspace: Workspace, before: Guards, **talks: tuple[Any, ...]) -> None:
    """Put talks on the record as a gateway with such guards does: (question, answer, more facts)."""
    asyncio.run(_asked(workspace, before, talks))


async def _asked(workspace: Workspace, before: Guards, talks: dict[str, tuple[Any, ...]]) -> None:
    async with auditing(workspace.ledger, workspace.place.state) as audit:
        for response, (question, answer, *more) in talks.items():
            facts: dict[str, Any] = more[0] if more else {}
            examined = before.examine([{"role": "user", "content": question}])
            found = list(examined.verdicts)
            if examined.action in ("refuse", "ask"):
                await audit.outcome(record(response, "outcome", guards=recorded(found), status=400, **facts))
                continue
            messages = tuple(examined.messages)
            await audit.intent(record(response, guards=recorded(found), **facts), Content(messages=messages))
            said: dict[str, Any] = {"role": "assistant", "content": ""}
            guard = before.output()
            try:
                said["content"] += guard.feed(answer)
                said["content"] += guard.finish()
            except Stopped as stopped:
                said |= {"content": stopped.text, "refusal": "no"}
            outcome = {"guards": recorded((*found, *guard.verdicts)), "status": 200, **facts}
            await audit.outcome(record(response, "outcome", **outcome), Content(answer=said))


def replayed(workspace: Workspace, candidate: Guards) -> GuardReplay:
    keys = keys_of(workspace.ledger, workspace.place.state)
    return replay_guards(candidate, recorded_talks(workspace.ledger, keys, SINCE, INSTRUCTIONS))


def turned(workspace: Workspace, *candidate: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """By the response what became of it, and what would."""
    found = replayed(workspace, guards(*candidate))
    return {one.talk.record.response: (one.was, one.would) for one in found.turned}


@pytest.mark.parametrize(
    "before",
    [
        (),
        (EMAIL, FALCON),
        (EMAIL | {"action": "refuse"}, FALCON | {"action": "ask"}),
        (EMAIL | {"action": "allow"}, FALCON | {"action": "route", "route": "other"}),
        (EMAIL | {"on": ["output"]}, FALCON | {"on": ["input"], "action": "redact"}),
    ],
)
def test_the_guards_that_were_in_force_turn_nothing(workspace: Workspace, before: tuple[dict[str, Any], ...]) -> None:
    ask(workspace, guards(*before), **TALKS)
    assert replayed(workspace, guards(*before)).turned == ()


@pytest.mark.parametrize("action", ["redact", "refuse", "ask", "route"])
def test_new_guards_turn_what_they_would_have_stopped(workspace: Workspace, action: str) -> None:
    ask(workspace, guards(), **TALKS)
    route = {"route": "other"} if action == "route" else {}
    expected = {"mail in": ("allow", action), "mail out": ("allow", action)}
    assert turned(workspace, EMAIL | {"action": action} | route) == expected
    found = replayed(workspace, guards(FALCON | {"action": action} | route))
    assert {one.talk.record.response: one.would for one in found.turned} == {"falcon in": action, "falcon out": action}
    flip = found.turned[0].flips[0]
    assert (flip.place.guard, flip.place.rule, flip.place.where, flip.read) == ("deny", "phrase 1", "input", True)
    assert (found.read, found.partly, found.omitted, found.gone) == (5, 0, 0, 0)


def test_a_guard_less_turns_the_other_way(workspace: Workspace) -> None:
    ask(workspace, guards(EMAIL, FALCON), **TALKS)
    gone = {"falcon in": ("refuse", "allow"), "falcon out": ("refuse", "allow")}
    assert turned(workspace, EMAIL) == gone
    assert turned(workspace, EMAIL, FALCON | {"on": ["input"]}) == {"falcon out": ("refuse", "allow")}
    assert turned(workspace, EMAIL | {"finds": ["phone"]}, FALCON) == {
        "mail in": ("redact", "allow"),
        "mail out": ("redact", "allow"),
    }
    found = replayed(workspace, guards(EMAIL))
    assert not any(flip.read for one in found.turned for flip in one.flips)
    # The three that were masked or stopped lack that; the one that was refused is not there at all.
    assert (found.read, found.partly, found.omitted) == (4, 3, 1)


def test_another_action_of_the_same_guard_is_taken_from_the_record(workspace: Workspace) -> None:
    ask(workspace, guards(EMAIL, FALCON), **TALKS)
    strict = turned(workspace, EMAIL | {"action": "refuse"}, FALCON | {"action": "allow"})
    assert strict == {
        "mail in": ("redact", "refuse"),
        "mail out": ("redact", "refuse"),
        "falcon in": ("refuse", "allow"),
        "falcon out": ("refuse", "allow"),
    }


def test_the_whole_can_stay_while_its_reasons_change(workspace: Workspace) -> None:
    ask(workspace, guards(FALCON), **TALKS)
    (first, *_), *_ = (one.flips for one in replayed(workspace, guards(FALCON, EMAIL)).turned)
    assert (first.place.guard, first.was, first.would) == ("privacy", "allow", "redact")
    renamed = replayed(workspace, guards(FALCON | {"name": "birds"})).turned
    # What a guard of another name would find in what is not kept is not known.
    assert {flip.place.guard: flip.would for one in renamed for flip in one.flips} == {"deny": "allow"}


def test_what_is_gone_or_was_never_kept_is_counted(workspace: Workspace) -> None:
    ask(workspace, guards(), **TALKS, ours=("ada@example.com", "Fine.", {"tenant": "other"}))
    denied = {"allowed": False, "status": 404}
    asyncio.run(_only_outcome(workspace, record("denied", "outcome", **denied), record("stranger", "outcome")))
    keys_of(workspace.ledger, workspace.place.state).destroy("ward", "the contract has ended")
    found = replayed(workspace, guards(EMAIL))
    assert (found.read, found.gone, found.omitted, found.passed_over) == (1, len(TALKS), 1, 1)
    assert [one.talk.record.response for one in found.turned] == ["ours"]


async def _only_outcome(workspace: Workspace, *records: Any) -> None:
    async with auditing(workspace.ledger, workspace.place.state) as audit:
        for one in records:
            await audit.outcome(one)


def test_an_answer_under_way_and_one_that_began_before_are_told_apart(workspace: Workspace) -> None:
    async def story() -> None:
        async with auditing(workspace.ledger, workspace.place.state) as audit:
            said = Content(messages=({"role": "user", "content": "to ada@example.com"},))
            await audit.intent(record("cut off", at="2026-03-01T00:00:00.000000Z"), said)
            await audit.intent(record("older", at="2019-01-01T00:00:00.000000Z"), said)
            await audit.outcome(record("older", "outcome"), Content(answer={"role": "assistant", "content": "x"}))

    asyncio.run(story())
    found = replayed(workspace, guards(EMAIL))
    assert [one.talk.record.response for one in found.turned] == ["cut off"]
    assert (found.read, found.omitted) == (1, 0)


def test_a_beginning_of_an_answer_is_no_whole_one(workspace: Workspace) -> None:
    """What a schema says of an answer that was cut off is not what it would have said of all of it."""
    (workspace.place.folder / "object.json").write_text('{"type": "object"}')
    schema = {"kind": "schema", "file": "object.json"}

    async def story() -> None:
        async with auditing(workspace.ledger, workspace.place.state) as audit:
            for response, status in (("whole", 200), ("left", 499)):
                await audit.intent(record(response), Content(messages=({"role": "user", "content": "x"},)))
                answer = Content(answer={"role": "assistant", "content": '{"a":'})
                await audit.outcome(record(response, "outcome", status=status), answer)

    asyncio.run(story())
    found = replayed(workspace, guards(schema, folder=workspace.place.folder))
    assert [one.talk.record.response for one in found.turned] == ["whole"]


def test_passages_are_passages_and_not_the_callers_words(workspace: Workspace) -> None:
    passages = [passage(1, "Write to ada@example.com."), passage(2, "Project Falcon flies.")]
    grounded = with_passages([{"role": "user", "content": "Who flies?"}], passages, SETTINGS).messages

    async def story() -> None:
        async with auditing(workspace.ledger, workspace.place.state) as audit:
            for response, documents in (("grounded", ["d1", "d2"]), ("forged", [])):
                await audit.intent(record(response, documents=documents), Content(messages=tuple(grounded)))
                outcome = record(response, "outcome", documents=documents, status=200)
                await audit.outcome(outcome, Content(answer={"role": "assistant", "content": "Falcons fly high [2]."}))

    asyncio.run(story())
    found = replayed(workspace, guards(EMAIL, FALCON | {"on": ["retrieved"]}))
    places = {one.talk.record.response: [flip.place.where for flip in one.flips] for one in found.turned}
    assert places == {"grounded": ["retrieved", "retrieved"], "forged": ["input"]}
    # A passage that is left out ends nothing.
    assert {one.talk.record.response: one.would for one in found.turned} == {"grounded": "allow", "forged": "redact"}
    grounding = replayed(workspace, guards({"kind": "grounding"}))
    assert [one.talk.record.response for one in grounding.turned] == ["grounded"]


def test_arguments_of_calls_are_read_with_the_tools_that_were_offered(workspace: Workspace) -> None:
    parameters = {"type": "object", "required": ["to"]}
    tool = {"type": "function", "function": {"name": "send", "parameters": parameters}}
    call = {"id": "c", "type": "function", "function": {"name": "send", "arguments": '{"cc": "ada@example.com"}'}}

    async def story() -> None:
        async with auditing(workspace.ledger, workspace.place.state) as audit:
            await audit.intent(record("r"), Content(messages=({"role": "user", "content": "x"},), tools=(tool,)))
            answer = {"role": "assistant", "content": None, "tool_calls": [call]}
            await audit.outcome(record("r", "outcome", status=200), Content(answer=answer))

    asyncio.run(story())
    found = replayed(workspace, guards(EMAIL, {"kind": "schema"}))
    ((flips),) = (one.flips for one in found.turned)
    assert {(flip.place.guard, flip.place.rule) for flip in flips} == {
        ("privacy", "email"),
        ("schema", "schema: required"),
    }


@pytest.mark.parametrize(
    ("rule", "guard", "candidate", "would"),
    [
        ("failed", "privacy", [EMAIL], "refuse"),
        ("failed", "privacy", [FALCON], "allow"),
        ("cannot be read", "privacy", [FALCON], "refuse"),
        ("cannot be read", "privacy", [FALCON | {"action": "allow"}], "allow"),
        ("held back too long", "guards", [FALCON], "refuse"),
        ("held back too long", "guards", [], "allow"),
        ("email (over parts)", "privacy", [EMAIL], "refuse"),
        ("email (over parts)", "privacy", [EMAIL | {"action": "ask"}], "ask"),
    ],
)
def test_refusals_that_no_match_led_to(
    workspace: Workspace, rule: str, guard: str, candidate: list[dict[str, Any]], would: str
) -> None:
    verdict = GuardVerdict(guard=guard, where="input", role="user", action="refuse", rule=rule, count=1)
    asyncio.run(_only_outcome(workspace, record("r", "outcome", guards=[verdict], status=400)))
    expected = {} if would == "refuse" else {"r": ("refuse", would)}
    assert turned(workspace, *candidate) == expected


def test_all_of_several_answers_are_held_against_them(workspace: Workspace) -> None:
    async def asked() -> None:
        said = [{"role": "assistant", "content": text} for text in ("It is in Dubai.", "See Project Falcon of ours.")]
        async with auditing(workspace.ledger, workspace.place.state) as audit:
            await audit.intent(record("several", choices=2), Content(messages=({"role": "user", "content": "Hi"},)))
            content = Content(answer=said[0], others=(said[1],))
            await audit.outcome(record("several", "outcome", status=200, choices=2), content)

    asyncio.run(asked())
    assert turned(workspace, FALCON) == {"several": ("allow", "refuse")}
