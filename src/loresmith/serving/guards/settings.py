"""What the operator wants guarded: the key `guards` of a serving config."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

Where = Literal["input", "retrieved", "tool", "output"]
"""What is guarded: what a caller sends (all roles, names, tools), retrieved passages, what tools gave, the answer."""

Action = Literal["allow", "redact", "refuse", "route", "ask"]

EVERYWHERE: tuple[Where, ...] = ("input", "retrieved", "tool", "output")
REFUSED = "This was refused by a policy of this service."


class GuardBase(BaseModel):
    """What all guards have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", max_length=64, description="What the audit calls it; its kind where nothing is said.")
    on: tuple[Where, ...] = Field(default=EVERYWHERE, min_length=1, description="What it looks at.")
    action: Action = Field(
        default="refuse",
        description="What follows from a match. `allow`: it is on record, no more. `redact`: what matched is replaced. "
        "`refuse`: the message below instead of an answer. `route`: another model answers. `ask`: a person decides.",
    )
    message: str = Field(
        default=REFUSED, min_length=1, max_length=2000, description="What a caller reads who is refused."
    )
    route: str = Field(
        default="",
        description="With `route`: the served model that answers instead, by its name under `models`; `MODEL:ADAPTER` "
        "for one of its adapters. An answer that has begun ends, and says whom to ask.",
    )
    hold: Literal["window", "all"] = Field(
        default="window",
        description="How much of an answer is held back while it is written: the longest match, or all of it, so that "
        "nothing is out when a match is found late.",
    )

    @model_validator(mode="after")
    def _a_route_has_a_release(self) -> GuardBase:
        if (self.action == "route") != bool(self.route):
            raise ValueError("`route` names the model for the action `route`, and for no other")
        if "@" in self.route:
            raise ValueError(f"`route` is a name under `models`, which has no channel: {self.route!r} is none")
        return self

    def called(self) -> str:
        """Its name in the audit."""
        return self.name or str(getattr(self, "kind", ""))


class PrivacyGuard(GuardBase):
    """Personal data, found by the recognisers of the data room; see docs/privacy.md."""

    kind: Literal["privacy"]
    action: Action = Field(default="redact", description="See above; `redact` writes the kind in brackets: `[EMAIL]`.")
    finds: tuple[Literal["card", "email", "iban", "ip", "mac", "name", "national_id", "phone"], ...] = Field(
        default=("card", "email", "iban", "ip", "mac", "name", "national_id", "phone"),
        min_length=1,
        description="What is looked for.",
    )
    countries: tuple[str, ...] = Field(
        default=(), description="Whose telephone plans and national ids count, such as `de`; empty: all that are known."
    )
    minimum_confidence: float = Field(
        default=0.5, ge=0, le=1, description="From 0 to 1; what is less sure is not a match."
    )
    names: Path | None = Field(default=None, description="A list of names of your own, one a line.")
    name_model: str = Field(default="", description="An NER model, by its entry point in `loresmith.names`.")


class SecretsGuard(GuardBase):
    """Keys, tokens, passwords and private keys."""

    kind: Literal["secrets"]
    action: Action = Field(default="redact", description="See above; `redact` writes `[SECRET]`.")
    minimum_confidence: float = Field(
        default=0.5, ge=0, le=1, description="From 0 to 1; what is less sure is not a match."
    )


class DenyGuard(GuardBase):
    """Words and phrases that have no business here, however they are written."""

    kind: Literal["deny"]
    phrases: tuple[Annotated[str, Field(min_length=2, max_length=64)], ...] = Field(
        default=(), description="The phrases; case does not matter, and a `*` at the end stands for any ending."
    )
    file: Path | None = Field(default=None, description="A text file with more, one a line; `#` begins a comment.")

    @model_validator(mode="after")
    def _there_are_phrases(self) -> DenyGuard:
        if not self.phrases and self.file is None:
            raise ValueError("a deny-list needs `phrases`, or a `file` of them")
        return self


class TopicGuard(GuardBase):
    """What a text is about, by a classifier that `loresmith guards train` made of your examples."""

    kind: Literal["topic"]
    on: tuple[Where, ...] = Field(default=("input", "output"), min_length=1, description="What it looks at.")
    model: str = Field(description="The classifier: the asset's digest or name.")
    topics: tuple[str, ...] = Field(
        default=(), description="Which of its topics count as a match; empty: all but `other`."
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="How sure it has to be, from 0 to 1. Default: what training chose for each topic.",
    )

    @model_validator(mode="after")
    def _an_answer_is_not_redacted_by_topic(self) -> TopicGuard:
        if self.action == "redact" and "output" in self.on and self.hold != "all":
            raise ValueError("a topic cannot be cut out of an answer while it is written: set `hold: all`, or refuse")
        return self


class InjectionGuard(GuardBase):
    """Text that gives orders to the model in what should be data."""

    kind: Literal["injection"]
    on: tuple[Where, ...] = Field(default=("retrieved", "tool"), min_length=1, description="What it looks at.")
    action: Action = Field(default="redact", description="See above; `redact` takes the sentences out.")
    threshold: float = Field(
        default=1.0,
        gt=0,
        description="How much has to come together within 400 characters: 1 is one plain order, or two hints of one.",
    )


class SchemaGuard(GuardBase):
    """An answer has to be JSON that a schema allows."""

    kind: Literal["schema"]
    on: tuple[Literal["output"], ...] = Field(default=("output",), description="It looks at answers alone.")
    file: Path | None = Field(
        default=None,
        description="A JSON Schema (draft 2020-12). Default: the one that the request itself asks for, if it does.",
    )
    tool_arguments: bool = Field(
        default=True, description="Whether the arguments of tool calls have to be what the request's tools declare."
    )


class GroundingGuard(GuardBase):
    """An answer to which passages were retrieved has to say what stands in them."""

    kind: Literal["grounding"]
    on: tuple[Literal["output"], ...] = Field(default=("output",), description="It looks at answers alone.")
    minimum_share: float = Field(
        default=0.7, gt=0, le=1, description="The share of an answer's sentences that have to be supported."
    )
    overlap: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="The share of a sentence's words that have to stand close together in one passage.",
    )
    similarity: float = Field(
        default=0.75,
        gt=0,
        le=1,
        description="With an embedder: the cosine from which a sentence of other words counts as supported, too.",
    )


class MemorisationGuard(GuardBase):
    """Long stretches of restricted training text, word for word; the step `index-passages` makes the index."""

    kind: Literal["memorisation"]
    on: tuple[Where, ...] = Field(default=("output",), min_length=1, description="What it looks at.")
    index: str = Field(description="The index: the asset's digest or name.")
    holders: Literal["guard", "allow"] = Field(
        default="guard", description="Whether a caller who holds all labels of the index is guarded as well."
    )
    retrieved: Literal["guard", "allow"] = Field(
        default="allow", description="Whether an answer may quote the passages that were retrieved for this caller."
    )


GuardSettings = Annotated[
    PrivacyGuard
    | SecretsGuard
    | DenyGuard
    | TopicGuard
    | InjectionGuard
    | SchemaGuard
    | GroundingGuard
    | MemorisationGuard,
    Field(discriminator="kind"),
]


class GuardsSettings(RootModel[tuple[GuardSettings, ...]]):
    """The guards, in the order in which they look: the first that refuses, or the strictest, decides."""

    model_config = ConfigDict(frozen=True)

    root: tuple[GuardSettings, ...] = Field(default=(), description="The guards.")

    @model_validator(mode="after")
    def _names_are_different(self) -> GuardsSettings:
        names = [guard.called() for guard in self.root]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two guards are called {name!r}: give them a `name`")
        for guard in self.root:
            if isinstance(guard, SchemaGuard | GroundingGuard) and guard.action == "redact":
                raise ValueError(
                    f"the guard {guard.called()!r} finds nothing that could be cut out: refuse, route or ask"
                )
        return self

    def assets(self) -> tuple[str, ...]:
        """The assets that they name, as they name them."""
        models = [guard.model for guard in self.root if isinstance(guard, TopicGuard)]
        indexes = [guard.index for guard in self.root if isinstance(guard, MemorisationGuard)]
        return tuple(dict.fromkeys(models + indexes))

    def files(self) -> tuple[Path, ...]:
        """The files that they name; relative ones are against the folder of the serving config."""
        named = [guard.file for guard in self.root if isinstance(guard, DenyGuard | SchemaGuard)]
        named += [guard.names for guard in self.root if isinstance(guard, PrivacyGuard)]
        return tuple(dict.fromkeys(file for file in named if file is not None))
