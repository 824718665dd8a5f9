"""One tiny model, loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from loresmith.serving.engines.embedded.torch_engine import TorchEngine
from tests.serving.engines.served_models import write_tiny


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("served"), "qwen3", torch.bfloat16)


@pytest.fixture
def engine(tiny_directory: Path) -> Iterator[TorchEngine]:
    made = TorchEngine(tiny_directory, slots=4, window=256)
    yield made
    made.close()
