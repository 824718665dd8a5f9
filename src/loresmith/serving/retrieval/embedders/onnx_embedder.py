"""An embedder in a folder: model.onnx, tokenizer.json, and in embedder.json how they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from loresmith.errors import UserError
from loresmith.serving.retrieval.embedders.embedder import EmbedderFacts, Vectors, unit_length
from loresmith.validation import validate
from loresmith.yaml_lines import load_yaml

MODEL, TOKENIZER, USE = "model.onnx", "tokenizer.json", "embedder.json"
FILES = (MODEL, TOKENIZER, USE)


class OnnxUse(BaseModel):
    """What embedder.json says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="What people call it.")
    licence: str = Field(default="", description="Under which its files are.")
    pooling: Literal["mean", "first"] = Field(
        default="mean", description="Whether the mean of all tokens' vectors counts, or the first one's."
    )
    longest: int = Field(default=512, ge=8, description="Tokens of a text that are looked at.")
    passage_prefix: str = Field(default="", description="What stands before a passage, such as `passage: `.")
    question_prefix: str = Field(default="", description="What stands before a question, such as `query: `.")


class OnnxEmbedder:
    """An embedder that ONNX Runtime computes, on the CPU.

    Args:
        folder: with `FILES`.
        threads: that one call of `embed` may use.

    Raises:
        UserError: a file is not there or is not what it should be, or ONNX Runtime is not installed.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                "ONNX Runtime is not installed, by which this embedder is computed",
                hint="pip install 'loresmith[embedder]'",
            ) from None
        from tokenizers import Tokenizer

        onnxruntime.disable_telemetry_events()
        require_files(folder)
        self._use = read_use(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_padding()
        self._counter = Tokenizer.from_str(self._tokenizer.to_str())
        self._counter.no_truncation()
        self._tokenizer.enable_truncation(self._use.longest)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            # Its exceptions have no base of their own.
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            raise UserError(f"this is no model that ONNX Runtime takes: {error}", where=str(folder / MODEL)) from None
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._facts = EmbedderFacts(
            kind="onnx",
            name=self._use.name,
            digest=files_digest(folder),
            dimensions=self._computed("a").shape[0],
            longest=self._use.longest,
        )

    @property
    def facts(self) -> EmbedderFacts:
        return self._facts

    def embed(self, texts: Sequence[str], *, question: bool = False) -> Vectors:
        """As `Embedder.embed`. One text at a time: in a batch, padding costs more than it saves on a CPU, and the
        activations of dynamically quantised models are scaled by whatever else is in it."""
        prefix = self._use.question_prefix if question else self._use.passage_prefix
        found = np.zeros((len(texts), self._facts.dimensions), np.float32)
        for number, text in enumerate(texts):
            found[number] = self._computed(prefix + text)
        return found

    def tokens(self, text: str) -> int:
        """As `Embedder.tokens`; special ones count."""
        return len(self._counter.encode(self._use.passage_prefix + text).ids)

    def _computed(self, text: str) -> Vectors:
        ids_1T = np.array([self._tokenizer.encode(text).ids], np.int64)
        given = {
            "input_ids": ids_1T,
            "attention_mask": np.ones_like(ids_1T),
            "token_type_ids": np.zeros_like(ids_1T),
        }
        states = self._session.run(None, {name: given[name] for name in self._inputs})[0]
        if states.ndim == 2:  # pooled already
            return unit_length(states[0])
        return unit_length(states[0].mean(0) if self._use.pooling == "mean" else states[0, 0])


def require_files(folder: Path) -> None:
    """Raise UserError, naming it, if an embedder's file is not there."""
    for file in FILES:
        if not (folder / file).is_file():
            raise UserError(f"this embedder has no {file}", where=str(folder))


def read_use(folder: Path) -> OnnxUse:
    """What embedder.json says. Raises UserError, naming the key, for what it must not say."""
    text = (folder / USE).read_text(encoding="utf-8")
    written = load_yaml(text, str(folder / USE))  # JSON is YAML, and this way a mistake has a line
    return validate(OnnxUse, written.data, written.lines, written.source)


def files_digest(folder: Path) -> str:
    """What tells an embedder's files from all others: SHA-256 over the digests of `FILES`."""
    digests = []
    for name in FILES:
        with (folder / name).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
