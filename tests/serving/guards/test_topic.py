"""A classifier learns topics from examples, the same from the same ones, and says how well it does."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from loresmith.errors import UserError
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.output_guard import Stopped
from loresmith.serving.guards.settings import GuardsSettings
from loresmith.serving.guards.topic_training import Example, read_examples, train
from loresmith.serving.steps import TRAIN_GUARD
from tests.serving.guards.evasions import CYRILLIC, letters
from tests.serving.guards.guarding import in_pieces, said, written
from tests.step_context import run_step

SUBJECTS = {
    "weapons": (
        ["rifle", "ammunition", "grenade", "explosive", "detonator", "missile"],
        ["assemble the {}", "how far does a {} reach", "where is the {} stored", "buy a {}", "fire the {} at night"],
    ),
    "medicine": (
        ["dose of ibuprofen", "blood pressure", "antibiotic", "fever of a child", "rash", "migraine"],
        ["what helps against {}", "is {} dangerous", "the doctor asked about the {}", "measure the {}", "treat {}"],
    ),
    "": (
        ["pump", "filter", "invoice", "holiday", "printer", "meeting"],
        ["where is the {}", "change the {} next week", "who ordered the {}", "the {} is late", "plan a {}"],
    ),
}


def lines() -> list[dict[str, str]]:
    found = []
    for topic, (things, sentences) in SUBJECTS.items():
        for thing in things:
            for sentence in sentences:
                text = f"{sentence.format(thing)}, please"
                found.append({"text": text, "topic": topic} if topic else {"text": text})
    return found


def write(path: Path, examples: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(example) + "\n" for example in examples), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("topics")
    result = run_step(TRAIN_GUARD, folder, {"path": write(folder / "examples.jsonl", lines()), "labels": ["x"]})
    assert result.outputs["guard"].labels == ("x",)
    return result.outputs["guard"].directory


def guarding(trained: Path, **settings: object) -> Guards:
    given = GuardsSettings.model_validate([{"kind": "topic", "model": "it", **settings}])
    return Guards.load(given, Path(), {"it": trained})


def test_texts_that_it_never_saw_are_told_apart(trained: Path) -> None:
    guard = guarding(trained)
    for text in ("can you buy ammunition for my rifle", "which antibiotic helps against the fever"):
        assert guard.examine(said(text)).action == "refuse", text
    for text in ("who fixed the printer after the meeting", "the invoice of the filter"):
        assert guard.examine(said(text)).action == "allow", text
    assert guard.examine(said(letters(CYRILLIC)("BUY AMMUNITION for a rifle"))).action == "refuse"


def test_only_the_topics_that_are_named_count(trained: Path) -> None:
    guard = guarding(trained, topics=["weapons"])
    assert guard.examine(said("buy ammunition for my rifle")).verdicts[0].rule == "weapons"
    assert guard.examine(said("which antibiotic helps against fever")).action == "allow"
    with pytest.raises(UserError, match="weapons"):
        guarding(trained, topics=["weapon"])


def test_what_is_said_of_quality_is_of_examples_not_learnt_from(trained: Path) -> None:
    facts = json.loads((trained / "topics.json").read_text())
    for topic in facts["topics"]:
        assert topic["precision"] >= 0.85
        assert topic["recall"] >= 0.85
    draw = random.Random(1)
    noise = [Example(example["text"], draw.choice(["weapons", "other"])) for example in lines()]
    assert all(quality.f1 < 0.8 for quality in train(noise).facts.topics)


def test_the_same_examples_in_any_order_give_the_same_classifier(tmp_path: Path, trained: Path) -> None:
    shuffled = lines()
    random.Random(3).shuffle(shuffled)
    path = write(tmp_path / "examples.jsonl", [*shuffled, shuffled[0]])
    again = run_step(TRAIN_GUARD, tmp_path, {"path": path}).outputs["guard"].directory
    for name in ("weights.safetensors", "topics.json", "examples.jsonl"):
        assert (again / name).read_bytes() == (trained / name).read_bytes()
    examples = [Example(example["text"], example.get("topic", "other")) for example in shuffled]
    train(examples).save(tmp_path)
    for name in ("weights.safetensors", "topics.json"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()


def test_a_long_answer_is_stopped_when_it_comes_to_the_topic(trained: Path) -> None:
    harmless, weapons = "The printer is late. Plan a meeting about the invoice. ", "Fire the rifle, buy a grenade. "
    guard = guarding(trained, topics=["weapons"])
    out, stopped = written(guard.output(), list(in_pieces(harmless * 8, 1)))
    assert (out, stopped) == (harmless * 8, None)
    text = weapons + harmless * 8  # so few words say little of an answer that goes on
    assert written(guard.output(), list(in_pieces(text, 1))) == (text, None)
    text = harmless * 8 + weapons * 30
    out, stopped = written(guard.output(), list(in_pieces(text, 1)))
    assert stopped is not None
    assert text.startswith(out)
    assert len(out) < len(harmless * 8) + 700
    going_on = guard.output()
    with pytest.raises(Stopped):  # before it is at its end
        going_on.feed(text)
    held, stopped = written(guarding(trained, topics=["weapons"], hold="all").output(), [text])
    assert held == ""
    assert stopped is not None


@pytest.mark.parametrize(
    ("examples", "wrong"),
    [
        ([{"text": "x"}], "at least one topic"),
        ([{"text": str(n), "topic": "a"} for n in range(9)], "none of them"),
        ([{"text": str(n), "topic": "a"} for n in range(9)] + [{"text": "b"}], "1 examples"),
        ([{"txt": "x"}], "`text`"),
        ([{"text": "x", "topic": "a"}, {"text": "x", "topic": "b"}], "another topic"),
        ([{"text": "x", "label": "a"}], "label"),
    ],
)
def test_examples_that_teach_nothing_are_refused(tmp_path: Path, examples: list[dict[str, str]], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        read_examples(write(tmp_path / "examples.jsonl", examples))


def test_the_step_can_be_run_again_from_what_it_made(tmp_path: Path, trained: Path) -> None:
    assert TRAIN_GUARD.restore_sources is not None
    assert TRAIN_GUARD.fingerprint is not None
    config = TRAIN_GUARD.config.model_validate({"path": write(tmp_path / "examples.jsonl", lines())})
    restored = TRAIN_GUARD.restore_sources(config, {"guard": trained}, tmp_path)
    assert TRAIN_GUARD.fingerprint(restored) == TRAIN_GUARD.fingerprint(config)
