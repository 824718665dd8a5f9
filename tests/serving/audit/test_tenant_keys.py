"""Content is read by who has the tenant's key, for its own record, and by nobody once the key is destroyed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from loresmith.errors import Failure, UserError
from loresmith.ledger import Ledger
from loresmith.serving.audit.tenant_keys import ContentGoneError, TenantKeys
from tests.ledger.places import Place
from tests.ledger.processes import together
from tests.serving.audit.places import keys_of

TEXT = b"What ails the patient in bed 7?"


def files(folder: Path) -> list[Path]:
    return sorted((folder / "tenant-keys").iterdir())


def test_what_is_sealed_opens_again_and_only_for_its_record(ledger: Ledger, tmp_path: Path) -> None:
    keys = keys_of(ledger, tmp_path)
    sealed = keys.seal("ward", "r-1", "intent", TEXT)
    assert TEXT not in sealed
    assert keys.seal("ward", "r-1", "intent", TEXT) != sealed
    assert keys_of(ledger, tmp_path).open(sealed, "r-1", "intent") == TEXT
    for record, phase in (("r-2", "intent"), ("r-1", "outcome"), ("r-1\nintent", "")):
        with pytest.raises(Failure, match="damaged, or belongs to another"):
            keys.open(sealed, record, phase)
    for position in range(9, len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Failure, match="damaged, or belongs to another"):
            keys.open(bytes(changed), "r-1", "intent")
    for cut in (b"", sealed[:20], b"\x02" + sealed[1:]):
        with pytest.raises(Failure, match="no sealed content"):
            keys.open(cut, "r-1", "intent")


def test_a_key_is_a_file_for_its_owner_alone_that_does_not_say_whose_it_is(ledger: Ledger, tmp_path: Path) -> None:
    keys = keys_of(ledger, tmp_path)
    keys.seal("ward", "r-1", "intent", TEXT)
    keys.seal("default", "r-1", "intent", TEXT)
    assert len(files(tmp_path)) == 2
    for file in files(tmp_path):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_bytes()) == 32
        assert "ward" not in file.name
    assert stat.S_IMODE((tmp_path / "tenant-keys").stat().st_mode) == 0o700
    sealed, other = (keys.seal(tenant, "r-1", "intent", TEXT) for tenant in ("ward", "default"))
    with pytest.raises(Failure, match="damaged, or belongs"):
        keys.open(other[:9] + sealed[9:], "r-1", "intent")


def test_a_destroyed_key_opens_nothing_not_even_in_the_process_that_has_it(ledger: Ledger, tmp_path: Path) -> None:
    gateway, operator = keys_of(ledger, tmp_path), keys_of(ledger, tmp_path)
    sealed, others = (gateway.seal(tenant, "r-1", "intent", TEXT) for tenant in ("ward", "default"))
    operator.destroy("ward", "they left")
    assert len(files(tmp_path)) == 1
    for keys in (gateway, operator, keys_of(ledger, tmp_path)):
        with pytest.raises(ContentGoneError, match=r"destroyed on 2.* by ada@host, because they left"):
            keys.open(sealed, "r-1", "intent")
        assert keys.open(others, "r-1", "intent") == TEXT
    again = gateway.seal("ward", "r-2", "intent", TEXT)
    assert operator.open(again, "r-2", "intent") == TEXT
    assert [event.action for event in ledger.tenant_keys.list("ward")] == ["made", "destroyed", "made"]
    with pytest.raises(UserError, match="has no key"):
        operator.destroy("absent", "why not")


def test_a_destruction_that_was_cut_short_is_finished_by_whoever_comes_next(ledger: Ledger, tmp_path: Path) -> None:
    keys_of(ledger, tmp_path).seal("ward", "r-1", "intent", TEXT)
    ledger.tenant_keys.destroyed("ward", "killed right after this was said")
    assert len(files(tmp_path)) == 1
    keys_of(ledger, tmp_path).refresh()
    assert files(tmp_path) == []


def test_of_many_that_need_a_key_at_once_all_use_one(place: Place, tmp_path: Path) -> None:
    def seal(number: int) -> bytes:
        with place.open() as own:
            return keys_of(own, tmp_path).seal("ward", f"r-{number}", "intent", TEXT)

    sealed = together(seal, [(number,) for number in range(4)])
    with place.open() as ledger:
        assert len(files(tmp_path)) == len(ledger.tenant_keys.list()) == 1
        keys = keys_of(ledger, tmp_path)
        assert {keys.open(each, f"r-{number}", "intent") for number, each in enumerate(sealed)} == {TEXT}


def test_a_missing_key_is_named_and_nothing_is_sealed_with_another(ledger: Ledger, tmp_path: Path) -> None:
    keys = keys_of(ledger, tmp_path)
    sealed = keys.seal("ward", "r-1", "intent", TEXT)
    (file,) = files(tmp_path)
    file.unlink()
    other = TenantKeys(tmp_path / "tenant-keys", ledger.tenant_keys)
    with pytest.raises(ContentGoneError, match="is not here"):
        other.open(sealed, "r-1", "intent")
    with pytest.raises(Failure, match="is not here"):
        other.seal("ward", "r-2", "intent", TEXT)
    file.write_bytes(b"short")
    with pytest.raises(Failure, match="is damaged"):
        other.seal("ward", "r-2", "intent", TEXT)
