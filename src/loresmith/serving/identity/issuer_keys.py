"""The public keys of a token issuer (JWKS, RFC 7517): read from a URL or a file, kept, and read again when it is time.

Keys of symmetric kinds, for encryption, or too weak are left out as if they were not there.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loresmith.errors import UserError
from loresmith.serving.wall_clock import elapsed

if TYPE_CHECKING:
    from jwt import PyJWK

READ_AGAIN_SECONDS = 3600.0
"""How old keys are when they are read again."""

LONGEST_SECONDS = 86_400.0
"""How long keys are taken that cannot be read again: one that the issuer withdrew must not be good for ever."""

ASKED_AGAIN_SECONDS = 60.0
"""How often at most a token with an unknown key makes us ask: who invents key ids must not make us flood the issuer."""

_TIMEOUT_SECONDS = 5.0
_LARGEST = 1_000_000
_WEAKEST_RSA_BITS = 2048
_KINDS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The kind of key, and its curve, that each algorithm signs with."""

_PUBLIC = ("kty", "crv", "x", "y", "n", "e")

_LOG = logging.getLogger(__name__)


class IssuerKeys:
    """The keys of one issuer. May be used by several threads.

    Args:
        source: an https URL, or a file.
        folder: what a relative file starts from.
        clock: seconds that pass, while the machine is suspended too: keys grow old then as well.

    Raises:
        UserError: the URL is not https, or the file cannot be read. A URL that cannot be reached is not an error:
            until it can be, the issuer's tokens are refused.
    """

    def __init__(self, source: str, folder: Path, clock: Callable[[], float] = elapsed) -> None:
        self._source = source if "://" in source else folder / source
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: Sequence[Mapping[str, Any]] = ()
        self._read_at = self._asked_at = float("-inf")
        self.problem = ""
        """Why the keys could not be read when that was last tried."""
        if isinstance(self._source, str):
            _require_safe(self._source)
        self.read()
        if self.problem and isinstance(self._source, Path):
            raise UserError(self.problem, where=str(self._source))

    def find(self, algorithm: str, key_id: str | None) -> PyJWK | None:
        """The key that a token names, if it may sign with that algorithm; None if there is none.

        A token that names no key is for the only one that fits; with several, which one is not guessed. There is none
        once the keys could not be read for LONGEST_SECONDS.
        """
        import jwt

        if self._clock() - self._read_at > LONGEST_SECONDS:
            return None
        kind, curve = _KINDS[algorithm]
        fitting = [
            key
            for key in self._keys
            if key["kty"] == kind
            and (curve is None or key.get("crv") == curve)
            and key.get("alg") in (None, algorithm)
            and (key_id is None or key.get("kid") == key_id)
        ]
        if len(fitting) != 1:
            return None
        try:
            return jwt.PyJWK({name: fitting[0][name] for name in _PUBLIC if name in fitting[0]}, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError):  # it says it is such a key, and is none
            return None

    @property
    def due(self) -> bool:
        """Whether it is time to read the keys again."""
        now = self._clock()
        return now - self._read_at > READ_AGAIN_SECONDS and self.may_ask

    @property
    def may_ask(self) -> bool:
        """Whether they may be asked for now because a token names one that is not known."""
        return self._clock() - self._asked_at > ASKED_AGAIN_SECONDS

    def read(self) -> None:
        """Read the keys; waits for the network, so not for an event loop. If that fails, those that are known stay."""
        with self._reading:
            self._asked_at = self._clock()
            try:
                raw = self._source.read_bytes() if isinstance(self._source, Path) else _fetch(self._source)
                self._keys = _usable(raw)
            except Exception as error:  # noqa: BLE001 - somebody else's server: there is nothing that it may not answer
                problem = f"the issuer's keys cannot be read: {error}"
                if problem != self.problem:
                    _LOG.error("%s: %s", self._source, problem)
                self.problem = problem
            else:
                self._read_at, self.problem = self._asked_at, ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from where the configuration says, and from nowhere else."""

    def redirect_request(self, *_args: Any, **_keywords: Any) -> None:
        return None


def _fetch(url: str) -> bytes:
    opener = urllib.request.build_opener(_NoRedirect)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        raw: bytes = answer.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise ValueError(f"more than {_LARGEST} bytes")
    return raw


def _require_safe(url: str) -> None:
    """Raise UserError for a URL whose answer somebody on the way could change."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")):
        return
    raise UserError("keys are read over https only, or from a file", where=url)


def _usable(raw: bytes) -> list[Mapping[str, Any]]:
    """The keys of a set that can check signatures. Raises ValueError for what is no key set."""
    said = json.loads(raw)
    if not isinstance(said, dict) or not isinstance(said.get("keys"), list):
        raise ValueError("this is not a key set (JWKS)")  # noqa: TRY004 - one error for all that can be wrong
    return [key for key in said["keys"] if isinstance(key, dict) and _can_check(key)]


def _can_check(key: Mapping[str, Any]) -> bool:
    if key.get("use") not in (None, "sig") or key.get("kty") not in ("RSA", "EC", "OKP"):
        return False
    if key["kty"] != "RSA":
        return True
    modulus = key.get("n")
    return isinstance(modulus, str) and len(modulus) * 6 >= _WEAKEST_RSA_BITS
