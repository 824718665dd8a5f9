"""The main job from files to release, small: on real source, through the command line, with sockets forbidden."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from loresmith import Workspace

NO_SOCKETS = """
import os, socket

def tried():  # a library may swallow the error; the file remembers
    with open(os.environ["SOCKETS_TRIED"], "a") as file:
        file.write("%d %s" % (os.getpid(), " ".join(__import__("sys").argv)) + chr(10))

class Forbidden(socket.socket):
    def __init__(self, family=socket.AF_INET, *rest, **named):
        if family != socket.AF_UNIX:
            tried()
            raise PermissionError("a socket was opened: nothing phones home")
        super().__init__(family, *rest, **named)

def forbidden(*_):
    tried()
    raise PermissionError("a name was looked up: nothing phones home")

socket.socket = Forbidden
socket.getaddrinfo = socket.create_connection = forbidden
"""

RECIPE = """\
name: small
seed: 5
compute: {threads: 2}
steps:
  files: {step: ingest, path: LIB, include: ["json/**/*.py", "email/**/*.py", "logging/**/*.py"], licence: PSF-2.0}
  corpus: {step: curate, documents: files, validation_share: 0.1, test_share: 0.15}
  tokenizer: {step: train-tokenizer, corpus: corpus, vocabulary_size: 640}
  tokens: {step: pack, corpus: corpus, tokenizer: tokenizer}
  floor: {step: baseline, corpus: corpus, tokenizer: tokenizer}
  base:
    step: pretrain
    tokens: tokens
    architecture: {family: qwen3, layers: 2, width: 64}
    budget_tokens: 40k
    batch_tokens: 1024
    micro_batch_tokens: 1024
    sequence_length: 128
    held_out_interval: 10k
    held_out_tokens: 4k
    checkpoint_seconds: 0.3
  report: {step: evaluate, model: base, corpus: corpus, baseline: floor, samples: 1, resamples: 200}
release: {name: small, asset: base, channel: production}
"""


class Job:
    """A workspace whose commands run without a network."""

    def __init__(self, folder: Path, no_sockets: Path) -> None:
        self.folder = folder
        self.recipe = folder / "job.yaml"
        search = os.pathsep.join(filter(None, [str(no_sockets), os.environ.get("PYTHONPATH")]))
        self.sockets_tried = no_sockets / "tried"
        self.environment = {
            **os.environ,
            "PYTHONPATH": search,
            "LORESMITH_WORKSPACE": str(folder),
            "SOCKETS_TRIED": str(self.sockets_tried),
        }
        self.command("init", str(folder), "--bare")
        self.recipe.write_text(RECIPE.replace("LIB", sysconfig.get_path("stdlib")))

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "loresmith", *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *words: str) -> str:
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, out + err
        return out

    def answer(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command(*words, "--json"))
        return found

    def newest_events(self) -> list[dict[str, Any]]:
        """What the newest run has said so far."""
        with Workspace.open(self.folder) as workspace:
            runs = workspace.ledger.runs
            newest = runs.list(limit=1)
            return [event.model_dump() for event in runs.events(newest[0].id)] if newest else []

    def is_at_work(self, step: str) -> bool:
        """Whether a step is under way and has written something."""
        started = [event for event in self.newest_events() if event["kind"] == "step-started" and event["step"] == step]
        if not started:
            return False
        work = self.folder / ".loresmith" / "work" / started[-1]["data"]["key"]
        return any(path.is_file() for part in ("outputs", "state") for path in (work / part).rglob("*"))

    def has_finished(self, step: str) -> bool:
        ends = ("step-finished", "step-cached")
        return any(event["kind"] in ends and event["step"] == step for event in self.newest_events())

    def states(self, *settings: str) -> dict[str, str]:
        plan = self.answer("plan", str(self.recipe), *settings)
        return {step["name"]: step["state"] for step in plan["plan"]["steps"]}


@pytest.fixture(scope="module")
def no_sockets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("no-sockets")
    (folder / "sitecustomize.py").write_text(NO_SOCKETS)
    return folder


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, no_sockets: Path) -> Job:
    made = Job(tmp_path_factory.mktemp("job"), no_sockets)
    made.command("run", str(made.recipe))
    return made


def test_sockets_are_really_forbidden_in_whatever_a_command_starts(job: Job, tmp_path: Path) -> None:
    script = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    worker = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {script!r}])"
    environment = {**job.environment, "SOCKETS_TRIED": str(tmp_path / "tried")}
    for source in (script, worker):
        result = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True)
        assert "nothing phones home" in result.stderr
    assert len((tmp_path / "tried").read_text().splitlines()) == 2


def test_every_step_balances_its_books_and_the_ledger_verifies(job: Job) -> None:
    page = job.answer("summary")
    assert page["status"] == "completed"
    assert [step["name"] for step in page["steps"]] == [
        "files", "corpus", "tokenizer", "tokens", "floor", "base", "report",
    ]  # fmt: skip
    for step in page["steps"]:
        assert step["accounts"], step["name"]
        for account in step["accounts"]:
            assert account["entered"] == sum(entry["count"] for entry in account["left"])
    assert page["curve"][-1]["value"] < page["curve"][0]["value"]
    verdicts = page["evaluation"]["verdicts"]
    assert {verdict["baseline"]["name"] for verdict in verdicts} == {"xz", "xz-with-training", "5-gram"}
    assert page["samples"]
    assert job.answer("ledger", "verify")["problems"] == []


def test_a_document_is_followed_from_its_file_to_the_models_that_saw_it(job: Job) -> None:
    books = {step["name"]: step for step in job.answer("books")["steps"]}
    (entered, lessons, counted) = books["base"]["accounts"]
    assert lessons["entered"] == counted["entered"] == 40 * 1024
    with Workspace.open(job.folder) as workspace:
        lines = pq.read_table(workspace.assets[books["base"]["table"]].directory / "documents.parquet").to_pylist()
        corpus = pq.read_table(next(workspace.assets["small/corpus"].directory.glob("documents-*.parquet"))).to_pylist()
        base = workspace.assets["small/base"].digest
    assert sum(line["tokens"] for line in lines) == entered["entered"]
    learnt = next(line for line in lines if line["disposition"] == "kept")
    trace = job.answer("trace", "document", learnt["path"])["trace"]
    assert trace["document"] == learnt["document"]
    assert [fate["disposition"] for fate in trace["fates"]] == ["kept", "kept"]
    of_document = [line for line in lines if line["document"] == learnt["document"]]
    assert sum(lesson["tokens"] for lesson in trace["lessons"]) == sum(line["tokens"] for line in of_document)
    assert [(seen["asset"], seen["directly"], seen["releases"]) for seen in trace["seen_by"]] == [
        (base, True, ["small@production"])
    ]
    held_out = next(row for row in corpus if row["split"] == "test")
    trace = job.answer("trace", "document", held_out["id"])["trace"]
    assert (trace["fates"][-1]["split"], trace["lessons"], trace["seen_by"]) == ("test", [], [])
    assert trace["not_seen_by"] == 1
    unknown = job.start("trace", "document", "no such document")
    assert "no book of this workspace" in unknown.communicate()[1]
    assert unknown.returncode == 2


def test_a_second_run_finds_everything_done(job: Job) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    again = job.answer("run", str(job.recipe))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 15
    assert {step["state"] for step in again["steps"]} == {"cached"}


def test_the_page_says_what_a_newcomer_wants_to_know(job: Job) -> None:
    page = job.command("summary")
    known = job.answer("summary")
    for title in ("What went in and what came out", "How it learnt", "How good it is", "What it writes"):
        assert title in page
    assert f"{known['curve'][-1]['value']:.3f} at the end" in page
    for verdict in known["evaluation"]["verdicts"]:
        line = next(line for line in page.splitlines() if verdict["baseline"]["title"] in line)
        assert f"{verdict['baseline']['bits_per_byte']:.3f}" in line
        assert f"{abs(verdict['difference']):.3f} {'better' if verdict['difference'] < 0 else 'worse'}" in line
    assert known["model"] in page
    assert known["folder"] in page
    for command in ("complete small", "lineage small", "assets export small", "ledger verify"):
        assert f"loresmith {command}" in page


def test_another_learning_rate_redoes_training_and_what_follows(job: Job) -> None:
    states = job.states("--set", "steps.base.matrix_learning_rate=0.011")
    assert [name for name, state in states.items() if state == "to do"] == ["base", "report"]


def test_the_lineage_goes_from_files_to_release(job: Job) -> None:
    drawn = job.command("lineage", "small", "--format", "mermaid")
    for word in ("small/files", "small/corpus", "small/tokenizer", "small/tokens", "small/base", "small@production"):
        assert word in drawn


def test_the_exported_model_is_plain_transformers(job: Job, tmp_path: Path) -> None:
    job.command("assets", "export", "small", str(tmp_path / "model"))
    script = (
        "import sys, torch\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "out = model.generate(**tokenizer('def ', return_tensors='pt'), max_new_tokens=4, do_sample=False)\n"
        "assert 'loresmith' not in sys.modules\n"
        "print(repr(tokenizer.decode(out[0])))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model")], env=job.environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "def " in result.stdout


def test_the_released_model_completes_the_same_for_the_same_seed(job: Job) -> None:
    words = ("complete", "small", "def ", "--max-new-tokens", "5", "--seed", "3")
    first, second = job.answer(*words), job.answer(*words)
    assert first["text"] == second["text"] != ""


@pytest.mark.slow
def test_the_released_model_is_reproduced_from_the_snapshot_of_its_sources(job: Job) -> None:
    found = job.answer("reproduce", "small")
    assert found["same"]
    assert [step["name"] for step in found["steps"]] == [
        f"small/{name}" for name in ("files", "corpus", "tokenizer", "tokens", "base")
    ]
    assert found["steps"][0]["sources"] == "snapshot"
    assert found["steps"][-1]["threads"] == 2
    receipts = job.answer("assets", "show", "small")["receipts"]
    assert (receipts[-1]["kind"], receipts[-1]["passed"]) == ("reproduction", True)


def killed_at_work(job: Job, step: str, after: float) -> bool:
    """Start a job and kill it while a step is under way; or, and that is told, when the step is over already."""
    process = job.start("run", str(job.recipe))
    try:
        while not job.is_at_work(step):
            assert process.poll() is None, process.communicate()
            if job.has_finished(step):
                return False
            time.sleep(0.005)
        time.sleep(after)
        return True
    finally:
        process.kill()
        process.communicate()


STEPS = ("files", "corpus", "tokenizer", "tokens", "floor", "base", "report")
WRITING = {"files", "corpus", "tokens", "base"}
"""Steps that write as they go."""


@pytest.mark.parametrize("steps", [("corpus", "base"), pytest.param(STEPS, marks=pytest.mark.slow)], ids=["two", "all"])
def test_killed_in_its_steps_it_ends_with_the_same_model(
    job: Job, no_sockets: Path, tmp_path: Path, steps: tuple[str, ...]
) -> None:
    expected = job.answer("assets", "show", "small")["asset"]["digest"]
    draw = random.Random(11)
    for number in range(5):  # where a step was over before anybody looked, all begins anew
        other = Job(tmp_path / f"killed-{number}", no_sockets)
        at_work = {step for step in steps if killed_at_work(other, step, draw.uniform(0, 0.1))}
        if at_work >= WRITING & set(steps):
            break
    assert at_work >= WRITING & set(steps)
    other.command("run", str(other.recipe))
    assert other.answer("assets", "show", "small")["asset"]["digest"] == expected
    assert other.answer("ledger", "verify")["problems"] == []


def test_no_socket_was_tried_by_any_of_them(job: Job) -> None:
    assert not job.sockets_tried.exists(), job.sockets_tried.read_text()
