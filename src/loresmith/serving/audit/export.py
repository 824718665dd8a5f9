"""An export of the audit: a file of JSON Lines that can be checked anywhere, without the workspace that it came from.

Its first line is a header: the head of the log, the same signed with the workspace's key, and how many records follow.
Each other line is a `ProvedRecord`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loresmith.errors import Failure, UserError
from loresmith.ledger import Head
from loresmith.ledger.audit_records import AuditRow
from loresmith.ledger.faults import file_faults
from loresmith.ledger.ledger import SIGNED_HEAD
from loresmith.ledger.signing import verify_with
from loresmith.serving.audit.proof import ProvedRecord, Reveal, prove

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

_MOST_PROBLEMS = 100


class ExportHeader(BaseModel):
    """The first line of an export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["loresmith-audit-1"] = "loresmith-audit-1"
    head: Head = Field(description="The state of the log that all proofs lead to.")
    signed_head: dict[str, Any] = Field(description="The same in a DSSE envelope, signed by the workspace's key.")
    records: int = Field(ge=0, description="How many records follow.")


class ExportCheck(BaseModel):
    """What checking an export showed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: Head = Field(description="The state of the log that it speaks of. Compare it with one that you noted.")
    signed: bool | None = Field(description="Whether the head is signed by the given key; null if none was given.")
    records: int = Field(description="How many records it has.")
    problems: tuple[str, ...] = Field(description="One sentence each; at most 100.")


def export(ledger: Ledger, rows: Iterable[AuditRow], target: Path, reveal: Reveal | None = None) -> ExportHeader:
    """Write records, read with their content, with their proofs into a new file.

    Raises:
        UserError: the file is there already.
        Failure: it cannot be written, or there is no key to sign with.
    """
    head = ledger.log.head()
    envelope = ledger.signed(head)
    staged = target.with_name(f".{target.name}.writing")
    count = 0
    with file_faults(target):
        if target.exists():
            raise UserError("there is something already", where=str(target), hint="name another file")
        try:
            with _private(staged) as file:
                for record in prove(ledger.log, rows, head, reveal):
                    file.write(_line(record))
                    count += 1
            header = ExportHeader(head=head, signed_head=envelope, records=count)
            with _private(target) as whole, staged.open(encoding="utf-8") as lines:
                whole.write(_line(header))
                whole.writelines(lines)
        finally:
            staged.unlink(missing_ok=True)
    return header


def verify_export(file: Path, public_key: Path | None = None) -> ExportCheck:
    """Check every record of an export against the head that it speaks of, and the head's signature.

    Without a key this shows that the records belong to one log with that head, and not whose log it is.

    Raises:
        UserError: there is no such file, or it is no export.
        Failure: it cannot be read, or the key cannot.
    """
    if not file.exists():
        raise UserError("there is no such file", where=str(file), hint="`audit export` makes one")
    problems: list[str] = []
    count = 0
    with file_faults(file), file.open(encoding="utf-8") as lines:
        try:
            header = ExportHeader.model_validate_json(next(lines, ""))
        except (ValidationError, UnicodeDecodeError) as error:
            raise UserError(
                "this is no export of an audit", where=str(file), hint="`audit export` makes one"
            ) from error
        last = -1
        for number, line in enumerate(lines, 2):
            count += 1
            try:
                record = ProvedRecord.model_validate_json(line)
            except ValidationError as error:
                problems.append(f"line {number}: cannot be read: {error.errors()[0]['msg']}")
                continue
            problem = record.problem(header.head)
            if problem is None and record.leaf <= last:
                problem = "it is not in the order of the log, or stands there twice"
            if problem is None:
                last = record.leaf
            else:
                problems.append(f"line {number} ({record.response}, {record.phase}): {problem}")
    if count != header.records:
        problems.insert(0, f"there are {count} records, and should be {header.records}")
    signed = None
    if public_key is not None:
        try:
            said = verify_with(header.signed_head, SIGNED_HEAD, public_key)
            signed = Head.model_validate_json(said) == header.head
        except (Failure, ValidationError):
            signed = False
        if not signed:
            problems.insert(0, "the head is not signed with the given key")
    return ExportCheck(head=header.head, signed=signed, records=count, problems=tuple(problems[:_MOST_PROBLEMS]))


def _private(path: Path) -> TextIO:
    """A new file that only its owner reads."""
    return open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))


def _line(value: BaseModel) -> str:
    return json.dumps(value.model_dump(mode="json"), ensure_ascii=False) + "\n"
