"""The gateway's policy: check it, explain a decision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Emit, FolderCall, Request

if TYPE_CHECKING:
    from loresmith.serving.access import Access
    from loresmith.serving.policy.policy import Policy
    from loresmith.serving.policy.resource import Resource
    from loresmith.serving.policy.statements import Statement

CONFIG = (
    "A serving configuration; of it, `groups`, `identity`, `policy` and `quotas` count here, and what it serves under "
    "which names."
)
CHECKED = f"{CONFIG} Its guards must send requests only to `models` that it has."

Action = Literal["complete", "retrieve", "feedback", "administer"]


class PolicyFacts(Answer):
    """One policy."""

    id: str = Field(description="Its `@id`, or file and line: what audit records name.")
    where: str = Field(description="File and line.")
    effect: Literal["permit", "forbid"] = Field(description="What it does where it applies.")
    text: str = Field(description="As it is written.")


class ProblemFacts(Answer):
    """One mistake."""

    where: str = Field(description="File and line.")
    what: str = Field(description="What is wrong.")


class Row(Answer):
    """A caller, an action, a resource, and what the policy says."""

    principal: str = Field(description="The caller.")
    groups: tuple[str, ...] = Field(description="The caller's groups.")
    action: Action = Field(description="What it wants.")
    resource: str = Field(description="Kind and name.")
    labels: tuple[str, ...] = Field(description="The labels that the resource carries.")
    allowed: bool = Field(description="What the policy says.")
    policies: tuple[str, ...] = Field(description="The policies that decided; none where nothing permitted it.")


class CheckRequest(Request):
    """What `policy check` takes."""

    config: Path = Field(description=CHECKED, json_schema_extra={"positional": True})
    matrix: bool = Field(
        default=False,
        description="Also print what the policy comes to: a caller of each group, every action, and resources with "
        "each label.",
    )


class Checked(Answer):
    """What a configuration's policies say."""

    policies: tuple[PolicyFacts, ...] = Field(description="Those that come with Loresmith first, then the files'.")
    problems: tuple[ProblemFacts, ...] = Field(
        description="Everything that is wrong with them, or with where guards send requests."
    )
    digest: str | None = Field(description="Of all that decides; audit records carry it. Null with problems.")
    matrix: tuple[Row, ...] = Field(description="The table, if it was asked for.")


class ExplainRequest(Request):
    """What `policy explain` takes."""

    config: Path = Field(description=CONFIG, json_schema_extra={"positional": True})
    as_: str = Field(
        description="The caller: `user:ada`, `service:crm`; a bare name is a user's.",
        json_schema_extra={"option": "as"},
    )
    group: tuple[str, ...] = Field(default=(), description="A group that the caller's key or token brings.")
    action: Action = Field(default="complete", description="What the caller wants.")
    model: str | None = Field(
        default=None,
        description="What it is wanted of: a name under `models` (`NAME:ADAPTER` for an adapter) or `embeddings` of "
        "the configuration, `release@channel`, or another reference to a model or adapter of the workspace. The "
        "ledger knows its labels.",
    )
    document: str | None = Field(
        default=None,
        description="With `--action retrieve`: a document of the index that the configuration retrieves from, by its "
        "id (audit records and citations have it) or its path. The index knows its labels and what else policies ask "
        "of it.",
    )
    label: tuple[str, ...] = Field(
        default=(), description="A label of the document, or of a model that no workspace has yet; may be repeated."
    )
    at: str | None = Field(default=None, description="When, in ISO 8601 with a zone. Default: now.")
    address: str | None = Field(default=None, description="The IP address that the request comes from.")
    tokens: int | None = Field(default=None, ge=0, description="Tokens of prompt and longest answer together.")
    tools: bool = Field(default=False, description="Whether the request brings tools.")


class NearFacts(Answer):
    """A permit that would have decided, but for a condition."""

    id: str = Field(description="Its id.")
    where: str = Field(description="File and line.")
    conditions: tuple[str, ...] = Field(description="Those that do not hold.")


class Explained(Answer):
    """Why a request is allowed or denied."""

    allowed: bool = Field(description="Whether it may be.")
    why: str = Field(description="Why, in a sentence or two.")
    policies: tuple[PolicyFacts, ...] = Field(description="The policies that decided.")
    lacking: tuple[str, ...] = Field(description="Labels of the resource that the caller does not hold.")
    near: tuple[NearFacts, ...] = Field(description="Permits that would have decided, but for a condition.")
    principal: str = Field(description="The caller.")
    groups: tuple[str, ...] = Field(description="The caller's groups.")
    held: tuple[str, ...] = Field(description="The labels that the caller holds.")
    resource: str = Field(description="Kind and name.")
    labels: tuple[str, ...] = Field(description="The labels that the resource carries.")
    digest: str = Field(description="Of all that decides.")


def _access(config: Path) -> Access:
    from loresmith.serving.access import read_access

    return read_access(config)


def policy_of(access: Access) -> Policy:
    """The policies of a configuration. Raises UserError for those that are wrong."""
    from loresmith.serving.policy.policy import Policy

    return Policy.load(access.settings.policy, access.groups, access.folder)


def _facts(statements: Any) -> tuple[PolicyFacts, ...]:
    return tuple(PolicyFacts(id=one.id, where=one.where, effect=one.effect, text=one.text) for one in statements)


def called(resource: Resource) -> str:
    """Kind and name."""
    return resource.kind if resource.kind == "gateway" else f"{resource.kind} {resource.id}"


def _check(_folder: Path, request: CheckRequest, _emit: Emit) -> Checked:
    from loresmith.serving.policy.check import check, named
    from loresmith.serving.policy.matrix import matrix

    access = _access(request.config)
    checked = check(access.settings.policy, access.groups, access.folder)
    problems = (
        *(ProblemFacts(where=problem.where, what=problem.what) for problem in checked.problems),
        *_wrong_routes(request.config),
        *_misnamed(request.config, checked.statements),
    )
    if problems:
        return Checked(policies=_facts(checked.statements), problems=problems, digest=None, matrix=())
    policy = policy_of(access)
    trees = [statement.tree for statement in policy.statements]
    releases, adapters = (
        dict.fromkeys(name for tree in trees for name in named(kind, tree)) for kind in ("Release", "Adapter")
    )
    releases |= dict.fromkeys(_names(request.config).values())
    rows = matrix(policy, (*releases, "any-other"), (*adapters, "adapter")) if request.matrix else ()
    table = tuple(
        Row(
            principal=cell.principal.id,
            groups=cell.principal.groups,
            action=cell.action,
            resource=called(cell.resource),
            labels=tuple(sorted(cell.resource.labels)),
            allowed=cell.decision.allowed,
            policies=cell.decision.policies,
        )
        for cell in rows
    )
    return Checked(policies=_facts(policy.statements), problems=(), digest=policy.digest, matrix=table)


def _wrong_routes(config: Path) -> Iterator[ProblemFacts]:
    """Guards that send requests to models which the configuration does not serve."""
    from loresmith.serving.guards.routes import served_names, wrong_routes
    from loresmith.serving.guards.settings import GuardsSettings
    from loresmith.validation import validate
    from loresmith.yaml_lines import read_yaml

    written = read_yaml(config)
    if "guards" not in written.data:
        return
    guards = validate(GuardsSettings, written.data["guards"], written.lines, written.source, ("guards",))
    if "models" in written.data:  # else somebody checks policies on their own
        for place, what in wrong_routes(guards, served_names(written.data["models"])):
            yield ProblemFacts(where=written.where(("guards", place, "route")), what=what)


def _names(config: Path) -> dict[str, str]:
    """What the configuration serves: the names, and those by which policies speak of it."""
    from loresmith.serving.policy.meant import Served
    from loresmith.serving.policy.served import release_names
    from loresmith.yaml_lines import read_yaml

    served = Served.read(read_yaml(config))
    return release_names(served.models, served.embeddings)


def _misnamed(config: Path, statements: Iterable[Statement]) -> Iterator[ProblemFacts]:
    """Policies that speak of a served name, where they should of the release."""
    from loresmith.serving.policy.served import misnamed

    for problem in misnamed(statements, _names(config)):
        yield ProblemFacts(where=problem.where, what=problem.what)


def _explain(folder: Path, request: ExplainRequest, _emit: Emit) -> Explained:
    from loresmith.serving.policy.explain import explain

    access = _access(request.config)
    policy = policy_of(access)
    name = request.as_ if ":" in request.as_ else f"user:{request.as_}"
    try:
        caller = access.groups.principal(name, request.group, "explained")
    except ValueError as error:
        raise UserError(str(error), where="--as") from None
    access.groups.require(request.group, "--group")
    resource, kept_until = _asked_about(folder, request)
    context = _context(request)
    explained = explain(policy, caller, request.action, resource, context)
    today = context.get("at", datetime.now(UTC)).astimezone(UTC).date().isoformat()
    over = f"it might be kept until {kept_until}, so nobody is shown it; " if "" < kept_until < today else ""
    near = (NearFacts(id=miss.id, where=miss.where, conditions=miss.conditions) for miss in explained.near)
    return Explained(
        allowed=explained.decision.allowed and not over,
        why=over + explained.why,
        policies=_facts(explained.decided),
        lacking=explained.lacking,
        near=tuple(near),
        principal=caller.id,
        groups=caller.groups,
        held=tuple(sorted(caller.labels)),
        resource=called(resource),
        labels=tuple(sorted(resource.labels)),
        digest=policy.digest,
    )


def _asked_about(folder: Path, request: ExplainRequest) -> tuple[Resource, str]:
    """The resource, and of a document the last day on which it may be kept, if one is set."""
    if request.document is None:
        return _resource(folder, request), ""
    if request.action != "retrieve" or request.label:
        raise UserError(
            "the index knows the labels of a document" if request.label else f"one cannot {request.action} a document",
            where="--document",
            hint="leave --label out" if request.label else "add `--action retrieve`",
        )
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.policy.meant import Served
    from loresmith.serving.retrieval.find_document import find_document
    from loresmith.yaml_lines import read_yaml

    retrieval = Served.read(read_yaml(request.config)).retrieval
    if retrieval is None:
        raise UserError(
            "the configuration retrieves from no index", where=str(request.config), hint="give the labels by --label"
        )
    with Workspace.open(folder) as workspace:
        assets = workspace.ledger.assets
        directory = assets.directory(assets.find(retrieval.index, kind="index").digest)
        ref = find_document(directory, request.document, f"--document {request.document}")
    return ref.resource, ref.retain_until


def _resource(folder: Path, request: ExplainRequest) -> Resource:
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.policy.meant import Served, labelled, meant
    from loresmith.serving.policy.resource import GATEWAY, Resource
    from loresmith.yaml_lines import read_yaml

    labels = frozenset(request.label)
    if request.action == "administer":
        return GATEWAY
    if request.action == "retrieve":
        return Resource("document", "document", labels)
    if request.model is None:
        return Resource("release", "any-release", labels)
    served = Served.read(read_yaml(request.config))
    if request.label:
        return labelled(request.model, served, labels)
    with Workspace.open(folder) as workspace:
        return meant(request.model, served, workspace.ledger)


def _context(request: ExplainRequest) -> dict[str, Any]:
    context: dict[str, Any] = {"tools": request.tools}
    if request.at is not None:
        try:
            context["at"] = datetime.fromisoformat(request.at)
        except ValueError as error:
            raise UserError(str(error), where="--at") from None
    given = {"address": request.address, "tokens": request.tokens}
    return context | {name: value for name, value in given.items() if value is not None}


def _has_problems(answer: Checked) -> bool:
    return bool(answer.problems)


CHECK = FolderCall(
    "policy check",
    "Check a serving configuration's policies against the schema, and say what they come to.",
    CheckRequest,
    Checked,
    _check,
    failed=_has_problems,
    example="policy check serve.yaml --matrix",
)
EXPLAIN = FolderCall(
    "policy explain",
    "Say whether a caller may do something, which policy decides it, and why.",
    ExplainRequest,
    Explained,
    _explain,
    example="policy explain serve.yaml --as ada --model acme@production",
)
