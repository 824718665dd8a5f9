"""The hub is asked where a recipe allows it, for nothing but weights and settings, and by no other process."""

from __future__ import annotations

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loresmith.errors import Failure, UserError
from loresmith.models.steps import IMPORT_MODEL, ImportModelConfig
from loresmith.models.storage import save_model
from tests.models.hub_server import COMMIT, NAME, serving
from tests.models.test_storage import digests, small
from tests.models.tiny_tokenizer import make_tokenizer
from tests.step_context import RecordingContext, run_step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    make_tokenizer().save_pretrained(folder / "tokenizer")
    save_model(small(), folder / "base", folder / "tokenizer")
    (folder / "base" / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "base" / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    (folder / "base" / "modeling_own.py").write_text("raise SystemExit\n")
    return folder / "base"


@pytest.fixture(autouse=True)
def private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)


def test_a_model_of_the_hub_is_downloaded_and_pinned(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = RecordingContext(tmp_path)
    with serving(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        result = run_step(IMPORT_MODEL, tmp_path, {"hub": NAME, "allow_hub": True}, context=context)
        fetched = {path.rpartition("/")[2] for path in hub.asked if "/resolve/" in path}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= fetched
    assert not fetched & {"pytorch_model.bin", "modeling_own.py"}
    model = result.outputs["model"]
    assert (model.metadata["origin"]["hub"], model.metadata["origin"]["commit"]) == (NAME, COMMIT)
    assert model.metadata["licence"] == "mit"
    assert any(COMMIT in line for line in context.logs)
    by_folder = run_step(IMPORT_MODEL, tmp_path / "folder", {"path": str(folder)}).outputs["model"]
    assert digests(model.directory) == digests(by_folder.directory)


def test_a_plan_asks_nobody(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert IMPORT_MODEL.fingerprint is not None
    with serving(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        main, commit = (
            IMPORT_MODEL.fingerprint(ImportModelConfig(hub=NAME, revision=revision, allow_hub=True))
            for revision in ("main", COMMIT)
        )
        with pytest.raises(UserError, match="nothing is looked up there unless it is allowed"):
            IMPORT_MODEL.fingerprint(ImportModelConfig(hub=NAME))
        assert hub.asked == []
    assert main != commit


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        (NAME, "no-such-branch", "there is no such revision"),
        ("acme/other", "main", "there is no such model, or it is private"),
        ("a/b/c", "main", "Repo id must be"),
    ],
)
def test_what_the_hub_does_not_have_is_said(
    name: str, revision: str, said: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        with pytest.raises(UserError, match=said) as caught:
            run_step(IMPORT_MODEL, tmp_path, {"hub": name, "revision": revision, "allow_hub": True})
    assert name in str(caught.value)


def test_without_a_network_the_failure_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Failure, match="could not be had from the hub") as caught:
        run_step(IMPORT_MODEL, tmp_path, {"hub": NAME, "allow_hub": True})
    assert "is there a network" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_pickled_weights_alone_are_no_model(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = Path(shutil.copytree(folder, tmp_path / "pickled"))
    (pickled / "model.safetensors").unlink()
    with serving(pickled) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        with pytest.raises(UserError, match="no safetensors weights"):
            run_step(IMPORT_MODEL, tmp_path, {"hub": NAME, "allow_hub": True})


def test_this_process_stays_offline() -> None:
    script = (
        "from loresmith.models import base_hub, storage\n"
        "from huggingface_hub import constants, snapshot_download\n"
        "assert constants.is_offline_mode()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
