from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from loresmith.errors import UserError
from loresmith.factory import compute as compute_module
from loresmith.factory.compute import Compute, require_installed
from loresmith.factory.free_memory import free_memory


@pytest.mark.parametrize(
    ("written", "bytes_"),
    [
        ("4GB", 4 * 10**9),
        ("1.5 GiB", 3 << 29),
        ("512MiB", 512 << 20),
        ("300000 kb", 300_000_000),
        (1 << 30, 1 << 30),
        (None, None),
    ],
)
def test_memory_is_written_as_people_write_it(written: object, bytes_: int | None) -> None:
    compute = Compute.model_validate({"memory": written})
    assert compute.memory == bytes_
    assert Compute.model_validate(compute.model_dump(mode="json")) == compute


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("4 apples", "'4 apples' is no size; write a number and one of B, kB"),
        ("much", "is no size"),
        ("-4GB", "is no size"),
        ("100MB", "greater than or equal to 268435456"),
    ],
)
def test_what_is_no_memory_is_refused(written: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Compute.model_validate({"memory": written})


def test_free_is_what_every_group_above_leaves(tmp_path: Path) -> None:
    own, inner = tmp_path / "own", tmp_path / "groups" / "outer" / "inner"
    inner.mkdir(parents=True)
    own.write_text("12:pids:/elsewhere\n0::/outer/inner\n")
    assert free_memory(own, tmp_path / "groups") <= psutil.virtual_memory().total
    for folder, limit in ((inner, "max"), (inner.parent, "5000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("4200\n")
        (folder / "memory.stat").write_text("anon 3000\ninactive_file 700\n")
    assert free_memory(own, tmp_path / "groups") == 5000 - 4200 + 700
    assert free_memory(tmp_path / "there is none") > 5000


def test_an_extra_that_is_missing_is_named_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    require_installed(Compute())
    monkeypatch.setattr(compute_module, "find_spec", lambda name: None)
    require_installed(Compute())
    with pytest.raises(UserError, match=r"compute.tables: `tables: daft` .*\n  pip install 'loresmith\[daft\]'"):
        require_installed(Compute(tables="daft"))
    with pytest.raises(UserError, match=r"compute.launcher: `launcher: ray` .*\n  pip install 'loresmith\[ray\]'"):
        require_installed(Compute(launcher="ray"))


def test_the_engine_follows_from_launcher_and_tables() -> None:
    assert Compute().engine == "native"
    assert Compute(tables="daft", launcher="slurm").engine == "daft"
    assert Compute(launcher="ray").engine == "ray"
