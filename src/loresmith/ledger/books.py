"""Books: what went into a step, and where every record, byte or token of it went.

An account is kept per unit. What entered must equal what left, to the record, or the step fails.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import Failure

Disposition = Literal[
    "kept", "edited", "dropped", "merged", "truncated", "masked", "quarantined", "repeated", "unpacked"
]


class Entry(BaseModel):
    """One way in which part of the input left a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disposition: Disposition = Field(description="What became of it.")
    reason: str = Field(description="Why; an empty string for what is simply kept.")
    count: int = Field(ge=0, description="How much of the account's unit.")


class Account(BaseModel):
    """One unit of the books, such as `documents`, `bytes` or `tokens`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: str = Field(description="What is counted.")
    entered: int = Field(ge=0, description="How much went in, counted before anything is decided.")
    left: tuple[Entry, ...] = Field(description="Where it went; the counts add up to `entered`.")

    @property
    def kept(self) -> int:
        return sum(entry.count for entry in self.left if entry.disposition == "kept")

    @property
    def missing(self) -> int:
        """What entered and is not accounted for; negative when more left than entered."""
        return self.entered - sum(entry.count for entry in self.left)


class Books(BaseModel):
    """The accounts of one step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accounts: tuple[Account, ...] = ()

    def require_balance(self, where: str) -> None:
        """Raise Failure, naming the first account that does not balance."""
        for account in self.accounts:
            if account.missing:
                raise Failure(
                    f"the books do not balance: {account.entered} {account.unit} went in and "
                    f"{account.entered - account.missing} are accounted for ({account.missing:+d} missing)",
                    where=where,
                    hint="this is a defect of the step; nothing was registered",
                )
