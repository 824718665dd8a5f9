"""API keys of the gateway's callers: make, list, revoke, give a new secret."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from loresmith.ledger.clock import timestamp
from loresmith.ledger.credentials import Credential
from loresmith.sdk.call import Answer, Call, Emit, Request

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.identity.keys import Keys

BECAUSE = "Why, in your words; it stays on the record."
LONGEST_DAYS = 3660


class KeyFacts(Answer):
    """A key, without its secret, which nobody has but whom it was given to."""

    key: str = Field(description="Its id, which is no secret.")
    principal: str = Field(description="Whom it speaks for.")
    groups: tuple[str, ...] = Field(description="Groups that it brings, where the gateway declares them.")
    status: Literal["good", "expired", "revoked"] = Field(description="Whether it opens anything.")
    expires_at: str | None = Field(description="From when on it is no longer good.")
    previous_until: str | None = Field(description="Until when the secret before the last rotation is good as well.")
    reason: str = Field(description="Why it was last changed.")
    actor: str = Field(description="Whose doing that was.")
    created_at: str = Field(description="When it was made.")
    at: str = Field(description="When it was last changed.")


class CreateRequest(Request):
    """What `keys create` takes."""

    principal: str = Field(
        description="Whom the key speaks for: `user:NAME` or `service:NAME`.", json_schema_extra={"positional": True}
    )
    group: tuple[str, ...] = Field(
        default=(), description="A group that the key brings, besides those that list its holder; may be repeated."
    )
    expires_in_days: float = Field(
        default=90, gt=0, le=LONGEST_DAYS, description="How long it is good; `keys rotate` makes it last longer."
    )
    because: str = Field(description=BECAUSE)


class Secret(Answer):
    """A key with its secret, which is shown this once and kept nowhere."""

    key: KeyFacts = Field(description="What is on the record.")
    secret: str = Field(description="What the caller sends: `Authorization: Bearer ...`, or `api_key` of its client.")


class ListRequest(Request):
    """What `keys ls` takes."""

    revoked: bool = Field(default=False, description="Also those that were revoked.")


class KeyList(Answer):
    """The keys."""

    keys: tuple[KeyFacts, ...] = Field(description="The oldest first.")


class RevokeRequest(Request):
    """What `keys revoke` takes."""

    key: str = Field(description="The key's id.", json_schema_extra={"positional": True})
    because: str = Field(description=BECAUSE)


class KeyAnswer(Answer):
    """What was done."""

    key: KeyFacts = Field(description="The key as it is on the record now.")


class RotateRequest(Request):
    """What `keys rotate` takes."""

    key: str = Field(description="The key's id.", json_schema_extra={"positional": True})
    grace_hours: float = Field(
        default=24, ge=0, le=24 * 90, description="How long the secret that it has now is good as well; 0 ends it."
    )
    expires_in_days: float | None = Field(
        default=None, gt=0, le=LONGEST_DAYS, description="How long the key is good from now on. Default: as before."
    )
    because: str = Field(description=BECAUSE)


def _keys(workspace: Workspace) -> Keys:
    from loresmith.serving.identity.keys import Keys
    from loresmith.serving.identity.server_key import NAME

    return Keys(workspace.ledger.credentials, workspace.place.state / NAME)


def _facts(credential: Credential) -> KeyFacts:
    expired = credential.expires_at is not None and credential.expires_at <= timestamp()
    kept = credential.model_dump(include=set(KeyFacts.model_fields) - {"status"})
    return KeyFacts(**kept, status="revoked" if credential.revoked else "expired" if expired else "good")


def _create(workspace: Workspace, request: CreateRequest, _emit: Emit) -> Secret:
    lasting = timedelta(days=request.expires_in_days)
    made, secret = _keys(workspace).create(request.principal, request.group, lasting, request.because)
    return Secret(key=_facts(made), secret=secret)


def _list(workspace: Workspace, request: ListRequest, _emit: Emit) -> KeyList:
    return KeyList(keys=tuple(map(_facts, _keys(workspace).list(revoked=request.revoked))))


def _revoke(workspace: Workspace, request: RevokeRequest, _emit: Emit) -> KeyAnswer:
    return KeyAnswer(key=_facts(_keys(workspace).revoke(request.key, request.because)))


def _rotate(workspace: Workspace, request: RotateRequest, _emit: Emit) -> Secret:
    lasting = None if request.expires_in_days is None else timedelta(days=request.expires_in_days)
    grace = timedelta(hours=request.grace_hours)
    rotated, secret = _keys(workspace).rotate(request.key, grace, request.because, lasting)
    return Secret(key=_facts(rotated), secret=secret)


LS = Call("keys ls", "List the API keys, without their secrets.", ListRequest, KeyList, _list)
CREATE = Call(
    "keys create",
    "Make an API key; its secret is shown this once.",
    CreateRequest,
    Secret,
    _create,
    example='keys create user:ada --group physicians --because "ward 7 starts its trial"',
)
REVOKE = Call(
    "keys revoke",
    "Make an API key worthless; running gateways know within 5 seconds.",
    RevokeRequest,
    KeyAnswer,
    _revoke,
    example='keys revoke m3fzqk2xwe --because "the laptop was stolen"',
)
ROTATE = Call(
    "keys rotate",
    "Give an API key a new secret; the one that it has is good for a while yet.",
    RotateRequest,
    Secret,
    _rotate,
    example='keys rotate m3fzqk2xwe --because "every quarter"',
)
