"""Feedback is taken from who asked, kept sealed, and becomes a dataset with its consent and its labels."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from loresmith import Workspace
from loresmith.data.messages_dataset import read_records
from loresmith.errors import UserError
from loresmith.ledger import Feedback, Ledger
from loresmith.serving.audit.record import Content
from loresmith.serving.feedback.collecting import Collected, collect
from loresmith.serving.feedback.given import GivenFeedback, take
from loresmith.serving.identity.principal import Principal
from tests.cli.conftest import CommandLine
from tests.ledger.conftest import empty_file  # noqa: F401 - a fixture
from tests.serving.audit.conftest import ledger, place  # noqa: F401 - fixtures
from tests.serving.audit.places import auditing, keys_of, record

ADA = Principal("user:ada", ("physicians",), frozenset({"clinical"}), "ward", "k-1")
TALK = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good morning.", "refusal": None},
    {"role": "user", "content": "What ails the patient in bed 7?"},
)


def answer(ledger: Ledger, folder: Path, *responses: str, **facts: Any) -> None:  # noqa: F811
    """Answered questions of `user:ada`, each with an answer of its own."""

    async def run() -> None:
        async with auditing(ledger, folder) as audit:
            for response in responses:
                await audit.intent(record(response, **facts), Content(messages=TALK))
                said = Content(answer={"role": "assistant", "content": f"A broken leg ({response}).", "refusal": None})
                facts_then = {**facts, "status": 200, "answer_labels": ["clinical", "ward-7"]}
                await audit.outcome(record(response, "outcome", **facts_then), said)

    asyncio.run(run())


def give(ledger: Ledger, folder: Path, who: Principal = ADA, **said: Any) -> Feedback:  # noqa: F811
    return take(ledger, keys_of(ledger, folder), who, GivenFeedback.model_validate(said))


def test_feedback_carries_the_labels_and_the_consent_of_the_request(ledger: Ledger, tmp_path: Path) -> None:  # noqa: F811
    answer(ledger, tmp_path, "r-1")
    answer(ledger, tmp_path, "r-2", consent=True)
    facts = give(ledger, tmp_path, response="r-1", rating="up").facts
    assert facts["labels"] == ["clinical", "ward-7"]
    assert (facts["kind"], facts["rating"], facts["consent"], facts["release"]) == ("thumb", "up", False, "acme")
    assert give(ledger, tmp_path, response="r-1", rating="up", consent=True).facts["consent"]
    assert give(ledger, tmp_path, response="r-2", rating="up").facts["consent"]
    assert not give(ledger, tmp_path, response="r-2", rating="up", consent=False).facts["consent"]
    assert ledger.log.verify().problems == ()


def test_words_are_kept_sealed_or_not_at_all(ledger: Ledger, tmp_path: Path) -> None:  # noqa: F811
    answer(ledger, tmp_path, "r-1")
    given = give(ledger, tmp_path, response="r-1", correction="A broken arm.", comment="look again")
    assert b"broken arm" not in (given.content or b"")
    opened = json.loads(keys_of(ledger, tmp_path).open(given.content or b"", given.id, "feedback"))
    assert opened == {"correction": "A broken arm.", "comment": "look again"}
    said = GivenFeedback(response="r-1", rating="down", comment="look again")
    bare = take(ledger, keys_of(ledger, tmp_path), ADA, said, keep_content=False)
    assert (bare.content, bare.facts["rating"]) == (None, "down")
    assert give(ledger, tmp_path, response="r-1", rating="up").content is None


def test_only_who_was_answered_can_say_something_and_nobody_learns_whose_it_is(
    ledger: Ledger,  # noqa: F811
    tmp_path: Path,
) -> None:
    answer(ledger, tmp_path, "r-1")
    ledger.audit_records.append([record("denied", allowed=False).row(), record("denied", "outcome", status=403).row()])
    ledger.audit_records.append([record("open").row()])
    eve = Principal("user:eve", (), frozenset(), "ward", "k-2")
    elsewhere = Principal("user:ada", (), frozenset(), "default", "k-3")
    for who, response in ((eve, "r-1"), (elsewhere, "r-1"), (ADA, "r-9"), (ADA, "denied"), (ADA, "open")):
        with pytest.raises(UserError) as refused:
            give(ledger, tmp_path, who, response=response, rating="up")
        assert refused.value.what == f"there is no answer {response} that you were given"
    assert list(ledger.feedback.list()) == []


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"rating": "sideways"},
        {"preferred": "a"},
        {"rejected": "a"},
        {"correction": ""},
        {"correction": "a", "preferred": "b", "rejected": "c"},
        {"rating": "up", "thumb": "up"},
    ],
)
def test_what_says_nothing_or_two_things_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        GivenFeedback.model_validate({"response": "r-1", **said})


def workspace_with_feedback(folder: Path) -> None:
    """A workspace in which callers have said things of every kind."""
    with Workspace.init(folder) as workspace:
        state = workspace.place.state
        answer(workspace.ledger, state, "r-1", "r-2", "r-3", "r-4", "r-5", "r-6")
        for said in (
            {"response": "r-1", "rating": "up", "consent": True},
            {"response": "r-2", "correction": "A broken arm.", "consent": True},
            {"response": "r-3", "preferred": "Both legs.", "rejected": "No idea.", "consent": True},
            {"response": "r-4", "rating": "up"},
            {"response": "r-5", "rating": "down", "consent": True},
            {"response": "r-6", "rating": "down", "consent": True},
            {"response": "r-6", "correction": "A broken toe.", "consent": True},
        ):
            give(workspace.ledger, state, **said)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    workspace_with_feedback(tmp_path)
    monkeypatch.chdir(tmp_path)
    return CommandLine(tmp_path, capsys)


def test_feedback_becomes_a_dataset_to_learn_from(cli: CommandLine) -> None:
    done = cli("feedback", "collect", "--because", "fine-tuning", "--validation-share", "0", "--json")
    assert done.status == 0, done.err
    assert done.json["records"] == {"correction": 2, "preference": 1, "thumb": 1}
    assert done.json["left_out"] == {
        "does not say what is right": 1,
        "no consent": 1,
        "replaced by what was said later": 1,
    }
    assert done.json["labels"] == ["clinical", "ward-7"]
    assert done.json["quarantined"] == 0
    with Workspace.open(cli.folder) as workspace:
        directory = workspace.ledger.assets.directory(done.json["digest"])
        records = list(read_records(directory))
        rows = pq.read_table(directory / "records.parquet").to_pylist()
        notes = workspace.ledger.log.payloads(range(workspace.ledger.log.head().size)).values()
        lineage = workspace.ledger.lineage(done.json["digest"])
        assert [node.step for node in lineage.nodes if node.type == "action"] == ["ingest-messages"]
    learnt = [each.messages[-1]["content"] for each in records]
    assert learnt == ["A broken leg (r-1).", "A broken arm.", "Both legs.", "A broken toe."]
    for each in records:
        assert [message["role"] for message in each.messages] == ["system", "user", "assistant", "user", "assistant"]
        assert [message.get("weight", 1) for message in each.messages if message["role"] == "assistant"] == [0, 1]
    rejected = [json.loads(row["metadata"]).get("rejected") for row in rows]
    assert rejected == [None, "A broken leg (r-2).", "No idea.", "A broken leg (r-6)."]
    assert all(row["labels"] == ["clinical", "ward-7"] for row in rows)
    assert sum("because fine-tuning" in note for note in notes) == 1
    assert not list((cli.folder / ".loresmith").glob("feedback-*"))
    out = cli("feedback", "collect", "--because", "fine-tuning", "--validation-share", "0").out
    assert "2 of a correction, 1 of a preference, 1 of a thumb" in out
    assert "left out 1: no consent" in out


def test_who_collects_says_why_and_hears_what_there_is(cli: CommandLine) -> None:
    assert cli("feedback", "collect", "--because", " ").status == 2
    nobody = cli("feedback", "collect", "--because", "fine-tuning", "--release", "other")
    assert nobody.status == 2
    assert "there is no feedback to learn from" in nobody.err


def test_what_was_erased_is_not_learnt(cli: CommandLine) -> None:
    assert cli("audit", "erase", "--tenant", "ward", "--because", "they left", "--json").json["feedback"] == 3
    refused = cli("feedback", "collect", "--because", "fine-tuning")
    assert refused.status == 2
    assert "4 erased" in refused.err


def test_an_answer_whose_content_was_not_kept_is_not_learnt(cli: CommandLine) -> None:
    with Workspace.open(cli.folder) as workspace:
        rows = [record("r-7").row(), record("r-7", "outcome", status=200).row()]
        workspace.ledger.audit_records.append(rows)
        give(workspace.ledger, workspace.place.state, response="r-7", correction="An arm.", consent=True)
        collected = Collected()
        lines = list(collect(workspace.ledger, keys_of(workspace.ledger, workspace.place.state), collected))
    assert len(lines) == collected.records.total() == 4
    assert collected.left_out["what was said was not kept"] == 1


def test_of_several_answers_it_says_which(ledger: Ledger, tmp_path: Path) -> None:  # noqa: F811
    async def answered() -> None:
        said = [{"role": "assistant", "content": f"The {leg} leg."} for leg in ("left", "right", "third")]
        async with auditing(ledger, tmp_path) as audit:
            await audit.intent(record("r-1", choices=3, consent=True), Content(messages=TALK))
            content = Content(answer=said[0], others=tuple(said[1:]))
            await audit.outcome(record("r-1", "outcome", status=200, choices=3, consent=True), content)

    asyncio.run(answered())
    give(ledger, tmp_path, response="r-1", choice=1, rating="up")
    give(ledger, tmp_path, response="r-1", choice=2, correction="No leg.")
    give(ledger, tmp_path, response="r-1", rating="down")
    collected = Collected()
    made = [json.loads(line) for line in collect(ledger, keys_of(ledger, tmp_path), collected)]
    assert [(each["messages"][-1]["content"], each["metadata"].get("rejected")) for each in made] == [
        ("The right leg.", None),
        ("No leg.", "The third leg."),
    ]
    assert "replaced by what was said later" not in collected.left_out
