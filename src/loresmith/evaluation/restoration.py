"""Characters are knocked out of held-out text, and a model is asked what stood there."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from loresmith.data.gaps import draw_gap
from loresmith.errors import UserError
from loresmith.evaluation.held_out import Document, Sample
from loresmith.evaluation.intervals import proportion_interval, ratio_interval
from loresmith.evaluation.reports import Rows, SampleFacts
from loresmith.evaluation.restoration_baseline import CharacterGrams
from loresmith.evaluation.restoration_report import OfLength, RestorationReport, Restored
from loresmith.evaluation.restoration_settings import RestorationSettings
from loresmith.models.fill import fill

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ATTEMPTS = 50
"""Draws for a gap that is not all white space; after them it is one character that is none."""

TOKENS_A_CHARACTER = 4
"""At most, in a byte-level vocabulary: the UTF-8 bytes of any character."""


@dataclass(frozen=True)
class Gap:
    """Characters that are missing from a document.

    Attributes:
        document, path: which one.
        start: where they stood, in characters.
        before, missing, after: the text around them, and they themselves.
    """

    document: str
    path: str
    start: int
    before: str
    missing: str
    after: str


def draw_gaps(documents: Sequence[Document], settings: RestorationSettings) -> list[Gap]:
    """The gaps of each document; they depend on the document and the seed, not on what else is damaged."""
    return [gap for document in documents for gap in _gaps_of(document, settings)]


def _gaps_of(document: Document, settings: RestorationSettings) -> list[Gap]:
    text, found = document.text, []
    for number in range(settings.gaps if text.strip() else 0):
        start, end = _visible_gap(text, settings.longest, random.Random(f"{settings.seed}/{document.id}/{number}"))
        before, after = text[max(0, start - settings.context) : start], text[end : end + settings.context]
        found.append(Gap(document.id, document.path, start, before, text[start:end], after))
    return found


def _visible_gap(text: str, longest: int, draw: random.Random) -> tuple[int, int]:
    for _ in range(ATTEMPTS):
        gap = draw_gap(text, "line", longest, draw)
        if gap is not None and text[slice(*gap)].strip():
            return gap
    start = draw.choice([place for place, character in enumerate(text) if character.strip()])
    return start, start + 1


def evaluate_restoration(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    digests: tuple[str, str],
    held_out: Sample,
    training: Sample,
    settings: RestorationSettings,
    look: Callable[[int, int], None],
) -> tuple[RestorationReport, Rows]:
    """Have a model and the baseline restore the same gaps.

    Args:
        digests: of the model and the corpus, by which the report names them.
        held_out: the text that is damaged.
        training: the text that the baseline counts.
        look: called with the gaps restored and all of them; it may raise to stop.

    Returns:
        The report, and the rows of cases.jsonl.

    Raises:
        UserError: the tokenizer has no sentinels, or there is nothing to knock out.
    """
    gaps = draw_gaps(held_out.documents, settings)
    if not gaps:
        raise UserError("these documents have nothing that could be knocked out", hint="choose another split")
    look(0, len(gaps))
    grams = CharacterGrams((document.text for document in training.documents), settings.baseline_order)
    rows: Rows = []
    for gap in gaps:
        tokens = TOKENS_A_CHARACTER * settings.longest
        written = fill(
            model, tokenizer, gap.before, gap.after, order=settings.order, max_new_tokens=tokens, min_new_tokens=1
        )
        output = "".join(written)
        baseline = grams.restore(gap.before, gap.after, settings.longest, settings.baseline_beam)
        rows.append(_row(gap, output, baseline))
        look(len(rows), len(gaps))
    return _report(rows, model, digests, held_out, training, settings), rows


def _row(gap: Gap, output: str, baseline: str) -> dict[str, Any]:
    return {
        "kind": "gap",
        "id": gap.document,
        "path": gap.path,
        "start": gap.start,
        "before": gap.before,
        "missing": gap.missing,
        "after": gap.after,
        "output": output,
        "right": output == gap.missing,
        "baseline_output": baseline,
        "baseline_right": baseline == gap.missing,
    }


def _report(
    rows: Rows,
    model: PreTrainedModel,
    digests: tuple[str, str],
    held_out: Sample,
    training: Sample,
    settings: RestorationSettings,
) -> RestorationReport:
    by_document: dict[str, list[int]] = defaultdict(list)
    by_length: dict[int, Rows] = defaultdict(list)
    for row in rows:
        by_document[row["id"]].append(int(row["right"]) - int(row["baseline_right"]))
        by_length[len(row["missing"])].append(row)
    differences = list(by_document.values())
    interval = ratio_interval(
        [sum(each) for each in differences], [len(each) for each in differences], settings.resamples, settings.seed
    )
    verdict: Literal["above", "below", "undecided"] = "undecided"
    if interval is not None and not interval.low <= 0 <= interval.high:
        verdict = "above" if interval.low > 0 else "below"
    only_model = sum(row["right"] and not row["baseline_right"] for row in rows)
    only_baseline = sum(row["baseline_right"] and not row["right"] for row in rows)
    restored, baseline = _restored(rows, "right"), _restored(rows, "baseline_right")
    return RestorationReport(
        model=digests[0],
        corpus=digests[1],
        sample=SampleFacts.of(held_out),
        training=SampleFacts.of(training),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        order=settings.order,
        restored=restored,
        baseline=baseline,
        baseline_name=f"a {settings.baseline_order}-gram model of characters",
        baseline_beam=settings.baseline_beam,
        longest=settings.longest,
        difference=restored.share - baseline.share,
        interval=interval,
        only_model=only_model,
        only_baseline=only_baseline,
        p_value=mcnemar(only_model, only_baseline),
        verdict=verdict,
        lengths=tuple(
            OfLength(length=length, model=_restored(some, "right"), baseline=_restored(some, "baseline_right"))
            for length, some in sorted(by_length.items())
        ),
        seed=settings.seed,
        resamples=settings.resamples,
    )


def _restored(rows: Rows, key: str) -> Restored:
    right = sum(row[key] for row in rows)
    return Restored(right=right, of=len(rows), interval=proportion_interval(right, len(rows)))


def mcnemar(first: int, second: int) -> float:
    """The two-sided test of McNemar (Psychometrika 12, 1947) of two counts of disagreements, with exact probabilities.

    Under the hypothesis that both are as good, each disagreement falls to either side like a coin.
    """
    n, fewer = first + second, min(first, second)
    return min(1.0, float(Fraction(2 * sum(math.comb(n, k) for k in range(fewer + 1)), 2**n)))
