"""Check the ledger itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.errors import UserError
from loresmith.ledger import InclusionProof, LogCheck
from loresmith.sdk.call import Answer, Call, Emit, Request

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class VerifyRequest(Request):
    """What `ledger verify` takes."""

    expect_root: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="The root that somebody noted earlier, 64 hexadecimal digits: the log must have grown out of it. "
        "This finds even a log that was rewritten as a whole.",
    )
    size: int | None = Field(
        default=None, ge=1, description="How many leaves the log had under that root. Default: as many as it has now."
    )


class VerifyAnswer(Answer):
    """What reading the whole log again showed."""

    size: int = Field(description="How many leaves the log has.")
    root: str = Field(description="The root recomputed from them. Note it elsewhere, with the size, for later.")
    sound: bool = Field(description="Whether nothing disagrees.")
    problems: tuple[str, ...] = Field(description="One sentence each, in the order of the log.")
    first_bad: int | None = Field(description="The first leaf that disagrees.")
    anchored: bool | None = Field(description="Whether the log grew out of the expected root; null if none was given.")


class ProofRequest(Request):
    """What `ledger proof` takes."""

    index: int = Field(ge=0, description="The leaf, counted from 0.", json_schema_extra={"positional": True})
    size: int | None = Field(
        default=None, ge=1, description="Prove it for the log as it was at this many leaves. Default: as it is now."
    )


class ProofAnswer(Answer):
    """Shows that a leaf stands in the log, to somebody who knows the root and nothing else."""

    proof: InclusionProof = Field(description="RFC 6962: the sibling hashes from the leaf to the root.")
    holds: bool = Field(description="Whether the hashes lead to the root.")


def _verify(workspace: Workspace, request: VerifyRequest, _emit: Emit) -> VerifyAnswer:
    if request.size is not None and request.expect_root is None:
        raise UserError("--size says how long the log was under --expect-root, which is missing")
    check = workspace.verify()
    difference = None
    if request.expect_root is not None:
        difference = _difference(workspace, check, request.expect_root, request.size or check.size)
    problems = (
        *check.problems,
        *([] if difference is None else [difference]),
        *(
            f"erasure {erasure.id} of {erasure.at[:10]} is half done: `loresmith data erase` finishes it"
            for erasure in workspace.ledger.erasures.unfinished()
        ),
    )
    return VerifyAnswer(
        size=check.size,
        root=check.root,
        sound=not problems,
        problems=problems,
        first_bad=check.first_bad,
        anchored=None if request.expect_root is None else difference is None,
    )


def _difference(workspace: Workspace, check: LogCheck, expected: str, size: int) -> str | None:
    """Why the log does not continue the one that had this root at this size; None if it does."""
    if check.problems:
        return "a log that does not verify cannot be compared with the expected root"
    if size > check.size:
        return f"the log has {check.size} leaves, and once had {size}"
    if size == 0:
        return None if check.root == expected else f"the log is empty: its root is {check.root}, not {expected}"
    proof = workspace.ledger.log.consistency_proof(size)
    if proof.old_root == expected and proof.holds():
        return None
    return f"at {size} leaves the log has the root {proof.old_root}, not {expected}"


def _proof(workspace: Workspace, request: ProofRequest, _emit: Emit) -> ProofAnswer:
    proof = workspace.ledger.log.inclusion_proof(request.index, request.size)
    return ProofAnswer(proof=proof, holds=proof.holds())


VERIFY = Call(
    "ledger verify",
    "Recompute the Merkle log and hold every row of the ledger against it.",
    VerifyRequest,
    VerifyAnswer,
    _verify,
    failed=lambda answer: not answer.sound,
    example="ledger verify --size 120 --expect-root 9f2c...",
)
PROOF = Call(
    "ledger proof",
    "Prove that a leaf stands in the log.",
    ProofRequest,
    ProofAnswer,
    _proof,
    failed=lambda answer: not answer.holds,
    example="ledger proof 17 --json",
)
