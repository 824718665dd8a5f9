"""Hold the audit against a candidate: who would have been let in or not, and what guards would have done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.audit import complete_record, keys_of
from loresmith.sdk.calls.guards import digest_in_force, guards_of, index_of
from loresmith.sdk.calls.policy import Action, called, policy_of
from loresmith.serving.guards.settings import Action as GuardAction
from loresmith.serving.guards.settings import GroundingGuard, Where
from loresmith.yaml_lines import Mapped, read_yaml

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.guards.grounding import Embed
    from loresmith.serving.guards.replay import GuardReplay, Turned
    from loresmith.serving.policy.replay import Flip


class ReplayRequest(Request):
    """What `policy replay` takes."""

    config: Path = Field(
        description="The candidate: a serving configuration with its groups, policies and guards, or a file whose only "
        "key is `guards`.",
        json_schema_extra={"positional": True},
    )
    days: float = Field(default=7, gt=0, le=3660, description="How far back in the audit to go.")
    because: str | None = Field(
        default=None,
        description="Why the candidate's guards are to read what others said; it stays on the record. Without it, "
        "policies alone are replayed.",
    )


class FlipFacts(Answer):
    """A request that the candidate decides otherwise."""

    response: str = Field(description="The id of its answer.")
    at: str = Field(description="When it came.")
    principal: str = Field(description="Who asked.")
    action: Action = Field(description="What was wanted.")
    resource: str = Field(description="Kind and name.")
    labels: tuple[str, ...] = Field(description="The labels that the resource carried.")
    was_allowed: bool = Field(description="What was decided.")
    policies: tuple[str, ...] = Field(description="The policies that decided it.")
    allowed: bool = Field(description="What the candidate says.")
    why: str = Field(description="Which of its policies, and why.")


class RuleFlip(Answer):
    """A rule of a guard that would do something else."""

    guard: str = Field(description="The guard's name.")
    rule: str = Field(description="The rule; in brackets how what it found was written.")
    where: Where = Field(description="Which text.")
    role: str = Field(description="Whose words.")
    was: GuardAction = Field(description="What it asked for; `allow` also where it found nothing.")
    would: GuardAction = Field(description="What it would ask for.")
    read: bool = Field(
        description="Whether the candidate looked at the words themselves. Else they were masked or refused, and are "
        "not kept: then this holds if the rule still matches them."
    )


class GuardFlip(Answer):
    """A request of which guards would have made something else."""

    response: str = Field(description="The id of its answer.")
    at: str = Field(description="When it came.")
    principal: str = Field(description="Who asked.")
    release: str = Field(description="The release that was asked.")
    was: GuardAction = Field(description="What guards did, all together; passages that were left out do not count.")
    would: GuardAction = Field(description="What the candidate's would do.")
    rules: tuple[RuleFlip, ...] = Field(description="Why; never what was said.")


class GuardsReplayed(Answer):
    """What the candidate's guards do to what was said."""

    read: int = Field(description="Requests whose words they looked at.")
    partly: int = Field(
        description="Of these, those of which something is missing: it was masked, or ended the answer."
    )
    omitted: int = Field(
        description="Requests of which no words were kept: by the settings, or since they were refused before."
    )
    gone: int = Field(description="Requests whose words nobody can read any more: their tenant's key is gone.")
    passed_over: int = Field(description="Requests that were not let in, so that no guard was asked.")
    turned: int = Field(description="Requests of which something else would have become.")
    flips: tuple[GuardFlip, ...] = Field(
        description="Those in which any rule would do something else, the oldest first, also where it makes no "
        "difference to the whole."
    )


class Replayed(Answer):
    """What a candidate does to what was asked."""

    since: str = Field(description="The oldest time that was looked at.")
    requests: int = Field(description="How many were held against its policies.")
    passed_over: int = Field(description="Records of requests about which no policy was asked.")
    flips: tuple[FlipFacts, ...] = Field(description="Those that its policies decide otherwise, the oldest first.")
    digest: str | None = Field(description="Of all that decides under the candidate; null of a file of guards alone.")
    guards: GuardsReplayed | None = Field(description="What its guards do; null where they were not asked.")
    unasked: bool = Field(description="Whether it has guards that were not asked, for want of a reason to read.")


def _replay(workspace: Workspace, request: ReplayRequest, _emit: Emit) -> Replayed:
    since = (datetime.now(UTC) - timedelta(days=request.days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    written = read_yaml(request.config)
    keys = set(written.data) if isinstance(written.data, dict) else set()
    reason = (request.because or "").strip()
    if keys == {"guards"} and not reason:
        raise UserError(
            "reading what others said needs a reason", where="--because", hint="say why: it stays on the record"
        )
    guards = _guards(workspace, written, request, since) if reason else None
    if keys == {"guards"}:
        return Replayed(since=since, requests=0, passed_over=0, flips=(), digest=None, guards=guards, unasked=False)
    return _policies(workspace, request, since).model_copy(
        update={"guards": guards, "unasked": guards is None and bool(written.data.get("guards"))}
    )


def _policies(workspace: Workspace, request: ReplayRequest, since: str) -> Replayed:
    from loresmith.serving.access import read_access
    from loresmith.serving.policy.recorded import recorded_requests
    from loresmith.serving.policy.replay import replay

    policy = policy_of(read_access(request.config))
    complete_record(workspace)
    replayed = replay(policy, recorded_requests(workspace.ledger, policy.groups, since))
    return Replayed(
        since=since,
        requests=replayed.requests,
        passed_over=replayed.passed_over,
        flips=tuple(_policy_flips(replayed.flips)),
        digest=policy.digest,
        guards=None,
        unasked=False,
    )


def _policy_flips(flips: Iterable[Flip]) -> Iterator[FlipFacts]:
    for flip in flips:
        yield FlipFacts(
            response=flip.request.response,
            at=flip.request.at,
            principal=flip.request.principal.id,
            action=flip.request.action,
            resource=called(flip.request.resource),
            labels=tuple(sorted(flip.request.resource.labels)),
            was_allowed=flip.request.allowed,
            policies=flip.request.policies,
            allowed=flip.allowed,
            why=flip.why,
        )


def _guards(workspace: Workspace, written: Mapped, request: ReplayRequest, since: str) -> GuardsReplayed:
    from loresmith.serving.guards.guards import Guards
    from loresmith.serving.guards.recorded import recorded_talks
    from loresmith.serving.guards.replay import replay_guards

    settings, assets = guards_of(workspace, written)
    complete_record(workspace)
    needs_vectors = any(isinstance(guard, GroundingGuard) for guard in settings.root)
    embed = _embed(workspace, written) if needs_vectors else None
    folder = request.config.absolute().parent
    candidate = Guards.load(settings, folder, assets, embed)
    # With a list of words for a guard one can look for them in what everybody said: so it is on the record which.
    digest = digest_in_force(workspace, settings, written, folder)
    told = f"content since {since} before the guards {digest} of {request.config.name}, because {request.because}"
    workspace.ledger.audit_records.note("audit-read", told)
    talks = recorded_talks(workspace.ledger, keys_of(workspace), since, _instructions(written.data))
    return _guard_facts(replay_guards(candidate, talks))


def _instructions(config: Any) -> str:
    """What the candidate tells models about passages, which is no word of a caller's."""
    from loresmith.serving.retrieval.settings import INSTRUCTIONS

    retrieval = config.get("retrieval")
    return str(retrieval.get("instructions", INSTRUCTIONS)) if isinstance(retrieval, dict) else INSTRUCTIONS


def _embed(workspace: Workspace, written: Mapped) -> Embed | None:
    """The embedder of the candidate's retrieval, which grounding checks use."""
    index = index_of(written)
    if index is None:
        return None
    from loresmith.serving.retrieval.opening import open_index

    retriever = open_index(workspace.ledger, index)
    return None if retriever.embedder is None else retriever.embed


def _guard_facts(replayed: GuardReplay) -> GuardsReplayed:
    return GuardsReplayed(
        read=replayed.read,
        partly=replayed.partly,
        omitted=replayed.omitted,
        gone=replayed.gone,
        passed_over=replayed.passed_over,
        turned=sum(one.was != one.would for one in replayed.turned),
        flips=tuple(map(_guard_flip, replayed.turned)),
    )


def _guard_flip(turned: Turned) -> GuardFlip:
    record = turned.talk.record
    return GuardFlip(
        response=record.response,
        at=turned.talk.at,
        principal=record.principal,
        release=record.release,
        was=turned.was,
        would=turned.would,
        rules=tuple(
            RuleFlip(
                guard=flip.place.guard,
                rule=flip.place.rule,
                where=flip.place.where,
                role=flip.place.role,
                was=flip.was,
                would=flip.would,
                read=flip.read,
            )
            for flip in turned.flips
        ),
    )


REPLAY = Call(
    "policy replay",
    "Hold the audit of the last days against a candidate's policies and guards: which decisions would be others.",
    ReplayRequest,
    Replayed,
    _replay,
    example="policy replay candidate.yaml --days 30",
)
