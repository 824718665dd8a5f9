"""The sample of the endpoint's traffic, for reports of how it changes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from loresmith.errors import Failure, UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.serving.audit.moments import MOMENT, moment_of

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class SampleRequest(Request):
    """What `traffic sample` takes."""

    since: str | None = Field(default=None, description=f"Requests of this time and later: {MOMENT}.")
    until: str | None = Field(default=None, description="Requests before this time, said in the same way.")
    release: str | None = Field(default=None, description="Requests to `release`, or to `release@channel`.")
    content: bool = Field(
        default=False,
        description="Put into the dataset what was said, where the sample has it. Who did this, and why, goes on the "
        "record; see --because.",
    )
    because: str | None = Field(default=None, description="With --content: why you read what others said.")


class SampleAnswer(Answer):
    """The dataset that was made."""

    digest: str = Field(description="Its identity.")
    requests: int = Field(description="How many requests there were.")
    rows: int = Field(description="How many of them the sample has, a row each.")
    strata: int = Field(description="Of how many strata: a release, an hour and an outcome each.")
    labels: tuple[str, ...] = Field(description="The labels of the answers, which hold for the dataset too.")


def _sample(workspace: Workspace, request: SampleRequest, _emit: Emit) -> SampleAnswer:
    from loresmith.serving.traffic_sample.reading import read_sample, write_dataset
    from loresmith.serving.traffic_sample.sampler import FOLDER

    if request.content and not (request.because or "").strip():
        raise UserError(
            "reading what others said needs a reason", where="--because", hint="say why: it stays on the record"
        )
    chosen: dict[str, str] = {}
    for name in ("since", "until"):
        if said := getattr(request, name):
            chosen[name] = moment_of(said, where=f"--{name}")
    if request.release is not None:
        chosen["release"] = request.release
    rows = read_sample(workspace.place.state / FOLDER, **chosen)
    if request.content:
        said = json.dumps(chosen, sort_keys=True)
        workspace.ledger.audit_records.note("audit-read", f"traffic sample of {said}, because {request.because}")
    with tempfile.TemporaryDirectory(prefix="sample-", dir=workspace.place.state) as name:
        directory = Path(name) / "dataset"
        directory.mkdir()
        written = write_dataset(rows, _reveal(workspace) if request.content else None, directory)
        requests = sum(written.seen.values())
        metadata: dict[str, Any] = {"traffic": {"rows": written.rows, "requests": requests, **chosen}}
        asset = workspace.ledger.assets.add("dataset", directory, metadata, tuple(sorted(written.labels)))
    return SampleAnswer(
        digest=asset.digest, requests=requests, rows=written.rows, strata=len(written.seen), labels=asset.labels
    )


def _reveal(workspace: Workspace) -> Any:
    from loresmith.sdk.calls.audit import keys_of
    from loresmith.serving.traffic_sample.sampler import SAMPLE

    keys = keys_of(workspace)

    def reveal(response: str, sealed: bytes) -> dict[str, Any] | None:
        try:
            said: dict[str, Any] = json.loads(keys.open(sealed, response, SAMPLE))
        except Failure:
            return None
        return said

    return reveal


SAMPLE = Call(
    "traffic sample",
    "Make a dataset of the sample that the endpoint keeps of its traffic: features, and not what was said.",
    SampleRequest,
    SampleAnswer,
    _sample,
    example="traffic sample --since 7d --release acme@production",
)
