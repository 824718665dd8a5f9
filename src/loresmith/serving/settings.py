"""A serving configuration: what `loresmith serve CONFIG.yaml` reads."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from loresmith.serving.audit.settings import AuditSettings
from loresmith.serving.engines.exported_model import ExportedModel
from loresmith.serving.engines.remote.settings import RemoteServer
from loresmith.serving.engines.starting import EngineName
from loresmith.serving.guards.routes import wrong_routes
from loresmith.serving.guards.settings import GuardsSettings
from loresmith.serving.identity.settings import GroupName, GroupSettings, IdentitySettings
from loresmith.serving.policy.settings import PolicySettings
from loresmith.serving.quotas.settings import QuotaSettings
from loresmith.serving.retrieval.settings import RetrievalSettings
from loresmith.serving.traffic_sample.settings import TrafficSampleSettings
from loresmith.validation import validate
from loresmith.yaml_lines import read_yaml

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

Precision = Literal["bf16", "fp16", "fp32", "int8"]


class ListenSettings(BaseModel):
    """Where the gateway can be reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="The address to listen at: this machine alone by default.")
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes any that is free, and says which.")
    certificate: Path | None = Field(
        default=None, description="TLS certificate chain (PEM); relative to the configuration's folder."
    )
    key: Path | None = Field(default=None, description="Its private key (PEM).")
    plain: bool = Field(
        default=False,
        description="Let other machines in without TLS: only where something before the gateway ends TLS.",
    )

    @model_validator(mode="after")
    def _is_safe(self) -> ListenSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        if self.certificate is None and not self.plain and not _is_loopback(self.host):
            raise ValueError(
                f"{self.host} lets other machines in: give certificate and key, or say `plain: true` where something "
                "before the gateway ends TLS"
            )
        return self


class LimitSettings(BaseModel):
    """How large a request may be, and how long it may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_bytes: int = Field(default=4 << 20, ge=1024, le=1 << 30, description="Of a request's body.")
    depth: int = Field(default=32, ge=4, le=200, description="How deep its JSON may be nested.")
    values: int = Field(
        default=1 << 17,
        ge=1024,
        le=1 << 24,
        description="How many values its JSON may have: to make a hundred thousand of them keeps all others waiting "
        "for some 0.1 seconds, whatever thread it is done in.",
    )
    answer_tokens: int = Field(
        default=4096, ge=1, description="What an answer may have at most, whatever a request asks for."
    )
    choices: int = Field(
        default=4,
        ge=1,
        le=128,
        description="Answers that one request may ask for (`n`). Each is worked on and counted as one of its own.",
    )
    head_seconds: float = Field(
        default=15, gt=0, le=600, description="In which a request's first line and headers must have come."
    )
    body_seconds: float = Field(default=30, gt=0, le=3600, description="In which a request's body must have come.")
    request_seconds: float = Field(default=600, gt=0, le=86_400, description="In which it must be answered.")
    write_seconds: float = Field(
        default=60, gt=0, le=3600, description="How long a caller may take to read a piece before it is given up."
    )
    drain_seconds: float = Field(
        default=120, gt=0, le=3600, description="How long answers under way are waited for when the gateway ends."
    )


class ServedModelSettings(BaseModel):
    """One model that callers can ask for by its name here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str = Field(min_length=1, description="The release; what its channel points at is served, as it moves.")
    channel: Literal["candidate", "production"] = Field(default="production", description="The release's channel.")
    engine: EngineName = Field(default="torch", description="What computes it.")
    precision: Precision = Field(default="bf16", description="The numbers it is computed with.")
    device: str = Field(default="cpu", description="`cpu`, or `cuda:0` and the like.")
    slots: int = Field(default=32, ge=1, le=4096, description="Requests that are answered at the same time.")
    window: int = Field(
        default=4096, ge=16, description="Tokens of prompt and answer together; the model's own window at most."
    )
    threads: int = Field(
        default_factory=lambda: len(os.sched_getaffinity(0)), ge=1, le=1024, description="CPU threads. Default: all."
    )
    adapters: dict[ModelName, str] = Field(
        default_factory=dict,
        description="LoRA adapters by name, as references to assets or releases; callers ask for `MODEL:ADAPTER`.",
    )
    remote: RemoteServer | None = Field(
        default=None, description="Which server computes it, where the engine is `openai`."
    )
    exported: ExportedModel | None = Field(
        default=None, description="The model in OpenVINO's form, where the engine is `openvino`."
    )
    answer_tokens: int = Field(default=512, ge=1, description="Tokens of an answer where a request does not say.")
    retrieval: bool = Field(
        default=True, description="Whether its chats are answered from passages, where `retrieval` names an index."
    )

    @model_validator(mode="after")
    def _engine_has_what_it_needs(self) -> ServedModelSettings:
        for engine, key in (("openai", "remote"), ("openvino", "exported")):
            if (getattr(self, key) is not None) != (self.engine == engine):
                raise ValueError(f"`{key}` goes with `engine: {engine}`, and that with `{key}`")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The engine's own settings, as `engine_start` takes them."""
        own = self.remote or self.exported
        return {} if own is None else own.model_dump(mode="json", exclude_unset=True)


RETRIEVAL_EMBEDDER = "retrieval"
"""The name in `/v1/embeddings` of the embedder by which passages are found, unless something else is called so."""


class EmbeddingSettings(BaseModel):
    """One embedder that callers can ask for by its name here: of a model, or of an index."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        default=None,
        min_length=1,
        description="A model, as a reference to an asset or release: the mean of its last states, in fp32 on the CPU. "
        "Of a release, what its channel points at embeds, as it moves.",
    )
    index: str | None = Field(
        default=None, min_length=1, description="An index of passages, whose embedder is to be served."
    )

    @model_validator(mode="after")
    def _is_one(self) -> EmbeddingSettings:
        if (self.model is None) == (self.index is None):
            raise ValueError("an embedder is that of a `model` or that of an `index`")
        return self


class ServingConfig(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: dict[ModelName, ServedModelSettings] = Field(min_length=1, description="What is served, by name.")
    standby: bool = Field(
        default=True,
        description="Keep a process in waiting that has loaded the engine's libraries already: a promotion, a rollback "
        "or a new start after a failure then takes effect some seconds earlier. It takes about 350 MB of memory.",
    )
    keep_previous_seconds: float = Field(
        default=600,
        ge=0,
        description="How long a model stays loaded after its release has moved on: a rollback within that time takes "
        "effect at once. It takes the model's memory once more; 0 ends it with its last answer.",
    )
    listen: ListenSettings = Field(default_factory=ListenSettings, description="Where the gateway can be reached.")
    limits: LimitSettings = Field(default_factory=LimitSettings, description="Sizes and times.")
    groups: dict[GroupName, GroupSettings] = Field(
        default_factory=dict, description="Who is in which group, and the labels that each holds."
    )
    identity: IdentitySettings = Field(default_factory=IdentitySettings, description="Which credentials are taken.")
    policy: PolicySettings = Field(default_factory=PolicySettings, description="Who may do what.")
    quotas: QuotaSettings = Field(default_factory=QuotaSettings, description="How much anyone may use.")
    guards: GuardsSettings = Field(
        default_factory=lambda: GuardsSettings(()), description="What looks at everything that goes in and out."
    )
    retrieval: RetrievalSettings | None = Field(default=None, description="The documents that chats are answered from.")
    embeddings: dict[ModelName, EmbeddingSettings] = Field(
        default_factory=dict,
        description="What `/v1/embeddings` offers, by name; the embedder of `retrieval`, if it has one, is there as "
        f"`{RETRIEVAL_EMBEDDER}` without being named.",
    )
    audit: AuditSettings = Field(default_factory=AuditSettings, description="How the record is kept.")
    traffic_sample: TrafficSampleSettings = Field(
        default_factory=TrafficSampleSettings, description="What is kept to see later how traffic changed."
    )

    @field_validator("guards")
    @classmethod
    def _routes_lead_to_models(cls, guards: GuardsSettings, info: ValidationInfo) -> GuardsSettings:
        models: dict[str, ServedModelSettings] | None = info.data.get("models")
        if models is not None:  # else they are wrong themselves
            served = {name: tuple(settings.adapters) for name, settings in models.items()}
            if wrong := [what for _, what in wrong_routes(guards, served)]:
                raise ValueError("; ".join(wrong))
        return guards

    @model_validator(mode="after")
    def _names_are_different(self) -> ServingConfig:
        for name in self.embeddings:
            if name in self.models:
                raise ValueError(f"a model and an embedder are both called {name!r}")
        return self


def read_config(path: Path) -> ServingConfig:
    """A serving configuration from its file; the paths of its engines start from the file's folder.

    Raises:
        UserError: naming file, line and key of every mistake.
    """
    read = read_yaml(path)
    config = validate(ServingConfig, read.data, read.lines, str(path))
    models = {name: _placed(model, path.parent) for name, model in config.models.items()}
    return config.model_copy(update={"models": models})


def _placed(model: ServedModelSettings, folder: Path) -> ServedModelSettings:
    """A model's settings with the files that its engine needs where they lie."""
    if model.exported is not None:
        directory = folder / model.exported.directory
        return model.model_copy(update={"exported": model.exported.model_copy(update={"directory": directory})})
    if model.remote is not None and model.remote.certificates is not None:
        certificates = folder / model.remote.certificates
        return model.model_copy(update={"remote": model.remote.model_copy(update={"certificates": certificates})})
    return model


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
