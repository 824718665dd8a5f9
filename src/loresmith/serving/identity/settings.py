"""The keys `groups` and `identity` of a serving configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from loresmith.serving.identity.principal import PRINCIPAL_PATTERN

PrincipalId = Annotated[str, StringConstraints(pattern=PRINCIPAL_PATTERN)]
GroupName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a private key that only the issuer has. With a shared secret (HS256), whoever checks could sign."""


class GroupSettings(BaseModel):
    """One group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[PrincipalId, ...] = Field(
        default=(),
        description="Who is in it, such as `user:ada` or `service:crm`, each by name; keys and tokens may bring it.",
    )
    labels: tuple[Label, ...] = Field(
        default=(), description="The labels that its members hold: what they may use of all that carries labels."
    )
    tenant: GroupName | None = Field(
        default=None,
        description="Whose audit key seals what its members say. The first of a caller's groups that names one counts; "
        "without any it is `default`.",
    )
    priority: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Its share when requests wait: a group with 3 gets three tokens served for each token of a group "
        "with 1.",
    )


class TokenIssuer(BaseModel):
    """One issuer of bearer tokens (OpenID Connect) that is trusted, and for what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="The claim `iss`, letter by letter.")
    audiences: tuple[str, ...] = Field(
        min_length=1, description="What the claim `aud` must name one of: the ids of this gateway at the issuer."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "ES256", "EdDSA"),
        min_length=1,
        description="Signature algorithms that are taken; only asymmetric ones can be.",
    )
    keys: str = Field(
        min_length=1,
        description="The issuer's public keys (JWKS): an https URL, or a file. Read at start and hourly, and once a "
        "minute at most when a token names a key that is not there.",
    )
    principal: Literal["user", "service"] = Field(default="user", description="What its tokens stand for.")
    principal_claim: str = Field(
        default="sub",
        min_length=1,
        description="The claim that names the caller: `user:` and its text. Choose one that the caller cannot change.",
    )
    prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,40}$",
        description="Put before the caller's name; with several issuers each needs its own, since each names people as "
        "it likes.",
    )
    groups_claim: str = Field(default="groups", min_length=1, description="The claim with the caller's groups, a list.")
    groups: dict[str, GroupName] | None = Field(
        default=None,
        description="Declared groups by the issuer's names for them; those not listed count for nothing. Without it "
        "the issuer's names are taken as they are.",
    )
    leeway_seconds: float = Field(
        default=30.0,
        ge=0.0,
        le=300.0,
        description="By how much the issuer's clock may differ, for `exp`, `nbf`, `iat`.",
    )
    longest_hours: float = Field(
        default=24.0,
        gt=0.0,
        le=24.0 * 366,
        description="How long after `iat` a token is taken at most, whatever its `exp` says.",
    )


class IdentitySettings(BaseModel):
    """Which credentials are taken. Without any there is no way in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: bool = Field(default=True, description="Whether API keys of this workspace are taken (`loresmith keys`).")
    tokens: tuple[TokenIssuer, ...] = Field(default=(), description="Issuers of bearer tokens that are trusted.")

    @model_validator(mode="after")
    def _names_cannot_clash(self) -> IdentitySettings:
        issuers = [token.issuer for token in self.tokens]
        if len(set(issuers)) != len(issuers):
            raise ValueError("an issuer stands twice")
        prefixes = [(token.principal, token.prefix) for token in self.tokens]
        if len(set(prefixes)) != len(prefixes):
            raise ValueError("several issuers need a prefix each: one's `ada` is not the other's")
        return self
