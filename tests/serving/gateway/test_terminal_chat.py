"""`loresmith chat URL` and `loresmith chat RELEASE`, in processes of its own, piped and at a terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.serving.gateway.faces import FORBIDDEN, STATED, Face
from tests.serving.gateway.gateways import make_workspace

SECONDS = 60


def chat(face: Face, *words: str, key: str | None = None, said: str = "", **environment: str) -> Any:
    """`loresmith chat` with a pipe, in a folder that is no workspace."""
    settings = {**os.environ, "LORESMITH_API_KEY": face.bob if key is None else key, **environment}
    return subprocess.run(
        [sys.executable, "-m", "loresmith", "chat", face.gateway.address, *words],
        input=said,
        env=settings,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )


def test_a_pipe_gets_plain_answers_line_by_line(face: Face) -> None:
    options = ("--temperature", "0", "--max-new-tokens", "8")
    once = json.loads(chat(face, *options, "-m", "Hello", "--json").stdout)
    assert once["asset"] == "acme"
    assert [message["role"] for message in once["messages"]] == ["user", "assistant"]
    done = chat(face, *options, said="Hello\n\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, once["reply"] + "\n", "")
    assert chat(face, *options, "-m", "Hello").stdout == once["reply"] + "\n"


def test_sources_stand_under_an_answer(face: Face) -> None:
    done = chat(face, "-m", "Where is the filter of the pump?", "--max-new-tokens", "3")
    assert done.stdout.splitlines()[-1] == "[1] pump.md"
    said = json.loads(chat(face, "-m", "Where is the filter of the pump?", "--max-new-tokens", "3", "--json").stdout)
    assert [(source["number"], source["path"], source["pages"]) for source in said["sources"]] == [(1, "pump.md", [])]


def test_the_key_may_stand_in_a_file(face: Face, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(face.ada + "\n")
    done = chat(face, "--key-file", str(file), "-m", "Hello", "--max-new-tokens", "3", key="")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "key", "status", "told"),
    [
        ((), "ls-none-" + "a" * 43, 2, "give an API key"),
        ((), "", 2, "an API key is needed"),
        (("--model", "nothing"), None, 2, "the model 'nothing' does not exist"),
    ],
)
def test_what_a_gateway_refuses_is_told_in_one_line(
    face: Face, words: tuple[str, ...], key: str | None, status: int, told: str
) -> None:
    done = chat(face, *words, "-m", "Hello", key=key)
    assert (done.returncode, done.stdout) == (status, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2  # what is wrong, and a hint


def test_a_refused_turn_does_not_end_a_conversation(face: Face) -> None:
    done = chat(face, "--max-new-tokens", "3", said=f"What of {FORBIDDEN}?\nHello\n")
    assert done.returncode == 1
    assert done.stderr.strip() == f"loresmith: {STATED}"
    assert done.stdout.count("\n") >= 1


def test_a_gateway_that_is_not_there_is_a_failure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loresmith", "chat", "http://127.0.0.1:9", "-m", "Hello"],
        env={**os.environ, "LORESMITH_API_KEY": "ls-a-b"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


class Terminal:
    """A person at a terminal."""

    def __init__(self, *words: str, folder: str | Path = "/", key: str = "") -> None:
        self._own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loresmith", "chat", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "LORESMITH_API_KEY": key, "TERM": "dumb"},
            start_new_session=True,
            preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
        )
        os.close(theirs)
        os.set_blocking(self._own, False)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def wait_for(self, text: str) -> None:
        """Until this is shown, behind what was waited for before."""
        self._read_until(lambda: text in self.shown)
        self.shown = self.shown.partition(text)[2]

    def stop_answer(self) -> bool:
        """Press Ctrl-C while an answer comes. False: it was over before that was heard, and so may the chat be."""
        self._read_until(lambda: self.shown.strip() != "")
        self.type("\x03")
        try:
            self._read_until(lambda: "(stopped)" in self.shown or "\n> " in self.shown)
        except OSError:  # nobody writes to this terminal any more
            return False
        return "(stopped)" in self.shown

    def _read_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.shown
            try:
                self.shown += os.read(self._own, 65_536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)


def test_ctrl_c_stops_the_answer_and_not_the_chat(face: Face, tmp_path: Path) -> None:
    options = ("--max-new-tokens", "1900", "--temperature", "0", "--system", "Be long.")
    saved = stopped_and_saved(tmp_path, face.gateway.address, *options, key=face.bob)
    assert saved["model"] == "acme"


@pytest.mark.slow
def test_a_model_of_ones_own_talks_in_the_same_terminal(tmp_path: Path) -> None:
    digest = make_workspace(tmp_path)
    options = ("acme", "--max-new-tokens", "1900", "--temperature", "0", "--system", "Be long.")
    saved = stopped_and_saved(tmp_path, *options)
    assert saved["model"] == digest


def stopped_and_saved(folder: Path, *words: str, key: str = "") -> Any:
    """The conversation that a person stopped, saved and left."""
    for _ in range(10):  # whoever is slow finds the answer over, and tries again
        person = Terminal(*words, folder=folder, key=key)
        person.wait_for("> ")
        person.type("Go on and on\r")
        person.wait_for("on\r\n")
        if person.stop_answer():
            break
        person.process.kill()
        person.process.wait()
    person.wait_for("(stopped)")
    person.wait_for("> ")
    file = folder / "talk.json"
    person.type("/help\r")
    person.wait_for("Ctrl-C stops an answer.")
    person.type(f"/save {file}\r")
    person.wait_for("Written to")
    person.type("/new\r")
    person.wait_for("A new conversation.")
    person.type("/quit\r")
    assert person.process.wait(SECONDS) == 0
    saved = json.loads(file.read_text())
    assert [message["role"] for message in saved["messages"]] == ["system", "user", "assistant"]
    return saved
