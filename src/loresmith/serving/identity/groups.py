"""Groups: who is in them, which labels they hold, whose tenant they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.serving.identity.principal import Principal, is_principal
from loresmith.serving.identity.settings import GroupSettings

DEFAULT_TENANT = "default"
"""The tenant of callers none of whose groups names one."""


class Groups:
    """The groups that a configuration declares.

    A caller is in a group because the configuration lists it as a member, or because its key or token brings the
    group; a group that is brought and not declared counts for nothing.
    """

    def __init__(self, declared: Mapping[str, GroupSettings]) -> None:
        self.declared = dict(declared)
        self._listed: dict[str, frozenset[str]] = {}
        for name, group in declared.items():
            for member in group.members:
                self._listed[member] = self._listed.get(member, frozenset()) | {name}

    @classmethod
    def from_settings(cls, settings: Mapping[str, GroupSettings]) -> Groups:
        """The groups of the configuration's key `groups`."""
        return cls(settings)

    @property
    def labels(self) -> frozenset[str]:
        """All that anybody may hold."""
        return frozenset(label for group in self.declared.values() for label in group.labels)

    def principal(self, principal_id: str, brought: Iterable[str], credential: str) -> Principal:
        """The caller of that id with all that its groups hold.

        Args:
            brought: the groups that its key or token names.
            credential: the key's id, or the token's `issuer#jti`.

        Raises:
            ValueError: this cannot be the id of a principal.
        """
        if not is_principal(principal_id):
            raise ValueError(f"{principal_id!r} is not of the form user:NAME or service:NAME")
        wanted = self._listed.get(principal_id, frozenset()) | frozenset(brought)
        groups = tuple(name for name in self.declared if name in wanted)
        labels = frozenset(label for name in groups for label in self.declared[name].labels)
        tenant = next((found for name in groups if (found := self.declared[name].tenant)), DEFAULT_TENANT)
        return Principal(principal_id, groups, labels, tenant, credential)

    def require(self, names: Iterable[str], where: str) -> None:
        """Raise UserError, naming the nearest known group, for a name that is not declared."""
        for name in names:
            if name not in self.declared:
                raise UserError(unknown_name("group", name, self.declared), where=where)
