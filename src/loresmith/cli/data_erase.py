"""`loresmith data erase` and `data erasures`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.screen import Screen, moment, short, size
from loresmith.sdk.calls.data_erase import (
    DATA_ERASE,
    DATA_ERASURES,
    DataEraseAnswer,
    DataEraseRequest,
    ErasuresAnswer,
    ErasuresRequest,
)
from loresmith.sdk.erasure.erase import ErasureReport

_LISTED_AT_MOST = 20


def _show(answer: DataEraseAnswer, _request: DataEraseRequest, screen: Screen) -> None:
    for erasure in answer.finished:
        screen.line(f"finished erasure {erasure}, which had been left half done")
    if answer.report is not None:
        _show_report(answer.report, screen)


def _show_report(report: ErasureReport, screen: Screen) -> None:
    would = "would go" if report.dry_run else "gone"
    screen.table(
        ("document", "path", "why"),
        ((line.id, ", ".join(line.paths), line.why) for line in report.documents[:_LISTED_AT_MOST]),
    )
    _more(len(report.documents), screen)
    erased = [asset for asset in report.assets if asset.effect == "erased"]
    tainted = [asset for asset in report.assets if asset.effect == "tainted"]
    screen.line()
    blobs = "1 blob" if report.blobs == 1 else f"{report.blobs} blobs"
    screen.line(f"{blobs} of {size(report.bytes)} {would}, with all else that is in them")
    if erased:
        screen.line()
        screen.line(f"{len(erased)} assets that {'would lose' if report.dry_run else 'have lost'} content:")
        screen.table(
            ("digest", "kind", "made by", "lost"),
            ((short(each.digest), each.kind, each.made_by, _names(each.files) or "earlier") for each in erased),
        )
    if tainted:
        screen.line()
        screen.line(f"{len(tainted)} assets that were made from them, kept and marked as tainted:")
        screen.table(("digest", "kind", "made by"), ((short(each.digest), each.kind, each.made_by) for each in tainted))
    if report.releases:
        screen.line()
        screen.table(
            ("release", "asset", "mark"), ((each.release, short(each.digest), each.effect) for each in report.releases)
        )
    if report.near:
        screen.line()
        screen.line(f"{len(report.near)} near-identical documents stay:")
        screen.table(("document", "path"), ((line.id, line.path) for line in report.near[:_LISTED_AT_MOST]))
        _more(len(report.near), screen)
    if report.silent:
        screen.line()
        screen.line(f"of {len(report.silent)} of them no text was found, and so nothing that says the same")
    for path in report.left:
        screen.line(f"this file quotes them, and was left: {path}")
    screen.line()
    if report.dry_run:
        screen.line("nothing was done; without --dry-run, and with --because, it is")
    else:
        screen.line(f"erasure {report.erasure}, because {report.because}")
        screen.line("the originals, exports and backups are not the workspace's: look after them yourself")
        screen.line("run the recipes again: what was not erased is read anew, without what was")


def _names(files: tuple[str, ...]) -> str:
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def _more(count: int, screen: Screen) -> None:
    if count > _LISTED_AT_MOST:
        screen.line(f"and {count - _LISTED_AT_MOST} more; --json lists all")


def _show_list(answer: ErasuresAnswer, _request: ErasuresRequest, screen: Screen) -> None:
    if not answer.erasures:
        screen.line("nothing was ever erased")
        return
    screen.table(
        ("erasure", "when", "by", "documents", "because", ""),
        (
            (
                each.id,
                moment(each.at),
                each.actor,
                str(len(each.documents)),
                each.because,
                "" if each.done_at else "half done: `loresmith data erase` finishes it",
            )
            for each in answer.erasures
        ),
        right=("documents",),
    )


ERASE = command(DATA_ERASE, _show)
ERASURES = command(DATA_ERASURES, _show_list)
