"""What the command line says no to, and how: a message with file, line, key and the nearest name; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.cli import main as entry
from tests.cli.conftest import CommandLine, environment, tiny_model

WRONG_REQUESTS = {
    "unknown command": (["rnus"], "did you mean 'runs'"),
    "unknown command of a noun": (["assets", "lst"], "did you mean 'ls'"),
    "unknown option": (["run", "--resme"], "did you mean '--resume'"),
    "unknown option of a default command": (["runs", "--limt", "3"], "did you mean '--limit'"),
    "missing argument": (["lineage"], "missing argument 'ASSET'"),
    "missing option": (["releases", "promote", "a", "words"], "missing option '--because'"),
    "not a number": (["complete", "writer", "x", "--seed", "many"], "'many' is not a valid integer"),
    "out of range": (["complete", "writer", "x", "--top-p", "2"], "--top-p: should be less than or equal to 1, got 2"),
    "unknown choice": (["assets", "ls", "--kind", "modl"], "did you mean 'model'"),
    "unknown run": (["runs", "show", "2026"], "2026"),
    "unknown release": (["releases", "history", "wrods"], "did you mean 'words'"),
    "unknown asset": (["assets", "show", "words/bth"], "did you mean 'words/both'"),
    "unknown step": (["steps", "join-txt"], "did you mean 'join-text'"),
    "not a model": (["complete", "words", "x"], "this asset is a corpus, not a model"),
    "not an index": (["index", "search", "words", "x"], "error: words is a corpus, and an index is needed"),
    "no export": (
        ["audit", "verify", "--export", "none.jsonl"],
        "error: none.jsonl: there is no such file\n  `audit export` makes one",
    ),
    "missing recipe": (["plan", "none.yaml"], "none.yaml: cannot be read"),
    "resume and recipe": (["run", "recipe.yaml", "--resume"], "--resume"),
    "export into a full folder": (["assets", "export", "words", "."], "not empty"),
    "size without root": (["ledger", "verify", "--size", "2"], "--expect-root"),
    "not a root": (["ledger", "verify", "--expect-root", "abc"], "--expect-root"),
    "no such leaf": (["ledger", "proof", "100000"], "100000"),
    "no workspace": (["runs", "-w", "/"], "not in a Loresmith workspace"),
    "conversation as JSON": (["chat", "writer", "--json"], "--message"),
    "documents that are not there": (["init", "x", "--documents", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize(("words", "said"), WRONG_REQUESTS.values(), ids=WRONG_REQUESTS.keys())
def test_a_wrong_request_is_status_2_and_one_clear_message(words: list[str], said: str, cli: CommandLine) -> None:
    done = cli(*words)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "Traceback" not in done.err + done.out


BAD_RECIPES = {
    "unknown key": ("name: w\nsteps:\n  a: {step: write-text, text: x, tmes: 2}\n", ":3", "did you mean 'times'"),
    "unknown key at the top": ("nam: w\nname: w\nsteps:\n  a: {step: write-text, text: x}\n", ":1", "'nam'"),
    "wrong type": ("name: w\nsteps:\n  a:\n    step: write-text\n    text: x\n    times: often\n", ":6", "times"),
    "unknown key of an ingest": (
        "name: w\nsteps:\n  a: {step: ingest, path: ., pth: x}\n",
        ":3",
        "in steps.a, an ingest step; did you mean 'path'",
    ),
    "unknown step": ("name: w\nsteps:\n  a: {step: wite-text}\n", ":3", "did you mean 'write-text'"),
    "not YAML": ("name: w\nsteps: [\n", ":3", "YAML"),
}


@pytest.mark.parametrize(("text", "line", "said"), BAD_RECIPES.values(), ids=BAD_RECIPES.keys())
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_mistake_in_a_recipe_names_file_line_and_key(
    command: str, text: str, line: str, said: str, fresh: CommandLine
) -> None:
    fresh.write("bad.yaml", text)
    done = fresh(command, "bad.yaml")
    assert done.status == 2
    assert f"bad.yaml{line}" in done.err
    assert said in done.err
    assert fresh("runs", "--json").json == {"runs": []}


def test_a_step_that_fails_is_status_1_and_one_that_refuses_is_status_2(fresh: CommandLine) -> None:
    for how, status, said in (("raise", 1, "one divided by nothing"), ("user-error", 2, "record 7 has no text")):
        fresh.write("bad.yaml", f"name: bad\nsteps:\n  a: {{step: misbehave, how: {how}}}\n")
        done = fresh("run", "bad.yaml")
        assert done.status == status
        assert said in done.err
        assert "Traceback" not in done.err
        shown = fresh("runs", "--json").json["runs"][0]
        assert shown["status"] == "failed"
        detail = fresh("runs", "show", shown["id"])
        assert detail.status == 0
        assert said in detail.out
        assert fresh("runs", "watch", shown["id"]).status == 1


def test_damage_is_status_1(fresh: CommandLine) -> None:
    fresh.write("r.yaml", "name: w\nsteps:\n  a: {step: write-text, text: precious}\n")
    assert fresh("run", "r.yaml").status == 0
    assert fresh("assets", "verify").status == 0
    (blob,) = (path for path in (fresh.folder / ".loresmith" / "blobs").rglob("*") if _holds(path, b"precious"))
    blob.chmod(0o644)
    blob.write_bytes(b"previous")
    done = fresh("assets", "verify", "w/a")
    assert done.status == 1
    assert blob.name[:8] in done.out
    assert "1 damaged" in done.out
    assert fresh("assets", "verify", "--json").json["sound"] is False


def test_a_model_that_is_damaged_writes_nothing(fresh: CommandLine, tmp_path: Path) -> None:
    with Workspace.open(fresh.folder) as workspace:
        model = workspace.assets.add("model", tiny_model(tmp_path)).digest
    assert fresh("complete", model, "hello", "--max-new-tokens", "4").status == 0
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    (blob,) = (path for path in (fresh.folder / ".loresmith" / "blobs").rglob("*") if _holds(path, weights))
    blob.chmod(0o644)
    blob.write_bytes(weights[:-8] + bytes(8))
    done = fresh("complete", model, "hello", "--max-new-tokens", "4")
    assert done.status == 1
    assert "the model is damaged" in done.err
    assert done.out == ""


@pytest.mark.parametrize("words", [("assets", "show"), ("complete",), ("trace", "document"), ("init",), ("books",)])
def test_arguments_that_are_not_utf_8_are_refused_as_such(words: tuple[str, ...], fresh: CommandLine) -> None:
    done = fresh(*words, "a\udcffb")
    assert done.status == 2
    assert f"argument {len(words) + 1} is not UTF-8: a\\xffb" in done.err


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def test_a_root_that_the_log_never_had_is_status_1(fresh: CommandLine) -> None:
    fresh.write("r.yaml", "name: w\nsteps:\n  a: {step: write-text, text: x}\n")
    fresh("run", "r.yaml")
    before = fresh("ledger", "verify", "--json").json
    assert fresh("releases", "promote", "w", "w/a", "--kind", "corpus", "--because", "a test").status == 0
    noted = ["--expect-root", before["root"], "--size", str(before["size"])]
    assert fresh("ledger", "verify", *noted, "--json").json["anchored"] is True
    for words in (["--expect-root", "0" * 64], ["--expect-root", before["root"], "--size", "2"], [*noted[:3], "999"]):
        done = fresh("ledger", "verify", *words, "--json")
        assert done.status == 1
        assert done.json["anchored"] is False
        assert done.json["problems"]


def test_ctrl_c_is_status_130_within_five_seconds(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", "name: slow\nsteps:\n  count: {step: count-slowly, to: 1000}\n")
    took = []
    for _ in range(3):  # a machine that stands still is as late as it was
        running = fresh.start("run", "slow.yaml")
        assert running.stderr is not None
        for line in running.stderr:
            if "counting on" in line:
                break
        asked = time.monotonic()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        took.append(time.monotonic() - asked)
        assert running.returncode == 130
        assert "Traceback" not in err
        assert "loresmith run --resume" in err
        assert fresh("runs", "--json").json["runs"][0]["status"] == "interrupted"
        if took[-1] < 5:
            break
    assert min(took) < 5


def test_ctrl_c_elsewhere_is_status_130_without_a_traceback(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    running = cli.start("chat", "writer", "--max-new-tokens", "3", stdin=subprocess.PIPE)
    assert running.stdin is not None
    assert running.stdout is not None
    running.stdin.write("Hello\n")
    running.stdin.flush()
    # Not while a library is being imported: it may be lost in it; a person presses again.
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_goes_away_is_no_failure(cli: CommandLine) -> None:
    script = f"{sys.executable} -m loresmith steps 2>&1 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=cli.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_of_the_progress_that_goes_away_does_not_end_the_run(fresh: CommandLine) -> None:
    fresh.write("slow.yaml", "name: slow\nsteps:\n  count: {step: count-slowly, to: 20}\n")
    script = f"{sys.executable} -m loresmith run slow.yaml 2>&1 >/dev/null | head -1"
    subprocess.run(["bash", "-c", script], cwd=fresh.folder, capture_output=True, check=True)
    assert fresh("runs", "--json").json["runs"][0]["status"] == "completed"


def test_a_defect_is_one_line_and_a_file(fresh: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A damaged command stands for a defect that nobody foresaw: its module has no COMMANDS."""
    entries = {"broken": entry.ENTRIES["runs"]._replace(module="screen")}
    monkeypatch.setattr(entry.LORESMITH, "entries", entries)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = fresh("broken")
    assert done.status == 1
    assert "Traceback" not in done.err
    (file,) = tmp_path.glob("loresmith-*.traceback")
    assert str(file) in done.err
    assert "AttributeError" in file.read_text(encoding="utf-8")
    monkeypatch.setenv("LORESMITH_DEBUG", "1")
    assert "Traceback" in fresh("broken").err


def test_the_workspace_can_be_named_by_option_and_by_environment(cli: CommandLine, tmp_path: Path) -> None:
    here = cli("releases", "--json").json
    os.chdir(tmp_path)
    assert cli("releases", "--json").status == 2
    assert cli("releases", "--json", "-w", cli.folder).json == here
    asked = subprocess.run(
        [sys.executable, "-m", "loresmith", "releases", "--json"],
        env=environment(LORESMITH_WORKSPACE=str(cli.folder)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"words"' in asked.stdout
