"""Who may what, and how much: those keys of a serving configuration that say it, read from its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.settings import GroupName, GroupSettings, IdentitySettings
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.quotas.settings import QuotaSettings
from loresmith.serving.settings import ServingConfig
from loresmith.validation import validate
from loresmith.yaml_lines import Mapped, read_yaml


class AccessSettings(BaseModel):
    """The keys that say who may what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: dict[GroupName, GroupSettings] = Field(default_factory=dict, description="The groups, by name.")
    identity: IdentitySettings = Field(default=IdentitySettings(), description="Which credentials are taken.")
    policy: PolicySettings = Field(default=PolicySettings(), description="Who may do what.")
    quotas: QuotaSettings = Field(default=QuotaSettings(), description="How much anyone may use.")


@dataclass(frozen=True)
class Access:
    """What a configuration says of access.

    Attributes:
        settings: as written, with all defaults.
        groups: the declared groups.
        folder: what relative files start from.
    """

    settings: AccessSettings
    groups: Groups
    folder: Path


def read_access(path: Path) -> Access:
    """Read a serving configuration's file as far as access goes.

    Raises:
        UserError: naming file, line, key and the nearest known key or group.
    """
    written = read_yaml(path)
    if not isinstance(written.data, dict):
        raise UserError("a serving configuration is a mapping of keys to values", where=written.source)
    for key in written.data:
        if key not in ServingConfig.model_fields:
            raise UserError(unknown_name("key", key, ServingConfig.model_fields), where=written.where((key,)))
    ours = {key: value for key, value in written.data.items() if key in AccessSettings.model_fields}
    settings = validate(AccessSettings, ours, written.lines, written.source)
    groups = Groups.from_settings(settings.groups)
    require_groups(settings, groups, written)
    return Access(settings, groups, path.parent)


def require_groups(settings: AccessSettings, groups: Groups, written: Mapped) -> None:
    """Raise UserError, with file and line, where another key names a group that `groups` does not declare."""
    for position, name in enumerate(settings.policy.administrators):
        groups.require([name], written.where(("policy", "administrators", position)))
    for name in settings.quotas.groups:
        groups.require([name], written.where(("quotas", "groups", name)))
    for position, issuer in enumerate(settings.identity.tokens):
        for said, name in (issuer.groups or {}).items():
            groups.require([name], written.where(("identity", "tokens", position, "groups", said)))
