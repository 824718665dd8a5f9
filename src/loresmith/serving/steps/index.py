"""The step `index`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from loresmith.errors import UserError
from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.serving.retrieval.embedders.embedder import Embedder


class IndexConfig(StepConfig):
    """A corpus to an index of passages, which the endpoint retrieves from."""

    words: int = Field(default=120, ge=20, le=2000, description="Words of a passage, at most.")
    overlap: int = Field(
        default=20, ge=0, le=1000, description="Words of a passage that stand again at the beginning of the next."
    )
    embedder: Literal["minilm", "folder", "model", "none"] = Field(
        default="minilm",
        description="What makes the vectors by which passages are found that say it in other words. `minilm`: "
        "all-MiniLM-L6-v2, for English, of the extra `embedder`; `folder`: one of `embedder_folder`; `model`: the mean "
        "of the last states of the input `model`; `none`: passages are found by their words alone.",
    )
    embedder_folder: Path | None = Field(
        default=None,
        description="With `embedder: folder`: where model.onnx, tokenizer.json and embedder.json are.",
        json_schema_extra={"location": True},
    )
    exact_below: int = Field(
        default=50_000,
        ge=1,
        description="With more passages of the same labels, near ones are looked for along a graph, which may miss "
        "one, instead of among all.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlap > self.words // 2:
            raise ValueError(f"overlap: {self.overlap} words is more than half of a passage of {self.words}")
        if (self.embedder == "folder") != (self.embedder_folder is not None):
            raise ValueError("embedder_folder: is for `embedder: folder`, which needs it")
        return self


def _index(context: StepContext, config: IndexConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.serving.retrieval.build import Cut, build_index

    corpus = inputs["corpus"]
    directory = context.output("index")
    embedder = _embedder(context, config, inputs, directory)

    def look(unit: str, done: int, in_all: int) -> None:
        if context.stop_requested():
            context.stopped()
        context.progress(done, in_all, unit)

    cut = Cut(config.words, config.overlap, config.exact_below)
    in_all = int(corpus.metadata.get("bytes", 0))
    built = build_index(corpus.directory, directory, context.work / "vectors", cut, embedder, in_all, look)
    partitions = built.facts.partitions
    counted = {
        "documents": sum(each.documents for each in partitions),
        "passages": sum(each.passages for each in partitions),
        "partitions": len(partitions),
    }
    for name, count in counted.items():
        context.metric(name, count, 0)
    metadata = {**counted, "embedder": embedder.facts.name if embedder is not None else None}
    return Result({"index": Made(directory, metadata)}, built.books)


def _embedder(
    context: StepContext, config: IndexConfig, inputs: Mapping[str, InputAsset], directory: Path
) -> Embedder | None:
    """The embedder that is asked for; one of files is laid into the index first, so that it goes wherever that goes."""
    from loresmith.serving.retrieval.embedders.minilm import lay_out_minilm
    from loresmith.serving.retrieval.embedders.model_embedder import ModelEmbedder
    from loresmith.serving.retrieval.embedders.onnx_embedder import FILES, OnnxEmbedder
    from loresmith.serving.retrieval.layout import EMBEDDER

    model = inputs.get("model")
    if (config.embedder == "model") != (model is not None):
        raise UserError("the input `model` is for `embedder: model`, which needs it", where="embedder")
    if model is not None:
        return ModelEmbedder(model.directory, model.digest)
    if config.embedder == "none":
        return None
    folder = directory / EMBEDDER
    folder.mkdir(exist_ok=True)
    if config.embedder_folder is not None:
        for name in FILES:
            shutil.copyfile(config.embedder_folder / name, folder / name)
    else:
        lay_out_minilm(folder)
    return OnnxEmbedder(folder, context.threads)


def _fingerprint(config: IndexConfig) -> str:
    """Of the embedder's files, so that it is known before anything is done whether they are there."""
    from loresmith.serving.retrieval.embedders.minilm import require_minilm
    from loresmith.serving.retrieval.embedders.onnx_embedder import files_digest, require_files

    if config.embedder_folder is not None:
        require_files(config.embedder_folder)
        return files_digest(config.embedder_folder)
    if config.embedder == "minilm":
        return require_minilm()
    return hashlib.sha256(b"").hexdigest()


def _restore(config: IndexConfig, outputs: Mapping[str, Path], _folder: Path) -> IndexConfig:
    from loresmith.serving.retrieval.layout import EMBEDDER

    return config.model_copy(update={"embedder_folder": outputs["index"] / EMBEDDER})


INDEX = Step(
    name="index",
    version=2,
    summary="Cut the documents of a corpus into passages and index them, for retrieval.",
    config=IndexConfig,
    inputs={
        "corpus": Input("corpus", "The documents; those that may not be used to retrieve are left out."),
        "model": Input("model", "What makes the vectors, with `embedder: model`.", optional=True),
    },
    outputs={"index": Output("index", "Passages, divided by the labels of their documents.")},
    run=_index,
    fingerprint=_fingerprint,
    restore_sources=_restore,
    packages=("bm25s", "onnxruntime", "pyarrow", "tokenizers", "torch", "usearch"),
    guess=lambda config: Guess(
        seconds=5 if config.embedder == "none" else 60, peak_bytes=1 << 30, output_bytes=30 << 20
    ),
)
