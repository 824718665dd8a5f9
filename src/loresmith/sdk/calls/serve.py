"""Serve released models as an endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

from pydantic import Field

from loresmith.errors import UserError
from loresmith.ledger.releases import check_name
from loresmith.nearest import unknown_name
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.releases import Channel

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace
    from loresmith.serving.settings import ServingConfig


class ServeRequest(Request):
    """What `serve` takes."""

    what: str = Field(
        description="A serving configuration (a YAML file), or a release to serve as it is.",
        json_schema_extra={"positional": True, "metavar": "CONFIG.yaml | RELEASE"},
    )
    host: str | None = Field(default=None, description="Listen at this address, in place of the configuration's.")
    port: int | None = Field(
        default=None, ge=0, le=65535, description="Listen at this port, in place of the configuration's; 0 is any."
    )


class ServeAnswer(Answer):
    """A gateway that has ended."""

    address: str = Field(description="Where it could be reached.")
    seconds: float = Field(description="For how long.")


def _serve(workspace: Workspace, request: ServeRequest, emit: Emit) -> ServeAnswer:
    import time

    from loresmith.serving.gateway.gateway import Place
    from loresmith.serving.gateway.running import serve
    from loresmith.serving.identity.server_key import NAME

    config, file = _config(request)
    begun = time.monotonic()
    address = ""

    def started(at: str) -> None:
        nonlocal address, begun
        address, begun = at, time.monotonic()
        emit({"event": "started", "address": at, "models": sorted(config.models)})

    serve(
        config,
        workspace.ledger,
        Place(
            state=workspace.place.state,
            server_key=workspace.place.state / NAME,
            config=file,
            folder=file.parent if file is not None else Path.cwd(),
        ),
        say=lambda said: emit({"event": "said", "text": said}),
        started=started,
    )
    return ServeAnswer(address=address, seconds=time.monotonic() - begun)


def _config(request: ServeRequest) -> tuple[ServingConfig, Path | None]:
    """The configuration, and its file where it has one that is to be followed."""
    from loresmith.serving.settings import ListenSettings, ServedModelSettings, ServingConfig, read_config

    given = {name: value for name in ("host", "port") if (value := getattr(request, name)) is not None}
    path = Path(request.what)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        config = read_config(path)
    else:
        release, _, channel = request.what.partition("@")
        _require_name(release, request.what)
        if channel and channel not in get_args(Channel):
            raise UserError(unknown_name("channel", channel, get_args(Channel)), where=request.what)
        settings = {"release": release, **({"channel": channel} if channel else {})}
        config = ServingConfig(models={release: ServedModelSettings.model_validate(settings)})
        path = Path()
    if not given:
        return config, path if path.name else None
    try:
        listen = ListenSettings.model_validate({**config.listen.model_dump(), **given})
    except ValueError as error:
        raise UserError(str(error).split("Value error, ")[-1].partition(" [type=")[0], where="--host") from None
    # The file is followed all the same: where it listens is looked at only when the gateway starts.
    return config.model_copy(update={"listen": listen}), path if path.name else None


def _require_name(release: str, what: str) -> None:
    try:
        check_name(release)
    except UserError:
        raise UserError(
            "this is neither a file nor a release",
            where=what,
            hint="`loresmith releases ls` lists the releases; `releases promote NAME ASSET --because ...` makes one",
        ) from None


SERVE = Call(
    "serve",
    "Serve released models to applications, in OpenAI's protocol, under policy, quotas, guards and audit.",
    ServeRequest,
    ServeAnswer,
    _serve,
    example="serve stdlib --port 8080",
)
