"""Certify an engine for a model."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.assets import REFERENCE
from loresmith.serving.engines.starting import EngineName

if TYPE_CHECKING:
    from loresmith.sdk.certifying import Certified
    from loresmith.sdk.workspace import Workspace


class CertifyRequest(Request):
    """What `models certify` takes."""

    model: str = Field(description=REFERENCE, json_schema_extra={"positional": True})
    engine: EngineName = Field(default="torch", description="What computes it.")
    precision: Literal["bf16", "fp16", "fp32", "int8"] = Field(
        default="bf16", description="The numbers it is computed with; what may differ depends on it."
    )
    adapters: tuple[str, ...] = Field(
        default=(),
        description="An adapter that is served with it: `NAME=REFERENCE`. May be given several times.",
        json_schema_extra={"option": "adapter", "metavar": "NAME=REFERENCE"},
    )
    device: str = Field(default="cpu", description="`cpu`, or `cuda:0` and the like.")
    threads: int | None = Field(default=None, ge=1, le=1024, description="CPU threads. Default: all.")
    slots: int = Field(default=16, ge=1, le=4096, description="Prompts that are answered at the same time.")
    window: int = Field(default=1024, ge=64, description="Tokens of prompt and answer; longer prompts are left out.")
    settings: tuple[str, ...] = Field(
        default=(),
        description="A setting of the engine, such as `url=https://gpu-1:8000/v1`; docs/engines.md lists them. May be "
        "given several times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )


class ParityReceipt(BaseModel):
    """What a comparison showed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = Field(description="Digest of the model, or of the adapter.")
    adapter: str | None = Field(description="The adapter; null is the model alone.")
    passed: bool = Field(description="Whether the engine computes what the reference does.")
    because: str = Field(description="Why it did not pass; empty where it did.")
    evidence: dict[str, Any] = Field(description="Everything that the receipt says.")


class CertifyAnswer(Answer):
    """Receipts of one comparison."""

    receipts: tuple[ParityReceipt, ...] = Field(description="The model's own, and one for each adapter.")


def _certify(workspace: Workspace, request: CertifyRequest, emit: Emit) -> CertifyAnswer:
    from loresmith.sdk.certifying import certify

    certified = certify(
        workspace,
        request.model,
        engine=request.engine,
        precision=request.precision,
        threads=request.threads or len(os.sched_getaffinity(0)),
        adapters=_pairs(request.adapters, "--adapter"),
        device=request.device,
        slots=request.slots,
        window=request.window,
        options=_pairs(request.settings, "--set"),
        say=lambda said: emit({"kind": "said", "said": said}),
    )
    return CertifyAnswer(receipts=tuple(_receipt(one) for one in certified))


def _receipt(certified: Certified) -> ParityReceipt:
    receipt = certified.receipt
    return ParityReceipt(
        subject=receipt.subject,
        adapter=certified.adapter,
        passed=receipt.passed,
        because=receipt.evidence.get("because", ""),
        evidence=receipt.evidence,
    )


def _pairs(written: tuple[str, ...], option: str) -> dict[str, str]:
    pairs = {}
    for pair in written:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise UserError(f"{pair!r} is not KEY=VALUE", where=option)
        pairs[key] = value
    return pairs


CERTIFY = Call(
    "models certify",
    "Compare an engine on a model with transformers in fp32, and keep a receipt: without one no gateway serves it.",
    CertifyRequest,
    CertifyAnswer,
    _certify,
    failed=lambda answer: not all(receipt.passed for receipt in answer.receipts),
    example="models certify acme-assistant@production --engine torch --precision bf16",
)
