"""A document is followed to every model that saw it, under whatever id its text went, and no further than is known."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest

from loresmith import Workspace
from loresmith.cli.main import main
from loresmith.errors import UserError
from loresmith.sdk.tracing import Trace, Witness, trace_document
from tests.data.conversations import asked, jsonl

pytestmark = pytest.mark.slow  # of the models that it trains

SHAPE = "sequence_length: 256, batch_tokens: 256, micro_batch_tokens: 256, held_out_interval: 100000"
TINY = "architecture: {layers: 1, width: 32, head_dim: 16}"
CURATE = "minimum_bytes: 1, drop_near_duplicates: true, validation_share: 0.2, test_share: 0"
SFT = "step: sft, dataset: {talks}, epochs: 1, sequence_length: 256, batch_tokens: 512, micro_batch_tokens: 512"
RECIPE = f"""\
name: small
seed: 1
compute: {{threads: 1}}
steps:
  files: {{step: ingest, path: notes}}
  corpus: {{step: curate, documents: files, {CURATE}}}
  tokenizer: {{step: train-tokenizer, corpus: corpus, vocabulary_size: 320}}
  tokens: {{step: pack, corpus: corpus, tokenizer: tokenizer}}
  more_files: {{step: ingest, path: more}}
  more_corpus: {{step: curate, documents: more_files, {CURATE}}}
  more_tokens: {{step: pack, corpus: more_corpus, tokenizer: tokenizer}}
  base: {{step: pretrain, tokens: tokens, {TINY}, budget_tokens: 20k, {SHAPE}}}
  adapted:
    {{step: pretrain, tokens: more_tokens, base: base, replay: tokens, replay_share: 0.5, adapter: {{rank: 2}}, \
budget_tokens: 20k, {SHAPE}}}
  merged: {{step: merge, base: base, adapter: adapted}}
  talks: {{step: ingest-messages, path: talks.jsonl}}
  chat: {{{SFT.format(talks="talks")}, base: merged}}
"""
WORDS = ("pump", "filter", "panel", "screw", "seal", "valve", "hose", "motor", "belt", "lamp", "fuse", "switch", "tank")


def text(number: int) -> str:
    draw = random.Random(number)
    return " ".join(draw.choice(WORDS) for _ in range(200)) + "\n"


class Small:
    """A workspace in which documents were learnt, adapted to, merged and talked over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace.init(folder)
        for name in ("notes", "more"):
            (folder / name).mkdir()
        for number in range(10):
            (folder / "notes" / f"page{number}.txt").write_text(text(number))
            (folder / "more" / f"leaf{number}.txt").write_text(text(100 + number))
        # One page three times: as it is, once more, and with an addition.
        (folder / "notes" / "first.txt").write_text(text(11))
        (folder / "notes" / "second.txt").write_text(text(11))
        (folder / "notes" / "third.txt").write_text(text(11) + "and nothing else\n")
        (folder / "talks.jsonl").write_text(
            jsonl([asked(f"Where is the {word}?", "Behind the panel.") for word in WORDS])
        )
        self.run("small", RECIPE)
        imported = folder / "imported"
        shutil.copytree(self.workspace.assets["small/base.model"].directory, imported)
        (imported / "README.md").write_text("Nobody here knows what it has read.\n")
        self.imported = self.workspace.assets.add("model", imported).digest
        talks = self.workspace.assets["small/talks.dataset"].digest
        self.run("other", f"name: other\nsteps:\n  chat: {{{SFT.format(talks=talks)}, base: {self.imported}}}\n")

    def run(self, name: str, recipe: str) -> None:
        path = self.folder / f"{name}.yaml"
        path.write_text(recipe)
        self.workspace.run(path)

    def trace(self, document: str) -> Trace:
        return trace_document(self.workspace.ledger, document)

    def digest(self, reference: str) -> str:
        return self.workspace.assets[reference].digest

    def paths(self, split: str) -> dict[str, str]:
        """Path and id of the documents of the corpus in a split."""
        (file,) = self.workspace.assets["small/corpus"].directory.glob("documents-*.parquet")
        rows = pyarrow.parquet.read_table(file).to_pylist()
        return {row["path"]: row["id"] for row in rows if row["split"] == split}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = Small(tmp_path_factory.mktemp("tracing") / "workspace")
    yield made
    made.workspace.close()


def directly(trace: Trace) -> dict[str, bool]:
    return {witness.asset: witness.directly for witness in trace.seen_by}


def test_it_is_followed_through_replay_adapters_and_merges(small: Small) -> None:
    path = next(path for path in small.paths("train") if path.startswith("page"))
    trace = small.trace(path)
    assert {lesson.step: lesson.source for lesson in trace.lessons} == {
        "small/base": "tokens",
        "small/adapted": "replay",
    }
    assert directly(trace) == {
        small.digest("small/base.model"): True,
        small.digest("small/adapted.adapter"): True,
        small.digest("small/merged"): False,
        small.digest("small/chat.model"): False,
    }
    assert trace.duplicates == ()
    assert {witness.by_duplicates for witness in trace.seen_by} == {()}


def test_what_was_merged_as_a_duplicate_is_followed_under_the_id_of_what_was_kept(
    small: Small, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = (small.trace(f"{name}.txt") for name in ("first", "second", "third"))
    assert "third.txt" in small.paths("train"), "or nothing is tried here"
    assert second.duplicates == (first.document, third.document), "an exact copy of what nearly is the third"
    assert first.duplicates == (third.document,)
    assert third.duplicates == ()
    assert [fate.disposition for fate in second.fates if fate.kind == "corpus"] == ["merged", "merged", "kept"]
    assert [fate.document for fate in second.fates if fate.kind == "corpus"] == [
        second.document, first.document, third.document,
    ]  # fmt: skip
    assert {lesson.document for lesson in second.lessons} == {third.document}

    def seen(trace: Trace) -> list[Witness]:
        return [witness.model_copy(update={"by_duplicates": ()}) for witness in trace.seen_by]

    assert seen(second) == seen(first) == list(third.seen_by) != []
    assert {witness.by_duplicates for witness in second.seen_by} == {(third.document,)}

    assert main(["trace", "document", "second.txt", "--workspace", str(small.folder)]) == 0
    out = capsys.readouterr().out
    base, imported = (digest[:12] for digest in (small.digest("small/base.model"), small.imported))
    assert f"seen by model {base}, in its own training, by its duplicate {third.document}\n" in out
    assert f"not known of model {imported}: it was trained elsewhere\n" in out
    assert f"it was made from {imported}, which was trained elsewhere\n" in out


def test_of_models_from_an_imported_base_it_is_not_known(small: Small) -> None:
    held_out = next(iter(small.paths("validation")))
    trace = small.trace(held_out)
    assert (trace.lessons, trace.seen_by) == ((), ())
    assert {each.asset: each.bases for each in trace.unknown} == {
        small.imported: (small.imported,),
        small.digest("other/chat.model"): (small.imported,),
    }
    assert trace.not_seen_by == 4, "the base, the adapter, the merged model and the one that talks"


def test_a_record_of_a_conversation_is_traced_by_its_line(small: Small) -> None:
    dataset = small.workspace.assets["small/talks.dataset"].directory
    rows = pyarrow.parquet.read_table(dataset / "records.parquet").to_pylist()
    row = next(row for row in rows if row["split"] == "train")
    trace = small.trace(f"talks.jsonl#L{row['line']}")
    assert trace.document == row["id"]
    assert [(fate.kind, fate.disposition) for fate in trace.fates] == [("dataset", "kept")]
    assert {(lesson.step, lesson.disposition) for lesson in trace.lessons} == {
        (step, what) for step in ("small/chat", "other/chat") for what in ("kept", "masked")
    }
    assert directly(trace) == {small.digest("small/chat.model"): True, small.digest("other/chat.model"): True}
    assert [each.asset for each in trace.unknown] == [small.imported]
    assert trace.not_seen_by == 3


def test_eight_characters_of_an_id_are_enough_and_seven_are_not(small: Small) -> None:
    path, whole = next(iter(small.paths("train").items()))
    assert small.trace(whole[:8]) == small.trace(whole) == small.trace(path)
    with pytest.raises(UserError, match="no book of this workspace"):
        small.trace(whole[:7])


def test_a_path_that_means_two_documents_is_refused_and_both_are_named(small: Small) -> None:
    recipe = f"name: twice\nsteps:\n  files: {{step: ingest, path: {json.dumps(str(small.folder / 'page'))}}}\n"
    (small.folder / "page").mkdir()
    ids = []
    for number in range(2):
        (small.folder / "page" / "changed.txt").write_text(text(number))
        small.run("twice", recipe)
        books = small.workspace.assets["twice/files.documents"].directory / "books.parquet"
        ids.append(pyarrow.parquet.read_table(books).to_pylist()[0]["id"])
    with pytest.raises(UserError, match=r"means 2 documents") as caught:
        small.trace("changed.txt")
    assert all(each in caught.value.what for each in ids)
    assert [small.trace(each).document for each in ids] == ids
