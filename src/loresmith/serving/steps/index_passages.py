"""The step `index-passages`."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loresmith.factory.step import Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


class IndexPassagesConfig(StepConfig):
    """Restricted documents to an index of their passages, for the guard `memorisation`."""

    words: int = Field(
        default=50,
        ge=10,
        le=1000,
        description="Words of a passage: an answer that repeats so many in a row is a match. A word is a run of "
        "letters, digits and underscores, whatever the model's vocabulary; 50 are some 65 tokens of English.",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Documents that carry one of these labels are indexed. Default: those that carry any."
    )
    except_public: bool = Field(
        default=True,
        description="Whether passages that also stand in a document of the corpus that is not restricted are left out, "
        "such as a licence that all files have.",
    )


def _index_passages(context: StepContext, config: IndexPassagesConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.serving.guards.passage_index import build_index

    in_all = inputs["corpus"].metadata.get("documents")

    def look(done: int) -> None:
        if context.stop_requested():
            context.stopped()
        context.progress(done, in_all, "documents")

    directory = context.output("index")
    facts, counts = build_index(
        inputs["corpus"].directory,
        directory,
        context.work / "hashes",
        config.words,
        config.labels,
        config.except_public,
        look,
    )
    context.metric("passages", facts.passages, facts.documents)
    if not facts.passages:
        context.log("there is nothing to guard: no document is restricted and long enough")
    entries = (
        Entry(disposition="kept", reason="", count=counts["indexed"]),
        Entry(disposition="dropped", reason="shorter than a passage", count=counts["too short"]),
        Entry(disposition="dropped", reason="not restricted", count=counts["not restricted"]),
    )
    books = Books(accounts=(Account(unit="documents", entered=sum(counts.values()), left=entries),))
    metadata = {"guard": "memorisation", **facts.model_dump(exclude={"format", "labels"})}
    return Result({"index": Made(directory, metadata, facts.labels)}, books)


INDEX_PASSAGES = Step(
    name="index-passages",
    version=1,
    summary="Index the passages of restricted documents, so that no answer repeats one word for word.",
    config=IndexPassagesConfig,
    inputs={"corpus": Input("corpus", "The documents that a model was trained on.")},
    outputs={"index": Output("bundle", "Hashes of passages, for the guard `memorisation`.")},
    run=_index_passages,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 29, output_bytes=50 << 20),
)
