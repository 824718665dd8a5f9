"""`loresmith assets`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.live import live_run
from loresmith.cli.mixtures import show_sources
from loresmith.cli.rights import rights_of, show_rights
from loresmith.cli.screen import Screen, moment, number, plain, short, size
from loresmith.sdk.calls.assets import (
    EXPORT,
    IMPORT,
    LS,
    SHOW,
    VERIFY,
    AssetDetail,
    AssetList,
    ExportAnswer,
    ExportRequest,
    ImportAnswer,
    ImportRequest,
    ListRequest,
    ShowRequest,
    VerifyAnswer,
    VerifyRequest,
)
from loresmith.sdk.mixtures import sources_of

_SOURCES, _RIGHTS = "sources", "rights"
"""What a mixture says of its sources, and a corpus of its rights, has a table of its own."""


def _show_list(answer: AssetList, _request: ListRequest, screen: Screen) -> None:
    if not answer.assets:
        screen.line("no assets; `loresmith run` makes some")
        return
    screen.table(
        ("digest", "kind", "files", "size", "since", "labels", ""),
        (
            (
                short(asset.digest),
                asset.kind,
                str(asset.files),
                size(asset.size),
                moment(asset.created_at),
                " ".join(asset.labels),
                asset.mark,
            )
            for asset in answer.assets
        ),
        right=("files", "size"),
    )


def _show_detail(answer: AssetDetail, _request: ShowRequest, screen: Screen) -> None:
    asset = answer.asset
    mixed, rights = sources_of(asset.metadata), rights_of(asset.metadata)
    tables = {name for name, shown in ((_SOURCES, mixed), (_RIGHTS, rights)) if shown}
    facts = [
        ("digest", asset.digest),
        ("kind", asset.kind),
        ("size", f"{size(asset.size)} in {len(asset.files)} files"),
        ("labels", ", ".join(asset.labels) or "none"),
        ("since", moment(asset.created_at)),
        *(
            (mark.effect, f"{moment(mark.at)} by {mark.actor}, because {mark.because} (erasure {mark.erasure})")
            for mark in answer.marks
        ),
        *((f"metadata.{key}", plain(value)) for key, value in asset.metadata.items() if key not in tables),
    ]
    if answer.made_by is not None:
        made = answer.made_by
        facts.append(("made by", f"{made.recipe}/{made.name} ({made.step}), run {made.run}, by {made.actor}"))
        facts += [(f"from {role}", digest) for role, digest in made.inputs.items()]
    screen.facts(facts)
    screen.line()
    if mixed:
        show_sources(mixed, screen)
        screen.line()
    if rights:
        show_rights(rights, screen)
        screen.line()
    screen.table(
        ("file", "size", "sha256"),
        ((path, size(file.size), file.digest) for path, file in asset.files.items()),
        right=("size",),
    )
    if answer.receipts:
        screen.line()
        screen.table(
            ("check", "outcome", "when", "by"),
            (
                (receipt.kind, "passed" if receipt.passed else "failed", moment(receipt.at), receipt.actor)
                for receipt in answer.receipts
            ),
        )


def _show_verification(answer: VerifyAnswer, _request: VerifyRequest, screen: Screen) -> None:
    for check in answer.checks:
        for problem in check.problems:
            screen.line(f"{short(check.digest)}: {problem}")
        for erased in check.erased:
            screen.line(f"{short(check.digest)}: {erased}")
    files = sum(check.files for check in answer.checks)
    bad = sum(bool(check.problems) for check in answer.checks)
    total = size(sum(check.bytes for check in answer.checks))
    gone = sum(bool(check.erased) for check in answer.checks)
    verdict = f"{bad} damaged" if bad else f"{gone} erased, the others sound" if gone else "all sound"
    screen.line(f"{len(answer.checks)} assets, {files} files, {total}: {verdict}")


def _show_export(answer: ExportAnswer, _request: ExportRequest, screen: Screen) -> None:
    screen.line(f"{answer.kind} {short(answer.digest)}: {answer.files} files, {size(answer.size)}, in {answer.folder}")


def _show_import(answer: ImportAnswer, _request: ImportRequest, screen: Screen) -> None:
    screen.facts(
        [
            ("model", answer.digest),
            ("tokenizer", answer.tokenizer),
            ("what", f"{answer.model_type}, {number(answer.parameters)} parameters, {answer.vocabulary_size} tokens"),
            ("licence", answer.licence or "not stated"),
            *((f"origin.{key}", plain(value)) for key, value in answer.origin.items() if key != "files"),
        ]
    )
    screen.line()
    screen.line("In a recipe:")
    screen.line(f"  base: {short(answer.digest)}        # of pretrain")
    screen.line(f"  tokenizer: {short(answer.tokenizer)}   # of pack")


COMMANDS = {
    "assets": noun(
        "assets",
        "Assets: list, show, verify, import, export.",
        command(LS, _show_list),
        command(SHOW, _show_detail),
        command(VERIFY, _show_verification, live=live_run),
        command(IMPORT, _show_import, live=live_run),
        command(EXPORT, _show_export),
    )
}
