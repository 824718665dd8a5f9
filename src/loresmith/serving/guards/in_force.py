"""Which guards are in force: one digest of all that their verdicts come from, as audit records carry it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points, version
from pathlib import Path

from loresmith.data.privacy.names import NAME_MODELS
from loresmith.errors import UserError
from loresmith.ledger.digest import digest_file, digest_of
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.settings import GroundingGuard, GuardsSettings, PrivacyGuard

_READINGS = 3
"""How often guards are loaded whose files change meanwhile."""


def guards_digest(settings: GuardsSettings, folder: Path, assets: Mapping[str, str], embedder: str = "") -> str:
    """One digest of guards.

    It is another one when a setting or their order is, or what is in a file, asset or name model that they use, or this
    Loresmith, whose recognisers they look with. Of no guards there is one, too.

    Args:
        settings: which.
        folder: of the serving config; relative paths are against it.
        assets: the digests of `settings.assets()`, by the names there.
        embedder: the digest of what embeds for grounding checks; "" for none.
    """
    grounded = any(isinstance(guard, GroundingGuard) for guard in settings.root)
    return digest_of(
        {
            "loresmith": version("loresmith"),
            "guards": settings.model_dump(mode="json"),
            "files": {str(file): file_state(folder / file) for file in settings.files()},
            "assets": {name: assets[name] for name in settings.assets()},
            "embedder": embedder if grounded else "",
            "name_models": _name_models(settings),
        }
    )


def with_digest(load: Callable[[], Guards], digest: Callable[[], str], where: Path) -> tuple[Guards, str]:
    """Guards, and the digest of what they were loaded from, though somebody writes to their files meanwhile.

    Raises:
        UserError: as `load` does; or a file changes every time that it is read.
    """
    before = digest()
    for _ in range(_READINGS):
        guards, after = load(), digest()
        if after == before:
            return guards, after
        before = after
    raise UserError(
        "a file that the guards name is written to whenever it is read",
        where=str(where),
        hint="stop what writes to it, or put a finished file in its place",
    )


def file_state(file: Path) -> str:
    """The digest of what is in a file; of what cannot be read, why: whoever needs it says so better."""
    try:
        return digest_file(file)
    except (OSError, ValueError) as error:
        return f"cannot be read: {type(error).__name__}"


def _name_models(settings: GuardsSettings) -> dict[str, str]:
    """The packages that name models come from, with their versions."""
    wanted = {guard.name_model for guard in settings.root if isinstance(guard, PrivacyGuard) and guard.name_model}
    offered = entry_points(group=NAME_MODELS) if wanted else ()
    return {
        point.name: f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
        for point in offered
        if point.name in wanted
    }
