"""From files to passages in a workspace: rights, labels, lineage, what is cached, and what is erased."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.sdk.calls.data_erase import DATA_ERASE, DataEraseRequest
from loresmith.sdk.calls.index import (
    INDEX_BUILD,
    INDEX_SEARCH,
    IndexBuildAnswer,
    IndexBuildRequest,
    IndexSearchRequest,
)
from loresmith.serving.retrieval.opening import open_index
from tests.data.canary import files_with
from tests.serving.retrieval.indexes import ask, paths

RECIPE = """\
name: manuals
steps:
  files: {step: ingest, path: papers}
  corpus: {step: curate, documents: files, use: retrieve, minimum_bytes: 10, validation_share: 0.0, test_share: 0.0}
"""
LETTER = "Ada Lovelace writes that the fever of the patient in room nine has CANARY-LETTER gone down since the morning."


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    papers = folder / "papers"
    (papers / "ward").mkdir(parents=True)
    (papers / "drafts").mkdir()
    (papers / "pump.md").write_text("# The pump\n\nThe filter of the pump is behind the panel and is cleaned weekly.\n")
    (papers / "ward" / "letter.md").write_text(LETTER)
    (papers / "ward" / "dose.md").write_text("The patient gets one gram of paracetamol against fever, thrice a day.\n")
    (papers / "ward" / ".rights.yaml").write_text("labels: [clinical]\n")
    (papers / "drafts" / "draft.md").write_text("This draft about the filter of the pump is for nobody's eyes yet.\n")
    (papers / "drafts" / ".rights.yaml").write_text("uses: [train]\n")
    (folder / "recipe.yaml").write_text(RECIPE)
    with Workspace.init(folder) as workspace:
        workspace.run(folder / "recipe.yaml")
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return shutil.copytree(template, tmp_path / "home")


def built(home: Path, **request: Any) -> IndexBuildAnswer:
    said = IndexBuildRequest(**{"corpus": "manuals/corpus", "name": "manuals", "embedder": "none", **request})
    return INDEX_BUILD.perform(home, said, lambda _event: None)


def search(home: Path, query: str, *labels: str) -> list[str]:
    request = IndexSearchRequest(index="manuals/passages", query=query, as_labels=labels)
    return [passage.path for passage in INDEX_SEARCH.perform(home, request, lambda _event: None).passages]


def test_one_command_makes_an_index_that_keeps_to_the_labels(home: Path) -> None:
    answer = built(home, embedder="minilm", settings=("words=50",))
    assert answer.embedder == "all-MiniLM-L6-v2 int8"
    assert [(each.labels, each.documents) for each in answer.partitions] == [((), 1), (("clinical",), 2)]
    assert search(home, "temperature of the sick") == ["pump.md"]
    assert search(home, "temperature of the sick", "clinical, night")[0] == "ward/letter.md"
    with Workspace.open(home) as workspace:
        asset = workspace.assets["manuals/passages"]
        assert asset.asset.kind == "index"
        assert asset.asset.labels == ("clinical",)
        corpus = workspace.assets["manuals/corpus"].digest
        assert corpus in {edge.source for edge in asset.lineage().edges}
    assert built(home, embedder="minilm", settings=("words=50",)).index == answer.index


@pytest.mark.slow
def test_what_may_not_be_retrieved_is_accounted_for(home: Path) -> None:
    with Workspace.open(home) as workspace:
        recipe = home / "recipe.yaml"
        recipe.write_text(RECIPE.replace(", use: retrieve", ""))
        workspace.run(recipe)
    answer = built(home)
    assert [(left.reason, left.documents) for left in answer.left_out] == [("may not be used to retrieve", 1)]
    assert "drafts/draft.md" not in search(home, "filter draft eyes", "clinical")


def test_an_erased_document_leaves_its_index(home: Path) -> None:
    index = built(home).index
    erase = DataEraseRequest(path="ward/letter.md", because="Ada asked")
    report = DATA_ERASE.perform(home, erase, lambda _event: None).report
    assert report is not None
    (mark,) = [each for each in report.assets if each.digest == index]
    assert mark.effect == "erased"
    assert {Path(name).name for name in mark.files} >= {"texts.bin", "passages.parquet", "vocab.index.json"}
    assert files_with(home / ".loresmith", "CANARY-LETTER") == []
    with Workspace.open(home) as workspace, pytest.raises(UserError, match="erased"):
        open_index(workspace.ledger, index)
    (home / "papers" / "ward" / "letter.md").unlink()
    with Workspace.open(home) as workspace:
        workspace.run(home / "recipe.yaml")
    built(home)
    assert search(home, "fever of the patient", "clinical") == ["ward/dose.md", "pump.md"]


@pytest.mark.slow
def test_an_index_without_the_erased_document_is_as_it_was(home: Path) -> None:
    with Workspace.open(home) as workspace:
        corpus = workspace.assets["manuals/corpus"].digest
    index = built(home).index
    recipe = (home / "recipe.yaml").read_text().replace(", use: retrieve", "").replace("name: manuals", "name: all")
    (home / "all.yaml").write_text(recipe)
    with Workspace.open(home) as workspace:
        workspace.run(home / "all.yaml")
        assert workspace.assets["all/corpus"].digest != corpus
    other = built(home, corpus="all/corpus", name="all").index
    erase = DataEraseRequest(path="drafts/draft.md", because="it was a draft")
    report = DATA_ERASE.perform(home, erase, lambda _event: None).report
    assert report is not None
    assert not {index, other} & {each.digest for each in report.assets}
    assert search(home, "filter") == ["pump.md"]


@pytest.mark.slow
def test_a_model_of_the_workspace_makes_vectors(home: Path) -> None:
    from tests.cli.conftest import tiny_model

    with Workspace.open(home) as workspace:
        model = workspace.assets.add("model", tiny_model(home / "tiny")).digest
    answer = built(home, embedder=model[:12])
    assert answer.embedder == f"model {model[:12]}"
    with Workspace.open(home) as workspace:
        retriever = open_index(workspace.ledger, "manuals/passages")
        assert set(paths(ask(retriever, "pump", "clinical"))) == {"pump.md", "ward/letter.md", "ward/dose.md"}
        assert retriever.embed(["pump"]).shape == (1, 16)


def test_other_assets_are_no_indexes(home: Path) -> None:
    search_in = IndexSearchRequest(index="manuals/corpus", query="x")
    with pytest.raises(UserError, match="manuals/corpus"):
        INDEX_SEARCH.perform(home, search_in, lambda _event: None)
    with Workspace.open(home) as workspace, pytest.raises(UserError, match="manuals/corpus"):
        open_index(workspace.ledger, "manuals/corpus")
