"""A guard with its settings, asked so that its failing is a refusal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from loresmith.errors import UserError
from loresmith.serving.guards.deny import PhraseGuard
from loresmith.serving.guards.grounding import Embed, GroundingCheck
from loresmith.serving.guards.guard import Guard, Hit, Reading
from loresmith.serving.guards.injection import InjectionHeuristics
from loresmith.serving.guards.memorisation import MemorisationCheck
from loresmith.serving.guards.patterns import PatternGuard
from loresmith.serving.guards.schema import SchemaCheck
from loresmith.serving.guards.settings import (
    DenyGuard,
    GroundingGuard,
    GuardBase,
    InjectionGuard,
    MemorisationGuard,
    PrivacyGuard,
    SchemaGuard,
    SecretsGuard,
    TopicGuard,
)
from loresmith.serving.guards.topic import TopicCheck

Answer = TypeVar("Answer")

_LOG = logging.getLogger(__name__)


class GuardFailed(Exception):
    """A guard did not come to an end; what it was asked about counts as refused."""


@dataclass(frozen=True)
class NamedGuard:
    """A guard and what follows from its matches.

    Attributes:
        settings: of the guard.
        guard: the guard.
    """

    settings: GuardBase
    guard: Guard

    def look(self, reading: Reading) -> list[Hit]:
        """What matches.

        Raises:
            GuardFailed: the guard raised anything at all.
        """
        return self._asked(lambda: list(self.guard.look(reading)))

    def open_from(self, reading: Reading) -> int:
        """Where a match begins that is not over; see `guard`.

        Raises:
            GuardFailed: the guard raised anything at all.
        """
        return self._asked(lambda: self.guard.open_from(reading))

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except Exception as error:  # whatever it is, nothing may pass for it
            _LOG.error("the guard %s failed: %s", self.settings.called(), type(error).__name__)  # not what it was about
            raise GuardFailed(self.settings.called()) from error


def make_guard(settings: GuardBase, folder: Path, assets: Mapping[str, Path], embed: Embed | None) -> NamedGuard:
    """The guard of some settings.

    Args:
        folder: against which relative paths are.
        assets: the directories of the assets that settings name, by the names there.
        embed: an embedder for the grounding check.

    Raises:
        UserError: something that the settings name is not there, or is not what it should be.
    """
    return NamedGuard(settings, _guard(settings, folder, assets, embed))


def _guard(settings: GuardBase, folder: Path, assets: Mapping[str, Path], embed: Embed | None) -> Guard:
    match settings:
        case PrivacyGuard() | SecretsGuard():
            return PatternGuard.of(settings, folder)
        case DenyGuard():
            return PhraseGuard.of(settings, folder)
        case TopicGuard():
            return TopicCheck.of(settings, _directory(settings, settings.model, assets))
        case InjectionGuard():
            return InjectionHeuristics(settings)
        case SchemaGuard():
            return SchemaCheck.of(settings, folder)
        case GroundingGuard():
            return GroundingCheck(settings, embed)
        case MemorisationGuard():
            return MemorisationCheck.of(settings, _directory(settings, settings.index, assets))
    raise AssertionError(f"no guard goes by {type(settings).__name__}")


def _directory(settings: GuardBase, named: str, assets: Mapping[str, Path]) -> Path:
    if named not in assets:
        raise UserError(f"the asset {named!r} is not at hand", where=f"guards.{settings.called()}")
    return assets[named]
