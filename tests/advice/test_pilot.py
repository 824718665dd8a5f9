"""The pilot: its parts are nested and hold nothing that it is scored on; stopped anywhere, it ends as if it never
was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from loresmith.advice.pilot import Pilot, PilotSettings, run_pilot
from loresmith.advice.pilot_text import choose_text, write_part
from loresmith.advice.tokens import own_tokenizer
from loresmith.data.corpus import read_documents
from loresmith.errors import Interrupted
from loresmith.models.architecture import Architecture
from tests.advice.corpora import document, prose, write_corpus
from tests.step_context import RecordingContext

SMALL = Architecture(layers=1, width=32, head_dim=16)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [document(f"{n}.txt", prose(n, 600), group=f"g{n // 2}") for n in range(48)]
    rows += [document(f"v{n}.txt", prose(100 + n, 150), "validation") for n in range(24)]
    rows += [document(f"x{n}.txt", prose(200 + n, 600), uses=["retrieve"]) for n in range(4)]
    return write_corpus(tmp_path_factory.mktemp("pilot") / "corpus", rows).directory


def test_a_smaller_part_is_in_every_larger_one_and_groups_stay_whole(corpus: Path) -> None:
    text = choose_text(corpus, 1e9, 10**6, 3, seed=1)
    assert {name for name, _ in text.groups[0]} == {f"g{n}" for n in range(24)}
    for subset in range(3):
        parts = [text.chosen(subset, share) for share in (0.1, 0.3, 0.6, 1.0)]
        assert all(small < large for small, large in pairwise(parts))
        sizes = dict(text.groups[subset])
        for share, part in zip((0.1, 0.3, 0.6, 1.0), parts, strict=True):
            assert sum(sizes[name] for name in part) / text.bytes == pytest.approx(share, abs=0.05)
    assert text.chosen(0, 0.3) != text.chosen(1, 0.3)


def test_only_what_may_be_learnt_from_is_and_nothing_that_is_scored(corpus: Path, tmp_path: Path) -> None:
    text = choose_text(corpus, 1e9, 10**6, 1, seed=1)
    write_part(corpus, text.chosen(0, 1.0), tmp_path / "part", lambda: None)
    learnt = {row["path"] for batch in read_documents(tmp_path / "part", ("path",)) for row in batch.to_pylist()}
    assert learnt == {f"{n}.txt" for n in range(48)}
    assert len(text.held_out) == 24


def test_without_a_validation_split_groups_are_held_out_whole(tmp_path: Path) -> None:
    rows = [document(f"{n}.txt", prose(n, 100), group=f"g{n // 2}") for n in range(100)]
    text = choose_text(write_corpus(tmp_path / "corpus", rows).directory, 1e9, 10**6, 1, seed=1)
    groups = {row["id"]: row["group"] for row in rows}
    held_out = {groups[each.id] for each in text.held_out}
    assert len(text.held_out) == 10
    assert len(held_out) == 5
    assert not held_out & text.chosen(0, 1.0)


def small_pilot(corpus: Path, tokenizer: Path, context: RecordingContext, seeds: int = 1, minutes: float = 10) -> Pilot:
    settings = PilotSettings(
        shares=(0.5, 0.7, 1.0),
        subsets=1,
        seeds=seeds,
        tokens=100_000 * seeds,
        minutes=minutes,
        architecture=SMALL,
        vocabulary_size=512,
    )
    return run_pilot(corpus, tokenizer, 3.0, 150_000, 1e4, settings, context)


def test_a_pilot_that_was_stopped_goes_on_and_ends_the_same(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    tokenizer = own_tokenizer(corpus, tmp_path / "tokenizer", 512, lambda: None)
    whole = RecordingContext(tmp_path / "whole", seed=1)
    expected = small_pilot(corpus, tokenizer, whole)
    assert expected.ran
    assert [point.share for point in expected.curve.points] == [0.5, 0.7, 1.0]
    losses = [point.bits_per_byte for point in expected.curve.points]
    assert losses[0] > losses[-1] > 0

    folder = tmp_path / "stopped"
    for patience in (5, 12):  # in the midst of the first training, and of the second
        with pytest.raises(Interrupted):
            small_pilot(corpus, tokenizer, RecordingContext(folder, seed=1, stop_after=patience))
    assert len(list(folder.glob("work/pilot/*/result.json"))) == 1
    context = RecordingContext(folder, seed=1)
    assert small_pilot(corpus, tokenizer, context) == expected
    assert any("going on after step" in line for line in context.logs)
    said = [line for line in context.logs if line.startswith("the pilot: ")]
    assert [line.partition(";")[0] for line in said[1:]] == [
        f"the pilot: {number} of 3, {share}% of the text" for number, share in ((1, 50), (2, 70), (3, 100))
    ]
    assert [line.endswith("left") for line in said] == [False, True, True, False]
    trained = {name.partition("/")[0] for name, _, _ in context.metrics if name.endswith("/loss")}
    assert trained == {"pilot-70", "pilot-100"}  # what had finished is not made again


@pytest.mark.slow
def test_all_of_the_text_is_tried_with_several_seeds_if_that_is_wanted(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    tokenizer = own_tokenizer(corpus, tmp_path / "tokenizer", 512, lambda: None)
    found = small_pilot(corpus, tokenizer, RecordingContext(tmp_path / "run", seed=1), seeds=2)
    of_all = [point for point in found.curve.points if point.share == 1]
    assert [point.subset for point in of_all] == [0, 1]
    assert of_all[0].tokens == of_all[1].tokens
    assert of_all[0].bits_per_byte != of_all[1].bits_per_byte


def test_what_the_scoring_takes_is_part_of_the_minutes(corpus: Path, tmp_path: Path) -> None:
    """200,000 characters a model, a third of the time that learning them would take: of three models 0.11 minutes at
    10,000 tokens a second, which leaves too little of 0.2 minutes to learn in."""
    (tmp_path / "tokenizer").mkdir()
    tokenizer = own_tokenizer(corpus, tmp_path / "tokenizer", 512, lambda: None)
    found = small_pilot(corpus, tokenizer, RecordingContext(tmp_path / "run", seed=1), minutes=0.2)
    assert not found.ran
    assert "are the least that teach a model anything" in found.curve.because


def test_too_little_text_is_said_to_be_too_little(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    tokenizer = own_tokenizer(corpus, tmp_path / "tokenizer", 512, lambda: None)
    settings = PilotSettings(
        shares=(0.1, 0.3, 1.0), subsets=2, seeds=1, tokens=100_000, minutes=10, architecture=SMALL, vocabulary_size=512
    )
    found = run_pilot(corpus, tokenizer, 3.0, 150_000, 1e4, settings, RecordingContext(tmp_path / "run", seed=1))
    assert not found.ran
    assert "steps of 1,024 tokens" in found.curve.because


RECIPE = """
name: words
steps:
  files: {step: ingest, path: texts, licence: CC0-1.0, owner: the archive}
  corpus: {step: curate, documents: files, validation_share: 0.2}
"""


@pytest.mark.slow
def test_readiness_that_is_killed_goes_on_and_says_the_same(tmp_path: Path) -> None:
    """The whole of it by the command line: recipe, run, kill, again, cached."""
    program = [str(Path(sys.executable).parent / "loresmith")]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}

    def call(*words: str, at: Path) -> str:
        done = subprocess.run([*program, *words], cwd=at, env=settings, capture_output=True, text=True, check=True)
        return done.stdout

    killed = tmp_path / "killed"
    call("init", str(killed), at=tmp_path)
    (killed / "texts").mkdir()
    for n in range(300):
        (killed / "texts" / f"{n}.txt").write_text(prose(n, 1000), encoding="utf-8")
    (killed / "words.yaml").write_text(RECIPE, encoding="utf-8")
    call("run", "words.yaml", at=killed)
    whole = tmp_path / "whole"
    shutil.copytree(killed, whole)

    words = ["data", "readiness", "words/corpus", "--set", "pilot_minutes=60", "--set", "pilot_tokens=400k"]
    expected = json.loads(call(*words, "--json", at=whole))
    process = subprocess.Popen([*program, *words], cwd=killed, env=settings, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(killed.glob(".loresmith/work/*/state/pilot/*/result.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = json.loads(call(*words, "--json", at=killed))
    for key in ("verdict", "pilot", "tokens", "quality", "personal_data", "contents"):
        assert found[key] == expected[key], key
    assert json.loads(call(*words, "--json", at=killed))["report"] == found["report"]  # cached
    assert "fine-tuning" in call(*words, "--to", str(tmp_path / "out"), at=killed)
    assert (tmp_path / "out" / "readiness.html").is_file()
