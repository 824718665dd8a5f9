"""Nothing is served that was not compared with the reference on the engine, at the precision, as it is now."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.errors import Failure, UserError
from loresmith.serving.gateway.served_model import require_parity
from loresmith.serving.parity.receipt import PARITY, computed_by, versions
from loresmith.serving.settings import ServedModelSettings

ENGINES = ["torch", "openvino", "openai"]


class Tried:
    """A workspace with a model and an adapter that nobody serves, and what is asked about them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("model", "adapter", "ir"):
            (folder / name).mkdir()
            (folder / name / "weights").write_text(name)
        self.export("of today")
        self.workspace = Workspace.init(folder / "workspace")
        assets = self.workspace.ledger.assets
        self.model = assets.add("model", folder / "model", {}, ()).digest
        self.adapter = assets.add("adapter", folder / "adapter", {}, ()).digest

    def export(self, words: str) -> None:
        (self.folder / "ir" / "openvino_model.xml").write_text(words)

    def settings(self, engine: str, **more: Any) -> ServedModelSettings:
        own: dict[str, Any] = {
            "torch": {},
            "openvino": {"exported": {"directory": self.folder / "ir"}},
            "openai": {"remote": {"url": "http://gpu/v1", "model": "acme"}},
        }[engine]
        return ServedModelSettings.model_validate({"release": "acme", "engine": engine, **own, **more})

    def certify(self, settings: ServedModelSettings, *, passed: bool = True, digest: str = "", **more: Any) -> None:
        facts = {"engine": settings.engine, "precision": settings.precision, "versions": versions()}
        by = computed_by(settings.engine, settings.options)
        self.workspace.ledger.receipts.add(
            digest or self.model, PARITY, passed, {**facts, "computed_by": by, "engine_version": "1.2.3", **more}
        )

    def require(self, settings: ServedModelSettings, version: str = "", **adapters: str) -> None:
        require_parity(self.workspace.ledger, self.model, adapters, settings, version)


@pytest.fixture
def tried(tmp_path: Path) -> Iterator[Tried]:
    made = Tried(tmp_path)
    yield made
    made.workspace.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_needs_a_receipt_of_its_engine_and_precision(tried: Tried, engine: str) -> None:
    wanted = tried.settings(engine)
    for other in ENGINES:
        if other != engine:
            tried.certify(tried.settings(other))
    tried.certify(tried.settings(engine, precision="fp32"))
    with pytest.raises(UserError, match="nobody has compared acme@production") as refused:
        tried.require(wanted)
    assert f"on the engine {engine} at bf16" in refused.value.what
    assert f"models certify acme@production --engine {engine} --precision bf16`" in (refused.value.hint or "")
    tried.certify(wanted)
    tried.require(wanted, "1.2.9")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_newest_receipt_counts(tried: Tried, engine: str) -> None:
    wanted = tried.settings(engine)
    tried.certify(wanted)
    tried.certify(wanted, passed=False, because="it is 0.4 off on average")
    with pytest.raises(UserError, match=r"does not compute what the reference does: it is 0\.4 off"):
        tried.require(wanted)
    tried.certify(wanted)
    tried.require(wanted)


@pytest.mark.parametrize(
    ("engine", "package"), [("torch", "loresmith"), ("torch", "transformers"), ("openvino", "openvino-genai")]
)
def test_a_receipt_of_other_software_does_not_hold(tried: Tried, engine: str, package: str) -> None:
    wanted = tried.settings(engine)
    tried.certify(wanted, versions={**versions(), package: "0.0.9"})
    with pytest.raises(UserError, match=rf"does not hold any more: {package} was 0\.0\.9"):
        tried.require(wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_engine_that_runs_says_its_version_itself(tried: Tried, engine: str) -> None:
    wanted = tried.settings(engine)
    tried.certify(wanted)
    with pytest.raises(UserError, match=rf"{engine} was 1\.2\.3 when it was made, and is 1\.3\.0 now"):
        tried.require(wanted, "1.3.0")


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"url": "http://other/v1", "model": "acme"},
        {"url": "http://gpu/v1", "model": "acme-2"},
        {"url": "http://gpu/v1", "model": "acme", "dialect": "openai"},
    ],
)
def test_another_server_was_not_compared(tried: Tried, elsewhere: dict[str, str]) -> None:
    tried.certify(tried.settings("openai"))
    with pytest.raises(UserError, match="it is about another server"):
        tried.require(tried.settings("openai", remote=elsewhere))


def test_another_export_was_not_compared(tried: Tried) -> None:
    wanted = tried.settings("openvino")
    tried.certify(wanted)
    tried.require(wanted)
    tried.export("of tomorrow")
    with pytest.raises(UserError, match="it is about another export of the model"):
        tried.require(wanted)


def test_an_adapter_needs_one_on_this_model(tried: Tried) -> None:
    wanted = tried.settings("torch", adapters={"wards": tried.adapter})
    tried.certify(wanted)
    tried.certify(wanted, digest=tried.adapter, base="0" * 64)
    with pytest.raises(UserError, match="nobody has compared acme@production with wards") as refused:
        tried.require(wanted, wards=tried.adapter)
    assert f"--adapter wards={tried.adapter}" in (refused.value.hint or "")
    tried.certify(wanted, digest=tried.adapter, base=tried.model)
    tried.require(wanted, wards=tried.adapter)


def test_a_receipt_that_was_forged_is_none(tried: Tried) -> None:
    wanted = tried.settings("torch")
    tried.certify(wanted, passed=False)
    with closing(sqlite3.connect(tried.folder / "workspace" / ".loresmith" / "ledger.db")) as ledger, ledger:
        ((envelope,),) = ledger.execute("SELECT envelope FROM receipt").fetchall()
        said = json.loads(envelope)
        payload = base64.b64decode(said["payload"])
        assert b'"passed":false' in payload
        said["payload"] = base64.b64encode(payload.replace(b'"passed":false', b'"passed":true')).decode()
        ledger.execute("DROP TRIGGER receipt_refuses_update")
        ledger.execute("UPDATE receipt SET envelope = ?", [json.dumps(said)])
    with pytest.raises(Failure, match="signature"):
        tried.require(wanted)
