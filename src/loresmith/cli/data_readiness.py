"""`loresmith data readiness`, for people."""

from __future__ import annotations

from loresmith.advice.figures import count, hours, percent, size
from loresmith.cli.command import command
from loresmith.cli.live import live_run
from loresmith.cli.screen import Screen, short, visible
from loresmith.sdk.calls.data_readiness import DATA_READINESS, ReadinessAnswer, ReadinessRequest


def _show(answer: ReadinessAnswer, _request: ReadinessRequest, screen: Screen) -> None:
    verdict, curve = answer.verdict, answer.pilot.curve
    screen.line(f"corpus {short(answer.corpus)}: {verdict.level}", style="bold")
    screen.line(verdict.sentence)
    if answer.overdue:
        screen.line(f"no step trains on it today: {visible(answer.overdue)}")
    screen.line()
    screen.table(
        ("level", "met", "what there is, and what it takes"),
        ((reason.level, "yes" if reason.met else "no", reason.sentence) for reason in verdict.reasons),
    )
    for weight, title in (("must", "before a training"), ("should", "for a better training")):
        conditions = [condition for condition in verdict.conditions if condition.weight == weight]
        if conditions:
            screen.line()
            screen.line(title, style="bold")
        for condition in conditions:
            screen.line(f"- {condition.sentence} {condition.do}")
    screen.line()
    screen.line("next", style="bold")
    for step in verdict.next:
        screen.line(f"- {step}")
    screen.line()
    screen.facts(_numbers(answer))
    if answer.sizes:
        screen.line()
        columns = ("parameters", "tokens wanted", "there is", "enough", "time here", "memory")
        rows = (
            (
                count(each.parameters),
                count(each.tokens_wanted),
                percent(min(1.0, each.share)),
                each.enough,
                hours(each.hours),
                size(each.memory_bytes) if each.fits else f"{size(each.memory_bytes)}, too much",
            )
            for each in answer.sizes
        )
        screen.table(columns, rows, right=("parameters", "tokens wanted", "there is", "time here"))
    screen.line()
    more = f"twice the text: {curve.outcome}" if answer.pilot.ran else "no pilot was run"
    screen.line(f"{more}: {curve.because}")
    screen.line(f"the page for people: {answer.html}")


def _numbers(answer: ReadinessAnswer) -> list[tuple[str, str]]:
    tokens, rights = answer.tokens, answer.contents.rights
    languages = ", ".join(f"{each.name or 'not known'} {percent(each.share)}" for each in answer.languages.shares[:4])
    findings = ", ".join(f"{each.findings:,} {each.kind}" for each in answer.personal_data.kinds) or "none"
    whose = "of a small vocabulary of its own" if tokens.own_vocabulary else "of the vocabulary given"
    return [
        ("text", f"{size(answer.contents.bytes)} in {answer.contents.documents:,} documents"),
        ("different tokens", f"{count(tokens.different)} {whose}, {tokens.bytes_per_token:.2f} bytes each"),
        ("there more than once", percent(answer.duplication.repeated)),
        ("languages", languages or "none"),
        ("doubtful text", percent(answer.quality.doubtful)),
        ("personal data, secrets", findings),
        ("licence on record", percent(rights.with_licence)),
        ("owner on record", percent(rights.with_owner)),
        ("may be used to train", percent(rights.uses[0].share)),
        ("contamination", "checked" if answer.contamination.checked else "not checked"),
    ]


READINESS = command(DATA_READINESS, _show, live=live_run)
