"""What a person names is what a gateway with the configuration would be asked about."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from loresmith.serving.policy.meant import Served, meant


def test_an_adapter_is_found_beside_references_that_lead_nowhere(tmp_path: Path) -> None:
    """They are somebody else's mistake, and `serve` tells it; this one can be explained all the same."""
    with Workspace.init(tmp_path / "workspace") as workspace:
        assets, releases = workspace.ledger.assets, workspace.ledger.releases
        for kind, name, release in (("model", "base", "acme"), ("adapter", "night", "acme-night")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "weights").write_text(name)
            digest = assets.add(kind, tmp_path / name, {}, (kind,)).digest
            releases.promote(release, digest, "production", "for the tests")
        served = Served.model_validate(
            {
                "models": {
                    "other": {"release": "other", "adapters": {"day": "other-day@production"}},
                    "assistant": {
                        "release": "acme",
                        "adapters": {"gone": "ab" * 32, "base": "acme@production", "night": "acme-night@production"},
                    },
                }
            }
        )
        found = meant("acme-night@production", served, workspace.ledger)
        assert (found.kind, found.id) == ("adapter", "acme:night")
        assert found.labels == {"model", "adapter"}
        with pytest.raises(UserError):
            meant("assistant:gone", served, workspace.ledger)
