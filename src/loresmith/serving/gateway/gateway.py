"""Everything that one gateway process works with, and how it is changed while it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from loresmith.errors import LoresmithError, UserError
from loresmith.ledger.digest import digest_of
from loresmith.serving.audit.journal import FOLDER as JOURNALS
from loresmith.serving.audit.journal import Journal, bring_in
from loresmith.serving.audit.record import AuditRecord
from loresmith.serving.audit.tenant_keys import FOLDER as TENANT_KEYS
from loresmith.serving.audit.tenant_keys import TenantKeys
from loresmith.serving.audit.writer import Audit
from loresmith.serving.engines.grammar_trial import GrammarTrials
from loresmith.serving.gateway.background import as_failure, speaking, tell
from loresmith.serving.gateway.erasures import Erasures
from loresmith.serving.gateway.problem import Problem
from loresmith.serving.gateway.served_embedders import MovingEmbedders, ServedEmbedder, latest, open_embedders
from loresmith.serving.gateway.served_model import ServedModel
from loresmith.serving.gateway.served_models import ServedModels
from loresmith.serving.gateway.telemetry import Telemetry
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.in_force import file_state, guards_digest, with_digest
from loresmith.serving.identity.authenticator import Authenticator
from loresmith.serving.identity.groups import Groups
from loresmith.serving.identity.server_key import make_server_key
from loresmith.serving.identity.tokens import Tokens
from loresmith.serving.policy.policy import Policy
from loresmith.serving.policy.served import SEPARATOR, release_names, require_release_names
from loresmith.serving.quotas.quotas import Quotas
from loresmith.serving.retrieval.retriever import Retriever
from loresmith.serving.settings import ServingConfig, read_config
from loresmith.serving.traffic_sample.sampler import FOLDER as TRAFFIC
from loresmith.serving.traffic_sample.sampler import TrafficSample
from loresmith.serving.wall_clock import WallClock

if TYPE_CHECKING:
    from loresmith.ledger import Ledger

WATCH_SECONDS = 1.0
AGAIN_SECONDS = 10.0
"""After so long a configuration that could not be taken is tried again, as the fault may lie elsewhere."""

DAY_COUNTS = "quotas.db"

_FIXED = ("audit", "traffic_sample", "standby", "limits.head_seconds", "limits.drain_seconds")
"""Keys of a configuration that hold as long as the gateway works."""

_STRANGERS_PER_SECOND = 10.0
_STRANGERS_AT_ONCE = 100.0


@dataclass(frozen=True)
class Rules:
    """What a request is held against: all of one configuration, so that no request meets half of two.

    Attributes:
        guards_digest: which guards these are (`in_force.guards_digest`).
        guard_assets: the digests of the assets that they work with, by the names in the configuration.
        retriever: None where nothing is retrieved.
        embedders: what `/v1/embeddings` offers, by name.
    """

    config: ServingConfig
    groups: Groups
    policy: Policy
    guards: Guards
    guards_digest: str
    guard_assets: Mapping[str, str]
    retriever: Retriever | None
    embedders: Mapping[str, ServedEmbedder]


@dataclass(frozen=True)
class Place:
    """Where a gateway's files lie.

    Attributes:
        state: the workspace's state folder.
        server_key: the file that API keys' hashes are keyed with.
        config: the configuration's file; None where it came in another way, and stays as it is.
        folder: what relative paths of the configuration start from.
    """

    state: Path
    server_key: Path
    config: Path | None
    folder: Path


class Gateway:
    """One gateway process's parts; for one event loop.

    Args:
        config: what `place.config` says.
        ledger: stays open until after `close`.
        say: told what happens, in plain words.

    Raises:
        UserError: something that the configuration names is not there.
    """

    def __init__(self, config: ServingConfig, ledger: Ledger, place: Place, say: Callable[[str], None]) -> None:
        self.ledger = ledger
        self.place = place
        self.say = say = speaking(say)
        self._seen = _state_of(config, place, ledger)
        # One for all, and for all configurations: what has ended does not begin again with a new one.
        self.clock = WallClock()
        self.rules = _rules(config, ledger, place, self.clock)
        groups = self.rules.groups
        self.authenticator = Authenticator(
            config.identity, groups, ledger.credentials, place.server_key, place.folder, now=self.clock
        )
        self.quotas = Quotas(config.quotas, groups, place.state / DAY_COUNTS)
        self.keys = TenantKeys(place.state / TENANT_KEYS, ledger.tenant_keys)
        # The audit, the sample and feedback each read keys in a thread of their own.
        self.audit = _audit(config, ledger, place)
        self.sample = TrafficSample(
            config.traffic_sample,
            place.state / TRAFFIC,
            TenantKeys(place.state / TENANT_KEYS, ledger.tenant_keys),
            self.rules.retriever.embedder if self.rules.retriever is not None else None,
            say=say,
        )
        self.models = ServedModels(
            config.models,
            ledger,
            say,
            standby=config.standby,
            keep_previous=config.keep_previous_seconds,
            served=self._tell_unheld,
        )
        self._moving = MovingEmbedders(ledger, say)
        self._erasures = Erasures(ledger, say)
        self.grammar_trials = GrammarTrials()
        self.telemetry = Telemetry(say)
        self.draining = False
        self.trouble = ""
        """Why the configuration's file, as it is now, is not in force; empty while it is."""
        self._reloading = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._strangers = _STRANGERS_AT_ONCE
        self._stranger_at = 0.0

    async def start(self) -> None:
        """Load the models, and keep up with releases, keys and the configuration."""
        self.authenticator.start()
        await self.quotas.start()
        await self.models.start()
        self._tasks = [
            asyncio.create_task(self._watch(), name="gateway: watch the configuration"),
            asyncio.create_task(self._follow(), name="gateway: follow the embedders' releases"),
            asyncio.create_task(self._heed(), name="gateway: heed erasures"),
        ]

    async def close(self) -> None:
        """End everything, the audit last."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.models.close()
        await self.quotas.close()
        self.authenticator.close()
        await asyncio.to_thread(self.sample.close)
        await asyncio.to_thread(self.audit.close)

    @property
    def problems(self) -> list[str]:
        """What keeps the gateway from answering, in words that say nothing of anybody."""
        found = [] if self.audit.healthy else ["the audit cannot be written"]
        models = self.models.all()
        found += _counted("engines that are starting", sum(not model.host.ready for model in models))
        found += _counted("engines in trouble", sum(bool(model.host.trouble) for model in models))
        found += self.authenticator.problems
        return found + (["the gateway is ending"] if self.draining else [])

    @property
    def notes(self) -> list[str]:
        """What is not as it was asked for, and keeps nothing from being answered; in such words, too."""
        found = _counted("models and embedders whose releases point at what cannot be served", len(self._unserved))
        if self.rules.retriever is not None and self.rules.retriever.withdrawn:
            found.append("documents of the index were erased: nothing is retrieved until it is built again")
        found += [] if self.quotas.saved else ["the tokens used today cannot be written, and count here alone"]
        found += ["the traffic sample cannot be written"] if self.sample.trouble else []
        return found + (["the configuration's file is wrong; the one before is in force"] if self.trouble else [])

    @property
    def in_trouble(self) -> set[str]:
        """The names of models, embedders and issuers with which something is amiss, which strangers are not told."""
        engines = {model.name for model in self.models.all() if not model.host.ready or model.host.trouble}
        return engines.union(self._unserved, self.authenticator.unread_issuers)

    @property
    def _unserved(self) -> tuple[str, ...]:
        return (*self.models.problems, *self._moving.problems)

    async def reload(self, only: str | None = None) -> bool:
        """Take the configuration as its file says now. Answers under way end by the rules that they began with.

        Args:
            only: the state in which alone the files are taken.

        Returns:
            Whether anything has changed.

        Raises:
            UserError: it is wrong; then nothing has changed.
        """
        async with self._reloading:  # else what was read first could be taken last
            prepared = await asyncio.to_thread(self._prepare, only)
            if prepared is None:
                return False
            rules, tokens, state = prepared
            # From here on nothing may fail: else some of it would be in force, and some not.
            self.authenticator.reload(rules.config.identity, rules.groups, tokens)
            self.quotas.reload(rules.config.quotas, rules.groups)
            self.models.reload(rules.config.models, rules.config.keep_previous_seconds)
            embedders = latest(rules.embedders, self.rules.embedders)  # `_follow` may have renewed some meanwhile
            self.rules, self._seen = replace(rules, embedders=embedders), state
        self.say(
            f"the configuration was taken anew: policy {rules.policy.digest[:12]}, guards {rules.guards_digest[:12]}"
        )
        for model in self.models.all():
            self._tell_unheld(model)
        return True

    def _tell_unheld(self, model: ServedModel) -> None:
        """Say what of a model nobody may ask, whatever the policy says; callers are told of no such model."""
        held = self.rules.groups.labels
        named = {
            model.name: model.labels,
            **{f"{model.name}{SEPARATOR}{key}": model.labels_of(key) for key in model.adapters},
        }
        for name, labels in named.items():
            if unheld := ", ".join(sorted(labels - held)):
                self.say(
                    f"{name}: nobody may ask it, since it carries what no group holds: {unheld}; "
                    "`groups` of a serving configuration says who holds which labels"
                )

    def note_stranger(self, response: str, path: str, address: str, problem: Problem) -> None:
        """Put somebody without a good credential on the record, but no flood of them: the rest is counted only."""
        self.telemetry.rejected.inc()
        now = asyncio.get_running_loop().time()
        passed, self._stranger_at = now - self._stranger_at, now
        self._strangers = min(_STRANGERS_AT_ONCE, self._strangers + passed * _STRANGERS_PER_SECOND)
        if self._strangers < 1:
            return
        self._strangers -= 1
        from loresmith.ledger.clock import timestamp

        self.audit.outcome_later(
            AuditRecord(
                response=response,
                phase="outcome",
                at=timestamp(),
                tenant="default",
                principal="",
                context={"route": path, "address": address},
                policy=self.rules.policy.digest,
                guards_digest=self.rules.guards_digest,
                status=problem.status,
                error=problem.reason,
            ),
            intended=False,
        )

    def note_unread(self, problem: Problem) -> None:
        """Count a request of which nothing is on the record: it went to no route, its body could not be read, or it
        was not answered in time or at all."""
        if problem.status != 401:  # those have a record, and a count of their own
            self.telemetry.unread.labels(str(problem.status)).inc()

    def _prepare(self, only: str | None = None) -> tuple[Rules, Tokens, str] | None:
        """All that can fail or takes long of the configuration as its files are now, and their state; None where
        nothing has changed, or it is not `only`."""
        if self.place.config is None:
            return None
        config = read_config(self.place.config)
        state = _state_of(config, self.place, self.ledger)
        if state == self._seen or only not in (None, state):
            return None
        # Where it listens is said on the command line too, and is looked at when the gateway starts.
        config = config.model_copy(update={"listen": self.rules.config.listen})
        if changed := [name for name in _FIXED if attrgetter(name)(config) != attrgetter(name)(self.rules.config)]:
            raise UserError(
                f"{', '.join(changed)} cannot change while the gateway works",
                where=str(self.place.config),
                hint="start it again",
            )
        rules = _rules(config, self.ledger, self.place, self.clock, self.rules)
        tokens = self.authenticator.prepare(config.identity, self.place.folder)
        if only not in (None, self._state_now()):  # written to while it was read
            return None
        return rules, tokens, state

    def _state_now(self) -> str:
        """As `_state_of`; of a configuration that cannot be read, of what is in its file."""
        assert self.place.config is not None
        try:
            return _state_of(read_config(self.place.config), self.place, self.ledger)
        except Exception:  # noqa: BLE001 - whatever is wrong with it: who takes it says so better
            return f"wrong: {file_state(self.place.config)}"

    async def _watch(self) -> None:
        """Keep up with the configuration's files.

        Half of a file may be a good file that allows more. So they are taken when they have stood still for a look.
        """
        if self.place.config is None:
            return
        before, failed, again = self._seen, "", 0.0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            state = await asyncio.to_thread(self._state_now)
            still, before = state == before, state
            if state == self._seen:
                self.trouble = ""
                continue
            if not still or (state == failed and time.monotonic() < again):
                continue
            try:
                if await self.reload(only=state):
                    self.trouble = ""
            except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and the next change is taken
                failed, again = state, time.monotonic() + AGAIN_SECONDS
                self._note_trouble(as_failure(error))

    def _note_trouble(self, error: LoresmithError) -> None:
        if self.trouble != str(error):
            self.trouble = str(error)
            tell(self.say, f"the configuration cannot be taken as it is now: {error}", error)

    async def _follow(self) -> None:
        """Keep up with the releases whose models embed. Apart from `_watch`: a model takes its time to load."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            rules = self.rules
            renewed = await asyncio.to_thread(self._moving.renewed, rules.config.embeddings, rules.embedders)
            if renewed and self.rules is rules:  # else they are looked at anew by another configuration
                self.rules = replace(rules, embedders={**rules.embedders, **renewed})

    async def _heed(self) -> None:
        """Keep up with what is erased. Apart from the others: whatever they are at, it takes hold within seconds."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self._erasures.heed, self.rules.retriever, self.rules.guard_assets)


def _counted(what: str, count: int) -> list[str]:
    return [f"{what}: {count}"] if count else []


def _audit(config: ServingConfig, ledger: Ledger, place: Place) -> Audit:
    """The audit, with a journal where the ledger is a file beside it, and with what a killed gateway had on its way."""
    keys = TenantKeys(place.state / TENANT_KEYS, ledger.tenant_keys)
    if ledger.path is None:
        return Audit(ledger, config.audit, keys)
    journals = place.state / JOURNALS
    bring_in(journals, ledger.audit_records)
    return Audit(ledger, config.audit, keys, Journal(journals))


def _rules(config: ServingConfig, ledger: Ledger, place: Place, now: WallClock, before: Rules | None = None) -> Rules:
    """The rules of a configuration.

    Args:
        before: those in force; what has not changed is not opened again.

    Raises:
        UserError: something that it names is not there, or is not what it should be.
        Failure: it is damaged.
    """
    groups = Groups.from_settings(config.groups)
    # Before what takes long to open: mistakes are made here.
    groups.require(config.quotas.groups, "quotas.groups")
    policy = Policy.load(config.policy, groups, place.folder, now)
    require_release_names(policy.statements, release_names(config.models, config.embeddings))
    retriever = _retriever(config, ledger, now, before)
    assets = {reference: ledger.assets.find(reference).digest for reference in config.guards.assets()}
    guards, digest = _guards(config, ledger, place, retriever, assets)
    return Rules(
        config=config,
        groups=groups,
        policy=policy,
        guards=guards,
        guards_digest=digest,
        guard_assets=assets,
        retriever=retriever,
        embedders=open_embedders(config, ledger, retriever, {} if before is None else before.embedders),
    )


def _retriever(config: ServingConfig, ledger: Ledger, now: WallClock, before: Rules | None) -> Retriever | None:
    from loresmith.serving.retrieval.opening import KIND, open_index

    settings = config.retrieval
    if settings is None:
        return None
    if before is not None and before.retriever is not None and before.config.retrieval is not None:
        # One that has lost documents since cannot be opened again, and is no reason to refuse another policy.
        same = ledger.assets.find(settings.index, kind=KIND).digest == before.retriever.asset
        if same and settings.threads == before.config.retrieval.threads:
            return before.retriever
    return open_index(ledger, settings.index, settings.threads, lambda: now().date())


def _guards(
    config: ServingConfig, ledger: Ledger, place: Place, retriever: Retriever | None, assets: Mapping[str, str]
) -> tuple[Guards, str]:
    directories = {reference: ledger.assets.directory(digest) for reference, digest in assets.items()}
    embedder = None if retriever is None else retriever.embedder
    embed = None if retriever is None or embedder is None else retriever.embed
    key = make_server_key(place.server_key)
    return with_digest(
        lambda: Guards.load(config.guards, place.folder, directories, embed, key),
        lambda: guards_digest(config.guards, place.folder, assets, "" if embedder is None else embedder.facts.digest),
        place.config or place.folder,
    )


def _state_of(config: ServingConfig, place: Place, ledger: Ledger) -> str:
    """One digest of the configuration, and of the files of policies and guards and the assets that it names: what is
    called `recipe/step` is another asset when it was made anew."""
    files = {str(name): file_state(place.folder / name) for name in (*config.policy.files, *config.guards.files())}
    indexes = [one.index for one in (config.retrieval, *config.embeddings.values()) if one is not None and one.index]
    assets = {
        "indexes": {reference: _asset_state(ledger, reference, "index") for reference in indexes},
        "guards": {reference: _asset_state(ledger, reference) for reference in config.guards.assets()},
    }
    said = {"config": config.model_dump(mode="json", exclude={"listen"}), "files": files, "assets": assets}
    return digest_of(said)


def _asset_state(ledger: Ledger, reference: str, kind: str | None = None) -> str:
    """The digest of an asset; of what leads nowhere, that: whoever needs it says so better."""
    try:
        return ledger.assets.find(reference, kind).digest
    except UserError:
        return "cannot be found"
