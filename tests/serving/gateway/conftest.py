"""Gateways that many tests share: each takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving.gateway.browsing import chromium
from tests.serving.gateway.faces import Face, begin
from tests.serving.gateway.guarded_house import Guarded, open_guarded
from tests.serving.gateway.house import House, open_house
from tests.serving.gateway.observed_house import Observed, open_observed


@pytest.fixture(scope="session")
def face(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Face]:
    started = begin(tmp_path_factory.mktemp("face"))
    with started.gateway:
        yield started


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    started = open_house(tmp_path_factory.mktemp("house"))
    with started.gateway:
        yield started


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    started = open_guarded(tmp_path_factory.mktemp("guarded"))
    with started.gateway:
        yield started


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    started = open_observed(tmp_path_factory.mktemp("observed"))
    with started.gateway:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started
