"""Decides requests by Cedar policies, parsed once. What goes wrong in a decision denies."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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

_DECISIONS_KEPT = 16_384

ALL = "*"
"""In place of an attribute: the context is looked at as a whole."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


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

    Args:
        now: the time of a request that says none; aware.

    Attributes:
        statements: every policy, with its file and line.
        groups: the groups that they speak of.
        digest: of everything that decisions come from: schema, policies, groups.
    """

    def __init__(self, statements: Sequence[Statement], groups: Groups, now: Callable[[], datetime] = _utc_now) -> None:
        import cedarpy

        self.statements = tuple(statements)
        self.groups = groups
        self._now = now
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
        self._reads = frozenset(name for statement in self.statements for name in context_read(statement.tree))
        self._decided: OrderedDict[Hashable, Decision] = OrderedDict()

    @classmethod
    def load(
        cls,
        settings: PolicySettings,
        groups: Groups,
        folder: Path = Path(),
        now: Callable[[], datetime] = _utc_now,
    ) -> Policy:
        """Read, check and parse the policies of a configuration.

        Args:
            folder: what relative files start from: the configuration's folder.
            now: the time of a request that says none; aware.

        Raises:
            UserError: naming file and line of everything that is wrong with them.
        """
        groups.require(settings.administrators, "policy.administrators")
        checked = check(settings, groups, folder)
        if checked.problems:
            raise refuse(checked.problems)
        return cls(checked.statements, groups, now)

    def reads(self, name: str) -> bool:
        """Whether a policy may look at this attribute of the context."""
        return name in self._reads or ALL in self._reads

    def decide(
        self, principal: Principal, action: Action, resource: Resource, context: Mapping[str, Any] | None = None
    ) -> Decision:
        """Whether a caller may do that; about 50 us, or 5 where the same was decided before.

        Args:
            context: what is known of the request besides: `at` (an aware datetime; now by default), `address`,
                `route`, `tokens`, `stream`, `tools`.
        """
        # Unless a policy reads the clock, a decision follows from what is asked alone.
        key = None if self.reads("at") else _key(principal, action, resource, context or {})
        if key is None:
            return self._decision(principal, action, resource, context)
        decision = self._decided.pop(key, None)
        if decision is None:
            decision = self._decision(principal, action, resource, context)
        self._decided[key] = decision
        if len(self._decided) > _DECISIONS_KEPT:
            self._decided.popitem(last=False)
        return decision

    def _decision(
        self, principal: Principal, action: Action, resource: Resource, context: Mapping[str, Any] | None
    ) -> Decision:
        import cedarpy

        if resource.kind not in APPLIES_TO[action]:
            return Decision(False, (), (f"one cannot {action} a {resource.kind}",), self.digest)
        try:
            request = {
                "principal": principal_uid(principal.id),
                "action": {"type": "Action", "id": action},
                "resource": resource_uid(resource),
                "context": context_of({"at": self._now(), **(context or {})}),
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


def context_read(tree: Any) -> set[str]:
    """The attributes of the context that a policy, in Cedar's JSON form, may look at; with ALL, any."""
    if isinstance(tree, Mapping):
        for operator in (".", "has"):
            found = tree.get(operator)
            if isinstance(found, Mapping) and found.get("left") == {"Var": "context"} and "attr" in found:
                return {str(found["attr"])}
        if tree.get("Var") == "context":
            return {ALL}
    inner = tree.values() if isinstance(tree, Mapping) else tree if isinstance(tree, list) else ()
    return {name for part in inner for name in context_read(part)}


def _key(principal: Principal, action: Action, resource: Resource, context: Mapping[str, Any]) -> Hashable | None:
    """What a decision follows from; None where that cannot be told apart from something else."""
    known = tuple(sorted((name, type(value).__name__, value) for name, value in context.items()))
    attributes = tuple(sorted(resource.attributes.items()))
    key = (principal, action, resource.kind, resource.id, resource.labels, attributes, known)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _parsed(
    principal: Principal, kind: Kind, name: str, labels: frozenset[str], attributes: tuple[tuple[str, str], ...]
) -> cedarpy.Entities:
    import cedarpy

    return cedarpy.Entities.from_json_str(entities_json(principal, Resource(kind, name, labels, dict(attributes))))


def policy_set_json(statements: Iterable[Statement]) -> str:
    """Policies in Cedar's JSON form, under their own ids."""
    trees = {statement.id: statement.tree for statement in statements}
    return json.dumps({"staticPolicies": trees, "templates": {}, "templateLinks": []})
