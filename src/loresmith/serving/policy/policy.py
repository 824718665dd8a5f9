"""Decides requests by Cedar policies, parsed once. What goes wrong in a decision denies."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loresmith.ledger.digest import digest_of
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.principal import Principal
from loresmith.serving.policy.check import check, own_text, refuse
from loresmith.serving.policy.entities import context_of, entities_json, principal_uid, resource_uid
from loresmith.serving.policy.resource import APPLIES_TO, Action, Kind, Resource
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.policy.statements import Statement

if TYPE_CHECKING:
    import cedarpy

_PAIRS_KEPT = 4096
"""Callers with resources that are kept parsed: most requests are one caller's for one release, again and again."""


@dataclass(frozen=True)
class Decision:
    """What policies say of a request.

    Attributes:
        allowed: whether it may be.
        policies: the ids of the policies that decided; none where nothing permitted it.
        errors: what went wrong; with any, nothing is allowed.
        policy_digest: which policies decided (`Policy.digest`).
    """

    allowed: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...]
    policy_digest: str


class Policy:
    """The policies of a configuration.

    Attributes:
        statements: every policy, with its file and line.
        groups: the groups that they speak of.
        digest: of everything that decisions come from: schema, policies, groups.
    """

    def __init__(self, statements: Sequence[Statement], groups: Groups) -> None:
        import cedarpy

        self.statements = tuple(statements)
        self.groups = groups
        self.digest = digest_of(
            {
                "schema": own_text("schema.cedarschema"),
                "policies": {statement.id: statement.text for statement in statements},
                "groups": {name: group.model_dump(mode="json") for name, group in groups.declared.items()},
                "order": list(groups.declared),
            }
        )
        self._set = cedarpy.PolicySet.from_json_str(policy_set_json(statements))
        self._parsed = lru_cache(_PAIRS_KEPT)(_parsed)

    @classmethod
    def load(cls, settings: PolicySettings, groups: Groups, folder: Path = Path()) -> Policy:
        """Read, check and parse the policies of a configuration.

        Args:
            folder: what relative files start from: the configuration's folder.

        Raises:
            UserError: naming file and line of everything that is wrong with them.
        """
        groups.require(settings.administrators, "policy.administrators")
        checked = check(settings, groups, folder)
        if checked.problems:
            raise refuse(checked.problems)
        return cls(checked.statements, groups)

    def decide(
        self, principal: Principal, action: Action, resource: Resource, context: Mapping[str, Any] | None = None
    ) -> Decision:
        """Whether a caller may do that; about 50 us.

        Args:
            context: what is known of the request besides: `at` (an aware datetime; now by default), `address`,
                `route`, `tokens`, `stream`, `tools`.
        """
        import cedarpy

        if resource.kind not in APPLIES_TO[action]:
            return Decision(False, (), (f"one cannot {action} a {resource.kind}",), self.digest)
        try:
            request = {
                "principal": principal_uid(principal.id),
                "action": {"type": "Action", "id": action},
                "resource": resource_uid(resource),
                "context": context_of(context or {}),
            }
            attributes = tuple(sorted(resource.attributes.items()))
            entities = self._parsed(principal, resource.kind, resource.id, resource.labels, attributes)
        except ValueError as error:
            return Decision(False, (), (str(error),), self.digest)
        answer = cedarpy.is_authorized(request, self._set, entities)
        errors = tuple(answer.diagnostics.errors)
        # Cedar passes over a policy that fails, a forbidding one too: here a failure denies.
        allowed = answer.allowed and not errors
        return Decision(allowed, tuple(sorted(answer.diagnostics.reasons)), errors, self.digest)


def _parsed(
    principal: Principal, kind: Kind, name: str, labels: frozenset[str], attributes: tuple[tuple[str, str], ...]
) -> cedarpy.Entities:
    import cedarpy

    return cedarpy.Entities.from_json_str(entities_json(principal, Resource(kind, name, labels, dict(attributes))))


def policy_set_json(statements: Iterable[Statement]) -> str:
    """Policies in Cedar's JSON form, under their own ids."""
    trees = {statement.id: statement.tree for statement in statements}
    return json.dumps({"staticPolicies": trees, "templates": {}, "templateLinks": []})
