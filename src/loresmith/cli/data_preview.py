"""`loresmith data preview`, for people."""

from __future__ import annotations

from collections.abc import Iterable

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, figure, size, visible
from loresmith.data.preview.figures import limits, share
from loresmith.data.preview.previewed import Example, Excerpt, PreviewedRule, Spread, StepPreview
from loresmith.sdk.calls.data_preview import DATA_PREVIEW, DataPreviewAnswer, DataPreviewRequest

_RULES = ("rule", "does", "documents", "decides", "edits", "bytes", "share")
_SCORES = ("score", "within", "lowest", "5 %", "median", "95 %", "highest", "out of bounds")


def _show(answer: DataPreviewAnswer, request: DataPreviewRequest, screen: Screen) -> None:
    for step in answer.steps:
        _step(answer.recipe, step, screen)
        shown = [rule for rule in step.rules if not rule.profile or rule.profile in step.profiles or request.rule]
        screen.line()
        screen.table(_RULES, map(_row, shown), right=_RULES[2:])
        _scores(step, shown, request, screen)
        for rule in shown:
            if rule.examples:
                _examples(rule, screen)
        screen.line()
        _notes(step, shown, screen)
    if answer.written is not None:
        screen.line(f"written to {answer.written}")


def _step(recipe: str, step: StepPreview, screen: Screen) -> None:
    screen.line(f"{recipe}/{step.step}: what it would do", style="bold")
    looked_at = f"{step.documents:,} documents, {size(step.bytes)}"
    if step.source == "files":
        screen.line(f"{looked_at}, read for this preview from {step.chosen:,} of {step.in_all:,} files")
    else:
        screen.line(f"{looked_at}, of {step.in_all:,} documents")
    ended = (
        f"{outcome.documents:,} {outcome.disposition} ({size(outcome.bytes)})"
        for outcome in step.outcomes
        if outcome.documents or outcome.disposition == "kept"
    )
    screen.line(", ".join(ended))
    held = (f"{name or 'none'} {count:,}" for name, count in step.profiles.items())
    screen.line(f"by profile: {', '.join(held)}")


def _row(rule: PreviewedRule) -> tuple[str, ...]:
    return (
        visible(rule.name),
        rule.consequence,
        f"{'>= ' if rule.at_least else ''}{rule.documents:,}",
        f"{rule.decides:,}" if rule.decides else "",
        f"{rule.edits:,}" if rule.edits else "",
        size(rule.bytes) if rule.bytes else "",
        share(rule.share) if rule.bytes else "",
    )


def _scores(step: StepPreview, shown: Iterable[PreviewedRule], request: DataPreviewRequest, screen: Screen) -> None:
    """Each score against its bound; one that was asked for also where it has none."""
    rows = []
    bound = set()
    for rule in shown:
        if rule.spread is not None:
            bound.add(rule.name)
            rows.append((rule.name, limits(rule.minimum, rule.maximum), *_spread(rule.spread), f"{rule.documents:,}"))
    for score in step.scores if request.rule else ():
        name = f"{score.profile}: {score.score}"
        if name not in bound:
            rows.append((name, "", *_spread(score.spread), ""))
    if rows:
        screen.line()
        screen.table(_SCORES, rows, right=_SCORES[2:])


def _spread(spread: Spread) -> tuple[str, ...]:
    return tuple(map(figure, (spread.minimum, spread.p5, spread.p50, spread.p95, spread.maximum)))


def _examples(rule: PreviewedRule, screen: Screen) -> None:
    screen.line()
    screen.line(f"{visible(rule.name)}: {rule.consequence}. {visible(rule.because)}", style="bold")
    changes = [example for example in rule.examples if example.before is not None and example.after is not None]
    if changes:
        screen.table(("path", "before", "after"), map(_sides, changes))
        return
    for example in rule.examples:
        screen.line(f"  {visible(example.path)}{_about(example)}")
        if example.text:
            screen.line(f"    | {_on_one_line(example.text)}")


def _sides(example: Example) -> tuple[str, str, str]:
    times = f" ({example.times:,} times)" if example.times > 1 else ""
    return f"{visible(example.path)}{times}", _excerpt(example.before), _excerpt(example.after)


def _excerpt(excerpt: Excerpt | None) -> str:
    """`left << stretch >> right`, on one line."""
    if excerpt is None:
        return ""
    return _on_one_line(f"{excerpt.left}«{excerpt.text}»{excerpt.right}")


def _about(example: Example) -> str:
    said = f": {figure(example.score)}" if example.score is not None else ""
    if example.other:
        said += f", like {visible(example.other)}"
    if example.similarity is not None:
        said += f", {share(example.similarity)} the same"
    return said


def _on_one_line(text: str) -> str:
    return visible(text.replace("\n", "⏎").replace("\t", " "))


def _notes(step: StepPreview, shown: Iterable[PreviewedRule], screen: Screen) -> None:
    quiet = sorted({rule.profile for rule in step.rules if rule not in shown} - {""})
    if quiet:
        screen.line(f"no document is held to {', '.join(quiet)}; --json has their rules")
    if step.overdue:
        screen.line(f"without as_of the step will stop: {visible(step.overdue)}")
    for reason, count in step.unread.items():
        screen.line(f"could not be read: {count:,}, {visible(reason)}")
    for role in step.left_out:
        screen.line(f"the input {role!r} is not there yet, and had no say")
    if any(rule.at_least for rule in shown):
        screen.line(">= means at least: these rules compare documents, and saw only those of the sample")


PREVIEW = command(DATA_PREVIEW, _show)
