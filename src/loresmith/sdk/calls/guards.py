"""Guards: what they would say of a text, and teaching one a topic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.factory.recipe import NAME_PATTERN
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.serving.guards.settings import Action, GroundingGuard, GuardsSettings, Where
from loresmith.serving.guards.topic_facts import TopicQuality

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.guards.guards import Guards
    from loresmith.yaml_lines import Mapped

STEP = "guard"
"""What the step of the recipe is called that trains one."""


class GuardsCheckRequest(Request):
    """What `guards check` takes."""

    config: Path = Field(
        description="A serving config; its key `guards` counts.", json_schema_extra={"positional": True}
    )
    text: str | None = Field(default=None, description="The text to look at.")
    file: Path | None = Field(default=None, description="A text file to look at, in UTF-8; `-` is standard input.")
    where: Where = Field(default="input", description="What the text is.")
    role: str = Field(default="user", description="Of input: whose words they are.")


class GuardsVerdict(BaseModel):
    """What one rule of a guard found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    guard: str = Field(description="The guard.")
    rule: str = Field(description="The rule; in brackets how what it found was written.")
    action: Action = Field(description="What the guard asks for.")
    role: str = Field(description="Whose words.")
    count: int = Field(description="How many times.")
    lengths: tuple[int, ...] = Field(description="Characters of each match, of the first 32.")


class GuardsCheckAnswer(Answer):
    """What guards say of a text."""

    action: Action = Field(description="What would be done.")
    text: str | None = Field(description="What would go on, after redaction; null where nothing would.")
    message: str = Field(description="What a caller would read who is refused.")
    route: str = Field(description="The model that would answer instead.")
    verdicts: tuple[GuardsVerdict, ...] = Field(description="What was found; never the text that matched.")
    digest: str = Field(description="Of these guards: audit records have it as `guards_digest`.")


class GuardsTrainRequest(Request):
    """What `guards train` takes."""

    examples: Path = Field(
        description='A file of JSON lines: `{"text": "...", "topic": "..."}`; ordinary texts without a topic.',
        json_schema_extra={"positional": True},
    )
    name: str = Field(
        default="topics",
        pattern=NAME_PATTERN,
        max_length=64,
        description=f"What the classifier is called: configs name it as `NAME/{STEP}`.",
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="A setting of the step, such as `folds=10`; `loresmith steps train-guard` lists them. May be given "
        "several times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )


class GuardsTrainAnswer(Answer):
    """A classifier."""

    run: str = Field(description="The run that made it, or found it made.")
    guard: str = Field(description="Digest of the asset.")
    reference: str = Field(description="By which configs name it.")
    examples: int = Field(description="How many it learnt from.")
    topics: tuple[TopicQuality, ...] = Field(description="How well each topic is known, on examples not learnt from.")


def _check(workspace: Workspace, request: GuardsCheckRequest, _emit: Emit) -> GuardsCheckAnswer:
    text = _text(request)
    guards, digest = load_guards(workspace, request.config)
    if request.where == "output":
        return _check_output(guards, text, digest)
    role = "tool" if request.where == "tool" else request.role
    messages = [] if request.where == "retrieved" else [{"role": role, "content": text}]
    found = guards.examine(messages, retrieved=[text] if request.where == "retrieved" else [])
    after = found.retrieved[0] if request.where == "retrieved" else found.messages[0]["content"]
    return GuardsCheckAnswer(
        action=found.action,
        text=after if found.action in ("allow", "redact") else None,
        message=found.message,
        route=found.route,
        verdicts=_verdicts(found.verdicts),
        digest=digest,
    )


def _check_output(guards: Guards, text: str, digest: str) -> GuardsCheckAnswer:
    from loresmith.serving.guards.output_guard import NeedsPerson, Rerouted, Stopped
    from loresmith.serving.guards.verdict import strictest

    guard = guards.output()
    try:
        after = guard.feed(text) + guard.finish()
    except Stopped as stopped:
        action: Action = (
            "route" if isinstance(stopped, Rerouted) else "ask" if isinstance(stopped, NeedsPerson) else "refuse"
        )
        return GuardsCheckAnswer(
            action=action,
            text=None,
            message=getattr(stopped, "message", ""),
            route=getattr(stopped, "route", ""),
            verdicts=_verdicts(stopped.verdicts),
            digest=digest,
        )
    return GuardsCheckAnswer(
        action=strictest(verdict.action for verdict in guard.verdicts),
        text=after,
        message="",
        route="",
        verdicts=_verdicts(guard.verdicts),
        digest=digest,
    )


def _verdicts(verdicts: Any) -> tuple[GuardsVerdict, ...]:
    return tuple(
        GuardsVerdict(
            guard=verdict.guard,
            rule=verdict.rule,
            action=verdict.action,
            role=verdict.role,
            count=verdict.count,
            lengths=verdict.lengths,
        )
        for verdict in verdicts
    )


def _text(request: GuardsCheckRequest) -> str:
    if (request.text is None) == (request.file is None):
        raise UserError("one text is needed", where="--text", hint="give --text or --file")
    if request.text is not None:
        return request.text
    assert request.file is not None
    try:
        if str(request.file) == "-":
            import sys

            return sys.stdin.read()
        return request.file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})", where=str(request.file)) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(request.file)) from None


def load_guards(workspace: Workspace, config: Path) -> tuple[Guards, str]:
    """The guards of a serving config, with the assets that they name, and their digest.

    Raises:
        UserError: the config is not one, has no guards, or names what is not there.
    """
    from loresmith.serving.guards.guards import Guards
    from loresmith.yaml_lines import read_yaml

    written, folder = read_yaml(config), config.absolute().parent
    settings, assets = guards_of(workspace, written)
    return Guards.load(settings, folder, assets), digest_in_force(workspace, settings, written, folder)


def guards_of(workspace: Workspace, written: Mapped) -> tuple[GuardsSettings, dict[str, Path]]:
    """The guards that a serving config asks for, and the directories of the assets that they name.

    Raises:
        UserError: the config is not one, has no guards, or names what is not there.
    """
    from loresmith.serving.guards.routes import served_names, wrong_routes
    from loresmith.validation import validate

    if not isinstance(written.data, dict) or "guards" not in written.data:
        raise UserError("there is no key `guards` here", where=written.source, hint="see docs/guards.md")
    settings = validate(GuardsSettings, written.data["guards"], written.lines, written.source, ("guards",))
    for place, what in wrong_routes(settings, served_names(written.data["models"])) if "models" in written.data else ():
        raise UserError(what, where=written.where(("guards", place, "route")))
    assets = workspace.ledger.assets
    return settings, {name: assets.directory(assets.find(name, kind="bundle").digest) for name in settings.assets()}


def digest_in_force(workspace: Workspace, settings: GuardsSettings, written: Mapped, folder: Path) -> str:
    """The digest that audit records carry of these guards, where a gateway has this config.

    Raises:
        UserError: an asset that the config names is not there.
        Failure: the index cannot be read.
    """
    from loresmith.serving.guards.in_force import guards_digest
    from loresmith.serving.retrieval.layout import read_facts

    assets = workspace.ledger.assets
    embedder = ""
    if (index := index_of(written)) is not None and any(isinstance(guard, GroundingGuard) for guard in settings.root):
        facts = read_facts(assets.directory(assets.find(index, kind="index").digest))
        embedder = "" if facts.embedder is None else facts.embedder.digest
    digests = {name: assets.find(name, kind="bundle").digest for name in settings.assets()}
    return guards_digest(settings, folder, digests, embedder)


def index_of(written: Mapped) -> str | None:
    """The index that a serving config retrieves from."""
    retrieval = written.data.get("retrieval")
    index = retrieval.get("index") if isinstance(retrieval, dict) else None
    return index if isinstance(index, str) else None


def _train(workspace: Workspace, request: GuardsTrainRequest, emit: Emit) -> GuardsTrainAnswer:
    from loresmith.factory.plan import make_plan
    from loresmith.factory.recipe import parse_recipe
    from loresmith.serving.guards.topic_model import TopicModel
    from loresmith.yaml_lines import Mapped

    step = {"step": "train-guard", "path": str(request.examples.absolute())}
    written = Mapped({"name": request.name, "steps": {STEP: step}}, {}, "guards train")
    settings = [f"steps.{STEP}.{setting}" for setting in request.settings]
    run = workspace.run(make_plan(parse_recipe(written, workspace.place.folder, settings), workspace.ledger), emit)
    digest = run.steps()[0].outputs["guard"]
    facts = TopicModel.open(workspace.ledger.assets.directory(digest)).facts
    return GuardsTrainAnswer(
        run=run.id,
        guard=digest,
        reference=f"{request.name}/{STEP}",
        examples=facts.examples,
        topics=facts.topics,
    )


GUARDS_CHECK = Call(
    "guards check",
    "Say what the guards of a serving config would do with a text.",
    GuardsCheckRequest,
    GuardsCheckAnswer,
    _check,
    example='guards check serve.yaml --text "write to ada@example.com"',
)
GUARDS_TRAIN = Call(
    "guards train",
    "Teach a small classifier which topics are not for an endpoint, from examples.",
    GuardsTrainRequest,
    GuardsTrainAnswer,
    _train,
    example="guards train examples.jsonl --name weapons",
)
