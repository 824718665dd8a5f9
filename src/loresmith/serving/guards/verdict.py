"""What guards said of a text, as the audit keeps it: never the text itself."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from loresmith.serving.guards.settings import Action, Where

FAILED = "failed"
"""The rule of a verdict that a guard gave by failing."""

_STRICTNESS: dict[Action, int] = {"allow": 0, "redact": 1, "route": 2, "ask": 3, "refuse": 4}
_LENGTHS_AT_MOST = 32


@dataclass(frozen=True)
class Verdict:
    """What one rule of one guard found in one place.

    Attributes:
        guard: the guard's name.
        where: what it looked at.
        role: whose words they were: `user`, `system`, `assistant`, `tool`, `tools` (their declaration) or `passage`.
        action: what the guard asks for.
        rule: what matched, such as `email`, `card (base64)` or `phrase 3`; `failed`: the guard itself failed.
        count: how many times.
        digest: HMAC-SHA-256 of what matched, under the service's key: two of equal digest matched the same.
        lengths: characters of each match, of the first 32.
    """

    guard: str
    where: Where
    role: str
    action: Action
    rule: str
    count: int
    digest: str
    lengths: tuple[int, ...]


def strictest(actions: Iterable[Action]) -> Action:
    """What is done when guards ask for different things."""
    return max(actions, key=_STRICTNESS.__getitem__, default="allow")


class Tally:
    """Counts matches and gives them as verdicts.

    Args:
        key: of the digests.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._found: dict[tuple[str, Where, str, Action, str], tuple[list[int], hmac.HMAC]] = {}
        self._counts: dict[tuple[str, Where, str, Action, str], int] = {}

    def add(self, guard: str, where: Where, role: str, action: Action, rule: str, matched: str) -> None:
        """Count a match."""
        told = (guard, where, role, action, rule)
        lengths, digest = self._found.setdefault(told, ([], hmac.new(self._key, digestmod=sha256)))
        self._counts[told] = self._counts.get(told, 0) + 1
        digest.update(f"{len(matched)}:".encode())
        digest.update(matched.encode("utf-8", "surrogatepass"))
        if len(lengths) < _LENGTHS_AT_MOST:
            lengths.append(len(matched))

    def verdicts(self) -> tuple[Verdict, ...]:
        """One for each guard, place, role and rule, in the order in which they were met first."""
        return tuple(self._verdicts())

    def _verdicts(self) -> Iterator[Verdict]:
        for (guard, where, role, action, rule), (lengths, digest) in self._found.items():
            count = self._counts[guard, where, role, action, rule]
            yield Verdict(guard, where, role, action, rule, count, digest.hexdigest(), tuple(lengths))
