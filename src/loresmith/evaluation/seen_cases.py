"""Which cases of a suite a model was shown: those that the training text of its corpus holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.data.contamination.case_index import Rule
from loresmith.data.contamination.findings import SuiteFound, look
from loresmith.data.engine.local_engine import local_engine
from loresmith.evaluation.suite import Suite
from loresmith.evaluation.suite_cases import cases_of

if TYPE_CHECKING:
    from loresmith.data.observer import Observer


_MEMORY = 512 << 20


def seen_cases(suite: Suite, corpus: Path, work: Path, observer: Observer) -> SuiteFound:
    """What the training text of a corpus holds of a suite, by the rule that holds where a recipe names no other.

    Args:
        work: a folder for what is in between; what is found in it was made by the same search before it was stopped.
            It is removed.
    """
    with local_engine(1, _MEMORY, work / "tables") as engine:
        found = look(
            corpus, lambda: cases_of(suite, suite.name), Rule(), ("train",), work, engine, observer, (suite.name,)
        )
    shutil.rmtree(work)
    return found.suites[suite.name]
