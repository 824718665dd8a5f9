"""What a model writes: the cases of a suite, and samples from held-out documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from loresmith.evaluation.intervals import proportion_interval
from loresmith.evaluation.passages import Passage
from loresmith.evaluation.reports import CleanScore, Rows, SamplesScore, SuiteScore
from loresmith.evaluation.suite import Suite

if TYPE_CHECKING:
    from loresmith.data.contamination.findings import SuiteFound


class Complete(Protocol):
    """A model that goes on from a prompt with the likeliest tokens, piece by piece (`models.generate.complete`)."""

    def __call__(self, prompt: str, *, max_new_tokens: int, stop: Sequence[str] = ()) -> Iterator[str]: ...


def run_suite(
    suite: Suite, complete: Complete, look: Callable[[], None], seen: SuiteFound | None = None
) -> tuple[SuiteScore, Rows]:
    """Put every case to the model.

    Args:
        suite: as `read_suite` gives it.
        complete: the model.
        look: called with every piece of text; it may raise to stop.
        seen: what the training text holds of the suite, if it was looked at.

    Returns:
        The score, and a row of cases.jsonl for each case, in the suite's order.
    """
    rows: Rows = []
    for case in suite.cases:
        tokens = case.max_new_tokens or suite.max_new_tokens
        output = "".join(_watched(complete(case.prompt, max_new_tokens=tokens, stop=case.stop), look))
        rows.append(
            {
                "kind": "case",
                "name": case.name,
                "passed": case.passes(output),
                "scorer": case.scorer,
                "prompt": case.prompt,
                "expected": case.expected,
                "output": output,
                "max_new_tokens": tokens,
                "stop": list(case.stop),
                **({"contaminated": case.name in seen.found} if seen is not None else {}),
            }
        )
    failed = tuple(str(row["name"]) for row in rows if not row["passed"])
    passed = len(rows) - len(failed)
    score = SuiteScore(
        name=suite.name,
        description=suite.description,
        cases=len(rows),
        passed=passed,
        interval=proportion_interval(passed, len(rows)),
        failed=failed,
        clean=_clean(rows, seen) if seen is not None else None,
    )
    return score, rows


def _clean(rows: Rows, seen: SuiteFound) -> CleanScore:
    left = [row for row in rows if not row["contaminated"]]
    passed = sum(row["passed"] for row in left)
    return CleanScore(
        contaminated=tuple(str(row["name"]) for row in rows if row["contaminated"]),
        not_judged=sum(count for standing, count in seen.cases.items() if standing != "judged"),
        cases=len(left),
        passed=passed,
        interval=proportion_interval(passed, len(left)) if left else None,
    )


def make_samples(
    passages: Sequence[Passage], complete: Complete, max_new_tokens: int, look: Callable[[], None]
) -> tuple[SamplesScore, Rows]:
    """Let the model go on from passages of held-out text; arguments and result as for `run_suite`.

    A function's body is finished where the text leaves its indentation, and the model is not asked for more.
    """
    rows: Rows = []
    for passage in passages:
        written = ""
        for piece in _watched(complete(passage.prompt, max_new_tokens=max_new_tokens), look):
            written += piece
            if passage.ended(written):
                break
        rows.append(
            {
                "kind": "sample",
                "name": passage.name,
                "document": passage.document,
                "path": passage.path,
                "prompt": passage.prompt,
                "completion": passage.cut(written),
                "reference": passage.reference,
                "parses": passage.parses(written),
            }
        )
    functions = [row for row in rows if row["parses"] is not None]
    parsed = sum(row["parses"] for row in functions)
    return SamplesScore(count=len(rows), functions=len(functions), parsed=parsed), rows


def _watched(pieces: Iterator[str], look: Callable[[], None]) -> Iterator[str]:
    for piece in pieces:
        look()
        yield piece
