from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Models this small are slower on more threads, and much slower when another process has a core."""
    torch.set_num_threads(1)
