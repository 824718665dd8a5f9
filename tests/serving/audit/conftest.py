"""A ledger of its own for each test, in SQLite: what goes on in PostgreSQL is tried in tests/ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loresmith.ledger import Ledger
from tests.ledger.conftest import copied, empty_file, postgres  # noqa: F401 - fixtures
from tests.ledger.places import Place


@pytest.fixture
def place(empty_file: Path, tmp_path: Path) -> Place:  # noqa: F811
    place = copied(empty_file, tmp_path)
    place.open(create=True).close()
    return place


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    with place.open() as opened:
        yield opened
