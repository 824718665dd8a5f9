"""Bearer tokens of OpenID Connect issuers: JSON Web Tokens, held to what RFC 8725 (best current practices) asks for.

The issuer's keys and algorithms come from the configuration; of what a token says of itself only its issuer's name, its
algorithm and its key's id are used before its signature holds, and only to choose among what is configured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.issuer_keys import IssuerKeys
from loresmith.serving.identity.principal import Principal
from loresmith.serving.identity.settings import TokenIssuer
from loresmith.serving.identity.unauthenticated import Unauthenticated, UnknownSigningKey
from loresmith.serving.wall_clock import WallClock

LARGEST = 16_384
"""Characters of a token; more is not looked at."""

_TYPES = (None, "JWT", "AT+JWT", "APPLICATION/AT+JWT")
_FAULTS = (ValueError, TypeError, KeyError, OverflowError, RecursionError, OSError)


class Tokens:
    """The trusted issuers of one configuration.

    Args:
        folder: what relative key files start from.
        now: the time of day, by which tokens expire.
        before: those until now: what they know of a URL stays known, though it may not be there just now.

    Raises:
        UserError: an issuer's keys are read from a file that cannot be read, or over something else than https.
    """

    def __init__(
        self,
        issuers: tuple[TokenIssuer, ...],
        folder: Path = Path(),
        now: Callable[[], datetime] | None = None,
        before: Tokens | None = None,
    ) -> None:
        self._now = WallClock() if now is None else now
        known = () if before is None else before._issuers.values()
        held = {settings.keys: keys for settings, keys in known if "://" in settings.keys}
        self._issuers: dict[str, tuple[TokenIssuer, IssuerKeys]] = {
            settings.issuer: (settings, held.get(settings.keys) or IssuerKeys(settings.keys, folder))
            for settings in issuers
        }

    def principal(self, token: str, groups: Groups) -> Principal:
        """Who brings this token.

        Raises:
            UnknownSigningKey: it names a key of its issuer's that is not known; reading the issuer's keys may help.
            Unauthenticated: it is no good.
        """
        import jwt

        if len(token) > LARGEST:
            raise Unauthenticated(f"a token of more than {LARGEST} characters")
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False})
        except (jwt.PyJWTError, *_FAULTS) as error:
            raise Unauthenticated(f"not a token: {_words(error)}") from None
        settings, keys = self._issuer(claimed.get("iss"))
        algorithm = header.get("alg")
        if algorithm not in settings.algorithms:
            raise Unauthenticated(f"the algorithm {algorithm!r} is not taken from this issuer")
        if "crit" in header or str(header.get("typ") or "JWT").upper() not in _TYPES:
            raise Unauthenticated("a token with extensions, or of another type")
        key = keys.find(algorithm, header.get("kid"))
        if key is None:
            raise UnknownSigningKey(f"no key {header.get('kid')!r} of this issuer signs with {algorithm}")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=settings.audiences,
                issuer=settings.issuer,
                leeway=settings.leeway_seconds,
                options={"require": ["exp", "iat", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
            _require_time(claims, settings, self._now().timestamp())
            return _caller(claims, token, settings, groups)
        except (jwt.PyJWTError, *_FAULTS) as error:
            raise Unauthenticated(f"a token of {settings.issuer}: {_words(error)}") from None

    def issuer_of(self, token: str) -> IssuerKeys | None:
        """The keys of the issuer that a token names, to read them again; None if it names none that is trusted."""
        import jwt

        try:
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, *_FAULTS):
            return None
        return self._issuers[claimed][1] if isinstance(claimed, str) and claimed in self._issuers else None

    def read_due(self) -> None:
        """Read the keys of those issuers for which it is time."""
        for _, keys in self._issuers.values():
            if keys.due:
                keys.read()

    @property
    def unread_issuers(self) -> tuple[str, ...]:
        """Issuers whose keys could not be read when that was last tried."""
        return tuple(issuer for issuer, (_, keys) in self._issuers.items() if keys.problem)

    def _issuer(self, claimed: Any) -> tuple[TokenIssuer, IssuerKeys]:
        if not isinstance(claimed, str) or claimed not in self._issuers:
            raise Unauthenticated("a token of an issuer that is not trusted")
        return self._issuers[claimed]


def _require_time(claims: Mapping[str, Any], settings: TokenIssuer, now: float) -> None:
    """Refuse a token that is over: jwt goes by the machine's clock alone, which may be set back. Raises ValueError."""
    if now >= float(claims["exp"]) + settings.leeway_seconds:
        raise ValueError("it has expired")
    if now - float(claims["iat"]) > settings.longest_hours * 3600 + settings.leeway_seconds:
        raise ValueError("issued too long ago")


def _caller(claims: Mapping[str, Any], token: str, settings: TokenIssuer, groups: Groups) -> Principal:
    """The caller that a token with a good signature stands for. Raises ValueError."""
    name = claims.get(settings.principal_claim)
    if not isinstance(name, str) or not name:
        raise ValueError(f"without a text in {settings.principal_claim!r}")
    said = claims.get(settings.groups_claim, [])
    named = [said] if isinstance(said, str) else said
    if not isinstance(named, list) or not all(isinstance(group, str) for group in named):
        raise ValueError(f"{settings.groups_claim!r} is not a list of texts")
    known = settings.groups
    brought = named if known is None else [known[group] for group in named if group in known]
    identity = claims.get("jti") or hashlib.sha256(token.encode()).hexdigest()[:16]
    principal_id = f"{settings.principal}:{settings.prefix}{name}"
    return groups.principal(principal_id, brought, f"{settings.issuer}#{identity}")


def _words(error: Exception) -> str:
    """What went wrong, without what the token holds."""
    return f"{type(error).__name__}: {error}"[:200]
