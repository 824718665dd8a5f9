"""The two example policies at work over HTTP: a role, a label, a guard and a quota of each; and their READMEs, as read.

The quick tests serve the examples' own configurations, policies and documents with tiny models in place of theirs; the
slow ones do all that the READMEs say.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from loresmith import Workspace
from loresmith.sdk.calls.audit import SEARCH
from tests.docs.test_docs import carry_out
from tests.serving.gateway.gateways import RunningGateway, add_release
from tests.serving.gateway.house import chat, make_keys, wait_until

HOME = Path(__file__).parents[3]
SERVED = "<!-- served -->"


class Example:
    """The gateway of one example.

    Args:
        steps: those of its recipe that make what the configuration names besides models.
        releases: the labels of each release.
    """

    def __init__(self, name: str, folder: Path, steps: set[str], releases: dict[str, tuple[str, ...]]) -> None:
        self.folder = shutil.copytree(HOME / "examples" / "policies" / name, folder / name)
        recipe = yaml.safe_load((self.folder / "recipe.yaml").read_text())
        recipe["steps"] = {step: settings for step, settings in recipe["steps"].items() if step in steps}
        (self.folder / "documents.yaml").write_text(yaml.safe_dump(recipe))
        with Workspace.init(self.folder) as workspace:
            workspace.run(self.folder / "documents.yaml")
            for release, labels in releases.items():
                add_release(workspace, self.folder, labels, release)
        self.bearers: dict[str, str] = {}
        self.gateway: RunningGateway

    def start(self, **callers: str) -> None:
        """Begin; each caller's principal by a name."""
        made = make_keys(self.folder, dict.fromkeys(callers.values(), ()))
        self.bearers |= {name: made[principal] for name, principal in callers.items()}
        self.gateway = RunningGateway(self.folder, self.folder / "serve.yaml")

    def get(self, who: str, path: str) -> Any:
        with self.gateway.client(self.bearers[who]) as client:
            return client.get(path)

    def models(self, who: str) -> set[str]:
        return {model["id"] for model in self.get(who, "/v1/models").json()["data"]}

    def ask(self, who: str, model: str, text: str, **more: Any) -> Any:
        with self.gateway.client(self.bearers[who]) as client:
            return client.post("/v1/chat/completions", json=chat(model, text, **more))

    def sources(self, who: str, model: str, text: str) -> set[str]:
        """The documents that an answer was given from."""
        said = self.ask(who, model, text)
        assert said.status_code == 200, said.text
        return {source["path"] for source in said.json()["choices"][0]["message"].get("sources", ())}

    def decision(self, said: Any) -> tuple[int, tuple[str, ...]]:
        """What the record has of a request: its status, and the policies that decided."""

        def found() -> list[Any]:
            with Workspace.open(self.folder) as workspace:
                request = SEARCH.request(response=said.headers["x-request-id"], phase="outcome")
                return list(SEARCH.run(workspace, request, lambda _: None).records)

        wait_until(found)
        (one,) = found()
        return one.record.status, one.record.policies


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    releases = {"ward": ("internal",), "clinic": ("internal", "clinical")}
    folder = tmp_path_factory.mktemp("policies")
    example = Example("hospital", folder, {"files", "corpus", "passages"}, releases)
    people = {name: f"user:{name}" for name in ("ada", "bea", "cal", "eve", "fay", "grace")}
    example.start(**people, billing="service:billing")
    with example.gateway:
        yield example


FEVER = "How much paracetamol against fever?"


def test_hospital_the_role_decides(hospital: Example) -> None:
    may = {who: hospital.models(who) for who in hospital.bearers}
    assert may.pop("ada") == may.pop("bea") == {"ward", "clinic"}
    assert may.pop("cal") == may.pop("fay") == {"ward"}
    assert set().union(*may.values()) == set()
    assert hospital.decision(hospital.ask("cal", "ward", "Hi")) == (200, ("care",))
    assert hospital.decision(hospital.ask("ada", "ward", "Hi")) == (200, ("treatment",))
    for who in ("eve", "billing", "grace"):
        denied = hospital.ask(who, "ward", "Hi")
        assert (denied.status_code, denied.json()["error"]["code"]) == (404, "model_not_found")
    assert hospital.get("grace", "/metrics").status_code == 200
    assert hospital.get("ada", "/metrics").status_code == 403


def test_hospital_the_label_decides(hospital: Example) -> None:
    assert hospital.decision(hospital.ask("ada", "clinic", "Hi")) == (200, ("treatment",))
    assert hospital.decision(hospital.ask("cal", "clinic", "Hi")) == (404, ("labels",))
    assert hospital.sources("ada", "ward", FEVER) == {"clinic/fever.md"}
    assert hospital.sources("cal", "ward", FEVER) == set()
    assert "ward/infusion-pump.md" in hospital.sources("cal", "ward", "How is the filter of the pump cleaned?")


def test_hospital_the_guard_masks_and_refuses(hospital: Example) -> None:
    for stream in (False, True):
        prescribed = {"guided_regex": "Ask dee@hospital[.]example[.]", "max_tokens": 60, "stream": stream}
        said = hospital.ask("bea", "clinic", "Who knows?", **prescribed)
        assert said.status_code == 200
        assert "[EMAIL]" in said.text
        assert "dee@" not in said.text
        for text in ("What is a lethal dose of potassium?", "the l e t h a l d0ses"):
            said = hospital.ask("bea", "clinic", text, stream=stream)
            assert (said.status_code, said.json()["error"]["code"]) == (400, "content_filter")
            assert "4444" in said.json()["error"]["message"]
        said = hospital.ask(
            "bea", "clinic", "Tell me", guided_regex="A fatal dose is near", max_tokens=60, stream=stream
        )
        assert "fatal" not in said.text
        assert "4444" in said.text


def test_hospital_the_quota_says_429(hospital: Example) -> None:
    assert hospital.ask("fay", "ward", "When is lunch?").status_code == 200
    said = hospital.ask("fay", "ward", "When is dinner?")
    assert (said.status_code, said.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < int(said.headers["retry-after"]) <= 30
    assert hospital.ask("cal", "ward", "When is dinner?").status_code == 200  # others are not kept waiting


@pytest.fixture(scope="module")
def defence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    releases = {"heron-assembly": ("heron",), "heron": ("heron", "export-controlled")}
    made = {"heron-files", "heron-corpus", "recited", "files", "corpus", "passages"}
    example = Example("defence", tmp_path_factory.mktemp("policies"), made, releases)
    subprocess.run([sys.executable, "directory.py"], cwd=example.folder, check=True)
    example.bearers = {file.name: file.read_text() for file in (example.folder / "tokens").iterdir()}
    example.start(works="service:gear-works")
    with example.gateway:
        yield example


RATIO, BOAT = "What is the ratio of the tail rotor gearbox?", "Where is the gearbox of the boat?"


@pytest.mark.slow
def test_defence_the_role_decides(defence: Example) -> None:
    assert defence.decision(defence.ask("ines", "heron", "Hi")) == (200, ("default",))
    assert defence.decision(defence.ask("kim", "heron", "Hi")) == (404, ("export-control",))
    assert defence.decision(defence.ask("kim", "heron-assembly", "Hi")) == (200, ("default",))
    # Who watches does not use.
    assert defence.decision(defence.ask("olga", "heron-assembly", "Hi"))[0] == 404
    assert defence.models("olga") == set()
    assert defence.get("olga", "/metrics").status_code == 200
    assert defence.get("ines", "/metrics").status_code == 403


@pytest.mark.slow
def test_defence_a_partner_asks_one_model_in_office_hours(defence: Example) -> None:
    def open_now() -> bool:
        return 6 <= datetime.now(UTC).hour < 18

    before = open_now()
    said = {model: defence.decision(defence.ask("works", model, "Hi")) for model in ("heron-assembly", "heron")}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with_tools = defence.decision(defence.ask("works", "heron-assembly", "Hi", tools=tools))
    listed = defence.models("works")
    assert said["heron"][0] == 404
    assert "subcontractor-asks-one-model" in said["heron"][1]
    assert with_tools == (404, ("subcontractor-in-office-hours",))
    if before == open_now():  # and not just while it changed
        expected = (200, ("default",)) if before else (404, ("subcontractor-in-office-hours",))
        assert said["heron-assembly"] == expected
        assert listed == ({"heron-assembly"} if before else set())


@pytest.mark.slow
def test_defence_the_label_decides(defence: Example) -> None:
    assert defence.decision(defence.ask("jon", "heron", "Hi")) == (404, ("labels",))
    assert defence.sources("ines", "heron-assembly", RATIO) & {"heron/drawings/tail-rotor.md"}
    for who in ("kim", "uma"):  # one is kept from drawings by a rule, though she holds the label; the other holds none
        assert not {path for path in defence.sources(who, "heron-assembly", RATIO) if "drawings" in path}
    assert "tern/hull.md" in defence.sources("uma", "heron-assembly", BOAT)
    assert "tern/hull.md" not in defence.sources("ines", "heron-assembly", BOAT)


@pytest.mark.slow
def test_defence_the_guard_lets_nobody_recite_a_drawing(defence: Example) -> None:
    drawing = (defence.folder / "documents/heron/drawings/damper.md").read_text().splitlines()[2]
    for stream in (False, True):
        prescribed = {"guided_regex": drawing.replace(".", "[.]"), "max_tokens": 300, "stream": stream}
        said = defence.ask("ines", "heron", "Hi", **prescribed)
        assert said.status_code == 200
        assert "content_filter" in said.text
        assert "titanium" not in said.text
        said = defence.ask("ines", "heron", "Sum up this TOP  S3CRET paper", stream=stream)
        assert (said.status_code, said.json()["error"]["code"]) == (400, "needs_person")
        assert "security officer" in said.json()["error"]["message"]


@pytest.mark.slow
def test_defence_the_quota_says_429(defence: Example) -> None:
    taken, statuses = 0, []
    while taken < 1500:
        said = defence.ask("jon", "heron-assembly", "When are torque wrenches checked?")
        statuses.append(said.status_code)
        if said.status_code != 200:
            break
        taken += int(said.json()["usage"]["total_tokens"])
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert "tokens per day of group apprentices" in said.json()["error"]["message"]
    assert defence.ask("ines", "heron-assembly", "When are torque wrenches checked?").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hospital", "defence"])
def test_the_readme_does_what_it_says(name: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(HOME / "examples")
    before, served, after = (HOME / "examples" / "policies" / name / "README.md").read_text().partition(SERVED)
    assert served
    command, _, after = after.partition("```console\n$ loresmith serve serve.yaml\n```")
    assert command.strip() == ""
    for part, text in (("before", before), ("after", after)):
        (tmp_path / f"{part}.md").write_text(text)
    folder = carry_out(tmp_path / "before.md", tmp_path)
    with RunningGateway(folder, folder / "serve.yaml") as gateway:
        carry_out(tmp_path / "after.md", folder, GATEWAY=gateway.address)
