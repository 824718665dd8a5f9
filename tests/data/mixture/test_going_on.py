"""A mixture comes out the same with any engine, workers and memory, and wherever it was killed."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from loresmith.data.engine.local_engine import local_engine
from loresmith.data.mixture import mix
from loresmith.data.mixture.amounts import Stage
from loresmith.data.mixture.mix import mix_corpora
from loresmith.data.mixture.settings import MixtureRules, SourceRule
from loresmith.errors import UserError
from tests.data.killing import require_going_on, require_survival
from tests.data.tables import files_of
from tests.data.written_corpora import corpus_of, document
from tests.step_context import RecordingContext

WORDS = [f"{a}{b}{c}" for a in ("ka", "lo", "mi", "ne") for b in "aeiou" for c in "bdglmnrst"]
PROGRAM = """
import sys
from pathlib import Path
from tests.data.mixture.test_going_on import carried_out
carried_out(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
"""
WEIGHTS = {"a": 2.0, "b-good": 3.0, "b": 1.0}
RULES = MixtureRules(
    corpora=["a", "b"],
    sources=[
        SourceRule("a", 0, "", 1.5),
        SourceRule("b", 1, "", 2.0),
        SourceRule("b-good", 1, "scores.words > 40", 3.0),
    ],
    stages=[Stage(0.7, WEIGHTS), Stage(0.3, {**WEIGHTS, "a": 1.0})],
    target_bytes=None,
    by="scores.words",
    descending=False,
    similarity=0.7,
    seed=5,
)
FILE_BYTES = 60_000


def text(seed: str, words: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choices(WORDS, k=words))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two corpora in five files; some documents are in both, and some are near-identical to one of the other."""
    folder = tmp_path_factory.mktemp("given")
    for name in "ab":
        rows, scores = [], []
        for n in range(240):
            words = text(f"{name}{n}", 30 + n % 50)
            if n % 12 == 5:
                words = text(f"shared{n}", 60) + f" {name}"
            side = {3: "validation", 7: "test"}.get(n % 24, "train")
            path = f"{name}/{n}.txt"
            if n % 30 == 11:
                path, words = f"both/{n}.txt", text(f"both{n}", 40)
            if n % 12 == 5 and name == "b":
                side = "test" if n % 24 == 5 else side
            rows.append(document(path, words, split=side))
            scores.append({"scores": [("words", float(n * 17 % 90))]})
        corpus_of(rows, folder / name, scores, files=2 if name == "a" else 3)
    return folder


def carried_out(
    given: Path,
    folder: Path,
    tick: Any = None,
    workers: int = 1,
    memory: int = 1 << 30,
    tables: Literal["native", "daft"] = "native",
) -> dict[str, bytes]:
    context = RecordingContext(folder)
    if tick is not None:
        context.progress = tick  # type: ignore[method-assign]
    target, work = context.output("corpus"), context.work / "mixture"
    (target / "documents-00099.parquet").write_text("what a start that was killed left behind")
    with local_engine(workers, memory, folder / "tables", tables) as engine:
        mixed = mix_corpora([given / "a", given / "b"], target, RULES, work, engine, context, FILE_BYTES)
    mixed.books.require_balance("mix")
    assert min(mixed.near, mixed.moved) > 5
    assert not work.exists()
    assert not (target / "documents-00099.parquet").exists()
    return {**files_of(target), "said": repr((mixed.splits, mixed.sources, mixed.moved, mixed.near)).encode()}


def test_it_is_the_same_with_any_workers_memory_and_tables(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = carried_out(given, tmp_path / "one")
    assert len([name for name in wanted if name.startswith("documents-")]) > 3
    assert carried_out(given, tmp_path / "two", workers=2, memory=2 << 30) == wanted
    assert carried_out(given, tmp_path / "daft", tables="daft") == wanted
    monkeypatch.setattr(mix, "_FEWEST", 5000)  # a dozen parts to a file, and several batches of a shard to a part
    assert carried_out(given, tmp_path / "small", memory=1 << 12) == wanted


def test_it_goes_on_wherever_it_was_killed(given: Path, tmp_path: Path) -> None:
    wanted = carried_out(given, tmp_path / "whole")

    def again(folder: Path, tick: Any) -> dict[str, bytes]:
        return carried_out(given, folder, tick)

    assert require_going_on(again, tmp_path, wanted, every=5) > 15


@pytest.mark.slow
def test_a_real_kill_in_any_stage_leaves_what_the_next_start_goes_on_from(given: Path, tmp_path: Path) -> None:
    wanted = carried_out(given, tmp_path / "whole")
    stages = [f"work/mixture/{stage}" for stage in ("surveyed", "sketched", "joined", "dealt", "written")]
    require_survival(PROGRAM, [str(given)], stages, lambda folder, _: carried_out(given, folder), tmp_path, wanted)


def test_a_name_that_no_shard_has_is_refused(given: Path, tmp_path: Path) -> None:
    rules = replace(RULES, by="scores.wrds")
    context, corpora = RecordingContext(tmp_path), [given / "a", given / "b"]
    with (
        local_engine(1, 1 << 30, tmp_path / "tables") as engine,
        pytest.raises(UserError, match=r"did you mean 'scores\.words'"),
    ):
        mix_corpora(corpora, context.output("corpus"), rules, tmp_path / "mixture", engine, context)
