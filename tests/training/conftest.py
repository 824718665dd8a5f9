from __future__ import annotations

import pytest
import torch

from loresmith.factory.step import InputAsset
from tests.training.tiny_tokens import write_tokens


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Models this small are slower on more threads, and much slower when another process has a core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> InputAsset:
    return write_tokens(tmp_path_factory.mktemp("tokens") / "asset")
