"""A release is of what answers somebody, unless it is said to be of something else."""

from __future__ import annotations

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from tests.cli.conftest import CommandLine

WHY = ("--because", "a test")


def test_what_answers_nobody_is_refused_unless_its_kind_is_said(cli: CommandLine) -> None:
    refused = cli("releases", "promote", "texts", "words/bye", *WHY)
    assert (refused.status, refused.out) == (2, "")
    assert "words/bye is a corpus, and what is released is a model, an adapter or a bundle" in refused.err
    assert "--kind corpus" in refused.err
    assert "texts" not in [release["name"] for release in cli("releases", "--json").json["releases"]]
    assert cli("releases", "promote", "texts", "words/bye", "--kind", "corpus", *WHY).status == 0
    assert cli("releases", "promote", "texts", "words/both", *WHY).status == 0, "it is of such a kind already"


@pytest.mark.parametrize("kind", ["model", "adapter", "bundle", "report"])
def test_a_model_an_adapter_and_a_bundle_are_taken_as_they_are(fresh: CommandLine, kind: str) -> None:
    folder = fresh.folder / "made"
    folder.mkdir()
    (folder / "data").write_text("something")
    with Workspace.open(fresh.folder) as workspace:
        digest = workspace.assets.add(kind, folder).digest
        if kind == "report":
            with pytest.raises(UserError, match="--kind report"):
                workspace.releases.promote("acme", digest, because="it is good")
            assert workspace.releases.promote("acme", digest, because="as a record", kind="report").asset == digest
        else:
            assert workspace.releases.promote("acme", digest, because="it is good").asset == digest


def test_another_kind_than_the_one_that_is_said_is_refused(cli: CommandLine) -> None:
    refused = cli("releases", "promote", "texts", "writer", "--kind", "corpus", *WHY)
    assert refused.status == 2
    assert "corpus" in refused.err
