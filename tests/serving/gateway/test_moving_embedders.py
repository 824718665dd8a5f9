"""Embedders that follow their releases: what cannot be loaded is tried again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from loresmith import Workspace
from loresmith.serving.gateway.served_embedders import MovingEmbedders, open_embedders
from loresmith.serving.settings import ServingConfig
from tests.serving.engines.served_models import write_tiny


def test_what_failed_for_a_passing_reason_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is not there for a while, as where it is mounted over a network."""
    config = ServingConfig.model_validate(
        {"models": {"acme": {"release": "acme"}}, "embeddings": {"states": {"model": "states@production"}}}
    )
    with Workspace.init(tmp_path / "workspace") as workspace:
        ledger = workspace.ledger
        digests = []
        for family in ("qwen3", "llama"):
            (tmp_path / family).mkdir()
            made = write_tiny(tmp_path / family, family, torch.bfloat16)
            digests.append(ledger.assets.add("model", made, {"test": family}, ()).digest)

        def promote(digest: str) -> None:
            ledger.releases.promote("states", digest, "production", "for the tests")

        first, second = digests
        promote(first)
        served = open_embedders(config, ledger, None, {})
        said: list[str] = []
        moving = MovingEmbedders(ledger, said.append)

        promote(second)
        blobs = tmp_path / "workspace" / ".loresmith" / "blobs"
        blobs.rename(tmp_path / "away")
        for _ in range(3):
            assert moving.renewed(config.embeddings, served) == {}
            assert "missing" in moving.problems["states"]
        assert len(said) == 2  # that it is loaded, and that it cannot be
        (tmp_path / "away").rename(blobs)
        assert moving.renewed(config.embeddings, served) == {}  # not every second
        with monkeypatch.context() as patched:
            patched.setattr("loresmith.serving.gateway.trying_again.AGAIN_SECONDS", 0.0)
            promote(first)
            assert moving.renewed(config.embeddings, served) == {}
            assert moving.problems == {}
            promote(second)
            blobs.rename(tmp_path / "away")
            assert moving.renewed(config.embeddings, served) == {}
            (tmp_path / "away").rename(blobs)
            renewed = moving.renewed(config.embeddings, served)
        assert renewed["states"].embedder.facts.digest == second
        assert moving.problems == {}
