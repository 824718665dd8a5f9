"""`loresmith ledger`, for people."""

from __future__ import annotations

from loresmith.cli.command import command
from loresmith.cli.groups import noun
from loresmith.cli.screen import Screen
from loresmith.sdk.calls.ledger import PROOF, VERIFY, ProofAnswer, ProofRequest, VerifyAnswer, VerifyRequest


def _show_verification(answer: VerifyAnswer, _request: VerifyRequest, screen: Screen) -> None:
    for problem in answer.problems:
        screen.line(problem)
    screen.line(f"{answer.size} leaves: {'sound' if answer.sound else 'NOT sound'}")
    if answer.first_bad is not None:
        screen.line(f"the first leaf that disagrees is {answer.first_bad}")
    if answer.sound:
        grown = " and has grown out of the expected root" if answer.anchored else ""
        screen.line(f"root {answer.root}{grown}")
        screen.line(f"note it elsewhere: `loresmith ledger verify --size {answer.size} --expect-root {answer.root}`")


def _show_proof(answer: ProofAnswer, _request: ProofRequest, screen: Screen) -> None:
    proof = answer.proof
    screen.facts(
        [
            ("leaf", f"{proof.index} of {proof.size}"),
            ("hash", proof.leaf),
            *((f"path {level}", sibling) for level, sibling in enumerate(proof.path)),
            ("root", proof.root),
            ("holds", "yes" if answer.holds else "NO"),
        ]
    )


COMMANDS = {
    "ledger": noun(
        "ledger", "The ledger's log: verify, prove.", command(VERIFY, _show_verification), command(PROOF, _show_proof)
    )
}
