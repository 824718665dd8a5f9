"""A corpus without cases comes out the same with any engine, workers and memory, and wherever it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.decontaminate import Measures, decontaminate
from loresmith.data.engine.local_engine import local_engine
from tests.data.killing import require_going_on, require_survival
from tests.data.tables import files_of
from tests.data.written_corpora import write_corpus
from tests.step_context import RecordingContext

from .suite_texts import batches, prose

CASES = [("suite", f"case-{n}", prose(n, 40)) for n in range(60)]
MEASURES = Measures(Rule(), "drop-span", ("train",), around=20, most_cuts=10, minimum_bytes=64)
PROGRAM = """
import sys
from pathlib import Path
from tests.data.contamination.test_going_on import carried_out
carried_out(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [f"{prose(500 + n, 60)} {prose(n % 60, 40) if n % 9 == 0 else ''} {prose(900 + n, 60)}" for n in range(300)]
    return write_corpus(tmp_path_factory.mktemp("given") / "corpus", texts, files=3)


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
    suites = ("suite",)
    target, work = context.output("corpus"), context.work / "findings"
    with local_engine(workers, memory, folder / "tables", tables) as engine:
        result = decontaminate(given, target, lambda: batches(CASES), suites, MEASURES, work, engine, context)
    result.books.require_balance("decontaminate")
    assert result.splits["train"]["groups"] == 300
    assert not work.exists()
    return files_of(target)


def test_it_is_the_same_with_any_workers_memory_and_tables(corpus: Path, tmp_path: Path) -> None:
    wanted = carried_out(corpus, tmp_path / "one", memory=1 << 20)
    assert len([name for name in wanted if name.startswith("documents-")]) == 3
    assert carried_out(corpus, tmp_path / "two", workers=2, memory=2 << 30) == wanted
    assert carried_out(corpus, tmp_path / "daft", tables="daft") == wanted


def test_it_goes_on_wherever_it_was_killed(corpus: Path, tmp_path: Path) -> None:
    wanted = carried_out(corpus, tmp_path / "whole")

    def again(folder: Path, tick: Any) -> dict[str, bytes]:
        return carried_out(corpus, folder, tick)

    assert require_going_on(again, tmp_path, wanted, every=1) == 6


@pytest.mark.slow
def test_a_real_kill_in_any_stage_leaves_what_the_next_start_goes_on_from(corpus: Path, tmp_path: Path) -> None:
    wanted = carried_out(corpus, tmp_path / "whole")
    memory = (1 << 30) // 3 // 4
    stages = [f"work/findings/{stage}" for stage in (f"found/{memory}-000000000", "treated")]
    require_survival(PROGRAM, [str(corpus)], stages, lambda folder, _: carried_out(corpus, folder), tmp_path, wanted)
