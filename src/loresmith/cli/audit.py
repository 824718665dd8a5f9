"""`loresmith audit`, for people."""

from __future__ import annotations

import json

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen, moment, short, visible
from loresmith.sdk.calls.audit import (
    ERASE,
    EXPORT,
    PROOF,
    SEARCH,
    VERIFY,
    EraseAnswer,
    EraseRequest,
    ExportAnswer,
    ExportRequest,
    FoundRecord,
    ProofAnswer,
    ProofRequest,
    SearchAnswer,
    SearchRequest,
    VerifyAnswer,
    VerifyRequest,
)


def _show_found(answer: SearchAnswer, request: SearchRequest, screen: Screen) -> None:
    for found in answer.records:
        record = found.record
        what = f"{record.release}@{record.channel}" if record.channel else record.release
        screen.line(
            f"{moment(record.at)}  {visible(record.response)}  {record.phase}  {visible(record.principal) or '-'}  "
            f"{visible(what) or '-'}",
            style="bold",
        )
        screen.line(f"  {_said_of(found)}")
        if request.content and found.kept:
            for line in _content(found):
                screen.line(f"  | {line}")
    screen.line(f"{len(answer.records):,} shown{', and there are older ones' if answer.more else ''}")


def _said_of(found: FoundRecord) -> str:
    record = found.record
    said = [f"leaf {found.leaf}"]
    if record.phase == "intent":
        decided = "allowed" if record.allowed else "DENIED"
        by = f" by {', '.join(record.policies)}" if record.policies else ""
        said.append(f"{record.action or 'request'} {decided}{by}")
    else:
        said.append(f"status {record.status}")
        said.append(f"{record.prompt_tokens:,} + {record.completion_tokens:,} tokens")
        said.append(f"{record.latency_ms:,} ms")
    for verdict in record.guards:
        said.append(f"{verdict.guard} {verdict.action} {verdict.rule} x {verdict.count} in {verdict.where}")
    if record.guards and record.guards_digest:
        said.append(f"by the guards {short(record.guards_digest)}")
    if record.error:
        said.append(record.error)
    return visible("  ".join(said))


def _content(found: FoundRecord) -> list[str]:
    if found.said is None:
        return [visible(found.unreadable)]
    messages = [
        *found.said.get("messages", ()),
        *filter(None, [found.said.get("answer")]),
        *found.said.get("others", ()),
    ]
    lines = []
    for message in messages:
        text = message.get("content")
        shown = text if isinstance(text, str) else json.dumps(message, ensure_ascii=False)
        lines += f"{message.get('role', '')}: {visible(shown)}".splitlines()
    return lines


def _show_export(answer: ExportAnswer, _request: ExportRequest, screen: Screen) -> None:
    screen.line(f"{answer.records:,} records with proofs: {answer.to}")
    screen.line(f"they lead to the root {answer.head.root} of {answer.head.size} leaves")
    screen.line(f"check them anywhere: `loresmith audit verify --export {answer.to} --public-key KEY.pem.pub`")


def _show_verification(answer: VerifyAnswer, request: VerifyRequest, screen: Screen) -> None:
    for problem in answer.problems:
        screen.line(visible(problem))
    screen.line(f"{answer.records:,} records: {'sound' if answer.sound else 'NOT sound'}")
    if request.export is None:
        screen.line(
            f"content: {answer.sealed:,} open with their key, {answer.erased:,} can be read by nobody any more; "
            f"{answer.unfinished:,} requests without an outcome"
        )
    elif answer.signed is None:
        screen.line("whose log it is was not checked: give the workspace's --public-key")
    screen.line(f"root {answer.root} of {answer.size} leaves")


def _show_proof(answer: ProofAnswer, _request: ProofRequest, screen: Screen) -> None:
    for record in answer.records:
        screen.facts(
            [
                ("response", f"{record.response} ({record.phase}) of {visible(record.principal)}, {moment(record.at)}"),
                ("leaf", f"{record.leaf} of {answer.head.size}"),
                *((f"path {level}", sibling) for level, sibling in enumerate(record.path)),
            ]
        )
    screen.facts([("root", answer.head.root), ("holds", "yes" if answer.holds else "NO")])


def _show_erasure(answer: EraseAnswer, _request: EraseRequest, screen: Screen) -> None:
    screen.line(f"the key {short(answer.key)} of {answer.tenant} is destroyed")
    screen.line(
        f"what {answer.records:,} records and {answer.feedback:,} pieces of feedback said can be read by nobody"
    )
    screen.line("destroy copies of the folder tenant-keys in backups as well; datasets made from feedback remain")


COMMANDS = {
    "audit": noun(
        "audit",
        "The gateway's audit: search, export, verify, prove, erase.",
        command(SEARCH, _show_found),
        command(EXPORT, _show_export),
        command(VERIFY, _show_verification),
        command(PROOF, _show_proof),
        command(ERASE, _show_erasure),
    )
}
