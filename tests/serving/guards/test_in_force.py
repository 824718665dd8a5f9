"""The digest of the guards in force: another one whenever a verdict may come out otherwise, and the same one else."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from loresmith.errors import UserError
from loresmith.serving.guards import in_force
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.in_force import guards_digest, with_digest
from loresmith.serving.guards.settings import GuardsSettings
from tests.serving.guards.guarding import said

PRIVACY: dict[str, Any] = {"kind": "privacy", "names": "names.txt"}
DENY: dict[str, Any] = {"kind": "deny", "file": "denied.txt"}
TOPIC: dict[str, Any] = {"kind": "topic", "model": "weapons/guard"}
GROUNDING: dict[str, Any] = {"kind": "grounding"}
ALL = [PRIVACY, DENY, TOPIC, GROUNDING]
ASSETS = {"weapons/guard": "a" * 64}


def digest(
    folder: Path, guards: Sequence[dict[str, Any]] = ALL, assets: dict[str, str] = ASSETS, embedder: str = "e"
) -> str:
    folder.mkdir(exist_ok=True)
    for name, text in (("names.txt", "Ada\n"), ("denied.txt", "pangolin\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text)
    return guards_digest(GuardsSettings.model_validate(list(guards)), folder, assets, embedder)


def test_the_same_guards_have_the_same_digest_wherever_they_lie(tmp_path: Path) -> None:
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a", [DENY], {}, embedder="e") == digest(tmp_path / "a", [DENY], {}, embedder="f")


def test_whatever_a_verdict_comes_from_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [digest(tmp_path)]
    found.append(digest(tmp_path, []))
    found.append(digest(tmp_path, ALL[::-1]))
    found.append(digest(tmp_path, [{**PRIVACY, "minimum_confidence": 0.6}, *ALL[1:]]))
    found.append(digest(tmp_path, [PRIVACY, {**DENY, "action": "ask"}, *ALL[2:]]))
    found.append(digest(tmp_path, assets={"weapons/guard": "b" * 64}))
    found.append(digest(tmp_path, embedder=""))
    for name in ("names.txt", "denied.txt"):
        (tmp_path / name).write_text("narwhal\n")
        found.append(digest(tmp_path))
    (tmp_path / "denied.txt").unlink()
    (tmp_path / "denied.txt").mkdir()
    found.append(digest(tmp_path))
    monkeypatch.setattr(in_force, "version", lambda _name: "99")
    found.append(digest(tmp_path))
    assert len(set(found)) == len(found)


@pytest.fixture
def told(tmp_path: Path) -> Callable[[Sequence[str]], Path]:
    """A file that says something else at each reading."""

    def make(texts: Sequence[str]) -> Path:
        path = tmp_path / "denied.txt"
        os.mkfifo(path)

        def tell() -> None:
            for text in texts:
                with path.open("w") as file:
                    file.write(text)
                    # The next reading opens a pipe of its own, which is there before this one ends.
                    os.mkfifo(path.with_suffix(".next"))
                    path.with_suffix(".next").rename(path)

        threading.Thread(target=tell, daemon=True).start()
        return path

    return make


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_digest_is_that_of_the_text_that_the_guards_read(told: Callable[[Sequence[str]], Path]) -> None:
    # Read in turn: for the digest, by the guard, for the digest, by the guard, for the digest.
    denied = told(["pangolin", "narwhal", "walrus", "walrus", "walrus"])
    given, folder = GuardsSettings.model_validate([DENY]), denied.parent
    guards, found = with_digest(
        lambda: Guards.load(given, folder), lambda: guards_digest(given, folder, {}), denied.parent
    )
    assert [guards.examine(said(f"a {word}")).action for word in ("pangolin", "narwhal", "walrus")] == [
        "allow",
        "allow",
        "refuse",
    ]
    denied.unlink()
    denied.write_text("walrus")
    assert found == guards_digest(given, folder, {})


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_file_that_changes_all_the_time_is_refused(told: Callable[[Sequence[str]], Path]) -> None:
    denied = told([f"phrase {number}" for number in range(7)])
    given, folder = GuardsSettings.model_validate([DENY]), denied.parent
    with pytest.raises(UserError, match="written to whenever it is read"):
        with_digest(lambda: Guards.load(given, folder), lambda: guards_digest(given, folder, {}), denied)
