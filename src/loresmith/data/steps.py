"""The steps of the data room, as the factory runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from loresmith.data.decoding import known_encoding
from loresmith.data.globs import glob_regex
from loresmith.data.special_tokens import smallest_vocabulary
from loresmith.factory.step import Check, Guess, Input, InputAsset, Made, Output, Result, Step, StepConfig, StepContext
from loresmith.ledger.books import Account, Books, Entry


def _stopper(context: StepContext) -> Callable[[], None]:
    """A function that leaves the step when a stop was asked for."""

    def look() -> None:
        if context.stop_requested():
            context.stopped()

    return look


class IngestConfig(StepConfig):
    """Files of an organisation, as documents."""

    path: str | tuple[str, ...] = Field(
        json_schema_extra={"location": True},
        description="A folder, a file, or a list of them. With several, paths begin with the name of theirs.",
    )
    include: tuple[str, ...] = Field(
        default=("**",),
        min_length=1,
        description="Patterns of the files wanted, relative to the folder. As in .gitignore: `*.md` and `docs` match "
        "at any depth, `docs/*.md` and `/setup.py` from the top, `**` any number of folders; a folder stands for all "
        "in it.",
    )
    exclude: tuple[str, ...] = Field(
        default=(".git", ".hg", ".svn", "__pycache__"),
        description="Patterns of files and folders left alone, by the same rules; they win over `include`. A folder "
        "`.loresmith`, in which a workspace keeps its own files, is always left alone.",
    )
    licence: str = Field(
        default="", description="Under which licence the documents are, such as `Apache-2.0`; empty: not stated."
    )
    labels: tuple[str, ...] = Field(
        default=(), description="Access labels of all documents; everything made from them inherits the labels."
    )
    label_rules: dict[str, tuple[str, ...]] = Field(
        default={},
        description="More labels for the documents whose path matches a pattern, such as `hr/**: [restricted]`.",
    )
    max_file_bytes: int = Field(
        default=64 << 20,
        ge=1,
        le=1 << 30,
        description="Larger files, in bytes, are quarantined: a file is held in memory while it is read.",
    )
    text_field: str = Field(
        default="text", min_length=1, description="The field of a JSON Lines record that holds the document's text."
    )
    encodings: tuple[str, ...] = Field(
        default=("utf-8",),
        min_length=1,
        description="Encodings tried in order for files that neither begin with a byte order mark nor name their own. "
        "A single-byte one such as `cp1252` accepts almost anything, so it comes last.",
    )

    @field_validator("include", "exclude", "label_rules")
    @classmethod
    def _patterns_mean_something(cls, patterns: Any) -> Any:
        glob_regex(patterns)
        return patterns

    @field_validator("encodings")
    @classmethod
    def _encodings_exist(cls, encodings: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in encodings if not known_encoding(name)]
        if unknown:
            raise ValueError(f"no text encoding is called {', '.join(map(repr, unknown))}")
        return encodings

    @property
    def left_alone(self) -> tuple[str, ...]:
        return (*self.exclude, ".loresmith")

    @property
    def places(self) -> list[Path]:
        return [Path(place) for place in ([self.path] if isinstance(self.path, str) else self.path)]


def _ingest(context: StepContext, config: IngestConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.ingest import Rights, Selection, ingest
    from loresmith.data.readers.record import ReadingRules

    source, documents = context.output("source"), context.output("documents")
    result = ingest(
        Selection(config.places, config.include, config.left_alone, config.max_file_bytes),
        ReadingRules(config.encodings, config.text_field),
        Rights(config.licence, config.labels, config.label_rules),
        source,
        documents,
        context,
    )
    for reason, count in result.quarantined.most_common():
        context.log(f"quarantined {count}: {reason}")
    metadata = {
        "documents": result.documents,
        "bytes": result.text_bytes,
        "media_types": dict(result.media_types),
        "languages": {language or "unknown": count for language, count in result.languages.items()},
    }
    held = {"files": result.files, "bytes": result.file_bytes, "content": result.content}
    return Result(
        {
            "source": Made(source, held, tuple(sorted(result.source_labels))),
            "documents": Made(documents, metadata, tuple(sorted(result.labels))),
        },
        result.books,
    )


def _ingest_fingerprint(config: IngestConfig) -> str:
    from loresmith.data.fingerprint import content_fingerprint

    return content_fingerprint(config.places, config.include, config.left_alone, config.max_file_bytes)


class CurateConfig(StepConfig):
    """Documents to a corpus: without duplicates, and split so that evaluation is honest."""

    minimum_bytes: int = Field(
        default=64, ge=1, description="A document with less text, in bytes of UTF-8, is dropped."
    )
    similarity: float = Field(
        default=0.7,
        ge=0.5,
        le=1.0,
        description="From this similarity on, two documents are near-identical and never on two sides of the split: "
        "the estimated share of runs of five words that they have in common. The estimate is good to about 0.05.",
    )
    drop_near_duplicates: bool = Field(
        default=False, description="Keep only the longest of near-identical documents, instead of all of them."
    )
    group_by_folders: int | None = Field(
        default=None,
        ge=1,
        description="Keep documents whose paths share this many first folders on one side, too; none: folders do not "
        "matter.",
    )
    validation_share: float = Field(
        default=0.03, ge=0, lt=1, description="Share of the groups held out to watch training, from 0 to 1."
    )
    test_share: float = Field(
        default=0.05, ge=0, lt=1, description="Share of the groups held out for evaluation alone, from 0 to 1."
    )

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> CurateConfig:
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share leave nothing to train on; together they must be below 1")
        return self


def _curate(context: StepContext, config: CurateConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.curate import CurationRules, curate
    from loresmith.data.splitting import Shares

    corpus = context.output("corpus")
    rules = CurationRules(
        config.minimum_bytes,
        config.similarity,
        config.drop_near_duplicates,
        config.group_by_folders,
        Shares(config.validation_share, config.test_share),
    )
    result = curate(inputs["documents"].directory, corpus, rules, context)
    for group, split in result.moved.items():
        context.log(f"group {group[:12]} moved to {split}, which was empty")
    metadata = {
        "documents": sum(split["documents"] for split in result.splits.values()),
        "bytes": sum(split["bytes"] for split in result.splits.values()),
        "splits": result.splits,
        "near_identical": result.near_identical,
        "moved_groups": dict(result.moved),
    }
    return Result({"corpus": Made(corpus, metadata, tuple(sorted(result.labels)))}, result.books)


class TrainTokenizerConfig(StepConfig):
    """A byte-level byte-pair vocabulary, learnt from the training split."""

    vocabulary_size: int = Field(
        default=8192,
        ge=256,
        le=1_000_000,
        description="Tokens in all, special ones included. More make texts shorter and the model's embedding larger.",
    )
    reserved_tokens: int = Field(
        default=16, ge=0, le=1024, description="Special tokens kept free for what later training wants to mark."
    )
    pre_tokenizer: Literal["code", "gpt2"] = Field(
        default="code",
        description="What no token may cross. `code` is close to GPT-4's: numbers by three digits, runs of spaces "
        "together. `gpt2` is GPT-2's, which the fastest encoders know.",
    )
    training_bytes: int = Field(
        default=256 << 20,
        ge=1,
        description="About how much text, in bytes, the vocabulary is learnt from; of more, a sample of documents is "
        "taken.",
    )

    @model_validator(mode="after")
    def _bytes_and_special_tokens_fit(self) -> TrainTokenizerConfig:
        smallest = smallest_vocabulary(self.reserved_tokens)
        if self.vocabulary_size < smallest:
            raise ValueError(
                f"a vocabulary_size of {self.vocabulary_size} leaves no room: bytes and special tokens are {smallest}"
            )
        return self


def _train_tokenizer(context: StepContext, config: TrainTokenizerConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.corpus import read_documents
    from loresmith.data.sampling import in_sample
    from loresmith.data.tokenizer_report import report_on
    from loresmith.data.tokenizer_training import save_tokenizer, train_byte_pairs

    corpus = inputs["corpus"]
    look = _stopper(context)
    sizes: dict[str, list[int]] = {}
    for batch in read_documents(corpus.directory, ("split", "bytes")):
        for row in batch.to_pylist():
            sizes.setdefault(row["split"], []).append(row["bytes"])
    total = sum(sizes.get("train", ()))
    wanted = min(total, config.training_bytes)
    read, passed_over = {"documents": 0, "bytes": 0}, {"documents": 0, "bytes": 0}

    def texts() -> Iterator[str]:
        for batch in read_documents(corpus.directory, ("id", "text", "bytes"), "train"):
            look()
            for row in batch.to_pylist():
                taken = in_sample(row["id"], wanted, total)
                counts = read if taken else passed_over
                counts["documents"] += 1
                counts["bytes"] += row["bytes"]
                if taken:
                    yield row["text"]
            context.progress(read["bytes"], wanted, "bytes")

    tokenizer = train_byte_pairs(texts(), config.vocabulary_size, config.reserved_tokens, config.pre_tokenizer)
    look()
    directory = context.output("tokenizer")
    save_tokenizer(tokenizer, directory)
    report = report_on(directory, corpus.directory, look)
    (directory / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for split, numbers in report["splits"].items():
        context.metric(f"bytes_per_token/{split}", numbers["bytes_per_token"], read["bytes"])
    metadata = {
        "vocabulary_size": report["vocabulary_size"],
        "bytes_per_token": {split: numbers["bytes_per_token"] for split, numbers in report["splits"].items()},
    }
    books = Books(
        accounts=tuple(
            _learnt_from(
                unit, {split: measure(values) for split, values in sizes.items()}, read[unit], passed_over[unit]
            )
            for unit, measure in (("documents", len), ("bytes", sum))
        )
    )
    return Result({"tokenizer": Made(directory, metadata)}, books)


def _learnt_from(unit: str, by_split: Mapping[str, int], learnt: int, passed_over: int) -> Account:
    """What entered is counted when the corpus is surveyed, what was learnt from and passed over when it is read."""
    held_out = sum(count for split, count in by_split.items() if split != "train")
    left = (
        Entry(disposition="kept", reason="", count=learnt),
        Entry(disposition="dropped", reason="held out", count=held_out),
        Entry(disposition="dropped", reason="not in the sample", count=passed_over),
    )
    return Account(unit=unit, entered=sum(by_split.values()), left=tuple(entry for entry in left if entry.count))


class PackConfig(StepConfig):
    """Documents to token shards."""

    shard_bytes: int = Field(
        default=256 << 20,
        ge=1 << 10,
        description="Largest size of a shard file, in bytes; larger streams have several.",
    )


def _pack(context: StepContext, config: PackConfig, inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.pack import pack

    stop = _stopper(context)
    total = inputs["corpus"].metadata.get("bytes")

    def look(done_bytes: int, done_tokens: int) -> None:
        stop()
        context.progress(done_bytes, total, "bytes", tokens=done_tokens)

    directory = context.output("tokens")
    packed = pack(inputs["corpus"].directory, inputs["tokenizer"].directory, directory, config.shard_bytes, look)
    context.metric("tokens", packed.entered["tokens"], packed.entered["bytes"])
    metadata = {
        **{unit: {name: split[unit] for name, split in packed.splits.items()} for unit in packed.entered},
        "vocabulary_size": packed.vocabulary_size,
    }
    accounts = tuple(
        Account(
            unit=unit,
            entered=entered,
            left=(Entry(disposition="kept", reason="", count=sum(split[unit] for split in packed.splits.values())),),
        )
        for unit, entered in packed.entered.items()
    )
    equal = packed.round_trip["equal"] == packed.round_trip["documents"]
    return Result(
        {"tokens": Made(directory, metadata)},
        Books(accounts=accounts),
        (Check("tokens", "round-trip", equal, packed.round_trip),),
    )


INGEST = Step(
    name="ingest",
    version=1,
    summary="Read files of many kinds into documents; what cannot be read is quarantined with the reason.",
    config=IngestConfig,
    inputs={},
    outputs={
        "source": Output("source", "The bytes of every file, as they were read."),
        "documents": Output("documents", "One row for each document, with its text, licence and labels."),
    },
    run=_ingest,
    fingerprint=_ingest_fingerprint,
    packages=("pyarrow",),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 25),
)

CURATE = Step(
    name="curate",
    version=1,
    summary="Merge duplicates, drop what is too short, and hold out groups of documents for evaluation.",
    config=CurateConfig,
    inputs={"documents": Input("documents", "What to choose from.")},
    outputs={"corpus": Output("corpus", "The documents that are kept, with their split and group.")},
    run=_curate,
    packages=("numpy", "pyarrow"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 29, output_bytes=1 << 24),
)

TRAIN_TOKENIZER = Step(
    name="train-tokenizer",
    version=1,
    summary="Learn a byte-level byte-pair vocabulary from the training split of a corpus.",
    config=TrainTokenizerConfig,
    inputs={"corpus": Input("corpus", "The text to learn from; only its training split is read to learn.")},
    outputs={"tokenizer": Output("tokenizer", "A transformers fast tokenizer with a chat template, and a report.")},
    run=_train_tokenizer,
    packages=("tokenizers", "transformers"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=1 << 20),
)

PACK = Step(
    name="pack",
    version=1,
    summary="Encode the documents of a corpus into shards of token ids.",
    config=PackConfig,
    inputs={
        "corpus": Input("corpus", "The documents."),
        "tokenizer": Input("tokenizer", "What encodes them; a copy goes with the tokens."),
    },
    outputs={"tokens": Output("tokens", "Memory-mapped shards for each split, with an index of documents.")},
    run=_pack,
    packages=("tokenizers", "pyarrow"),
    guess=lambda _config: Guess(seconds=15, peak_bytes=1 << 30, output_bytes=20 << 20),
)
