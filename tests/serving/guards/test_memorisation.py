"""Passages of restricted documents do not get out word for word, and other text is hardly held back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loresmith.errors import UserError
from loresmith.factory.step import InputAsset
from loresmith.serving.guards.guard import Context
from loresmith.serving.guards.guards import Guards
from loresmith.serving.guards.output_guard import Refused
from loresmith.serving.guards.passage_hashes import word_runs
from loresmith.serving.guards.passage_index import PassageIndex
from loresmith.serving.guards.settings import GuardsSettings
from loresmith.serving.steps import INDEX_PASSAGES
from tests.data.contamination.suite_texts import prose
from tests.data.written_corpora import write_corpus
from tests.serving.guards.evasions import CYRILLIC, letters
from tests.serving.guards.guarding import in_pieces, written
from tests.step_context import RecordingContext, run_step

WORDS = 20
SECRET, PUBLIC, LICENCE = prose(1, 300), prose(2, 300), prose(3, 60)
OTHER = prose(4, 400)


def index(folder: Path, texts: list[str], carried: list[list[str]], **config: object) -> Path:
    corpus = write_corpus(folder / "corpus", texts, labels=carried)
    asset = InputAsset("0" * 64, "corpus", corpus, {"documents": len(texts)}, ())
    result = run_step(INDEX_PASSAGES, folder, {"words": WORDS, **config}, {"corpus": asset})
    return result.outputs["index"].directory


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    texts = [f"{SECRET} {LICENCE}", f"{PUBLIC} {LICENCE}", "too short to mind"]
    return index(folder, texts, [["restricted"], [], ["restricted"]])


def guarding(made: Path, **settings: object) -> Guards:
    given = GuardsSettings.model_validate([{"kind": "memorisation", "index": "it", **settings}])
    return Guards.load(given, Path(), {"it": made})


def words(text: str, first: int, last: int) -> str:
    return " ".join(text.split()[first:last])


def out(made: Path, text: str, context: Context | None = None, **settings: object) -> tuple[str, bool]:
    said, stopped = written(guarding(made, **settings).output(context), list(in_pieces(text, 5, 12)))
    assert stopped is None or isinstance(stopped, Refused)
    return said, stopped is not None


def test_a_passage_is_not_repeated_and_nothing_of_it_is_out_before_it_is_known(made: Path) -> None:
    lead = words(OTHER, 0, 40)
    said, refused = out(made, f"{lead}. {words(SECRET, 100, 100 + WORDS)} {words(OTHER, 50, 90)}")
    assert refused
    assert said.rstrip(". ") == lead


def test_a_stretch_that_is_one_word_shorter_may_be_said(made: Path) -> None:
    text = f"{words(OTHER, 0, 40)} {words(SECRET, 100, 99 + WORDS)} {words(OTHER, 50, 90)}"
    assert out(made, text) == (text, False)


@pytest.mark.parametrize(
    "written_so",
    [
        str.upper,
        lambda text: text.replace(" ", ",\n"),
        letters(CYRILLIC),
        lambda text: text.replace("e", "e\u200b"),
        lambda text: f"**{text}**",
    ],
)
def test_how_a_passage_is_written_does_not_matter(made: Path, written_so: object) -> None:
    assert callable(written_so)
    assert out(made, str(written_so(words(SECRET, 30, 60))))[1]


def test_what_stands_in_public_documents_too_may_be_said(made: Path, tmp_path: Path) -> None:
    assert out(made, LICENCE) == (LICENCE, False)
    assert out(made, PUBLIC) == (PUBLIC, False)
    strict = index(tmp_path, [f"{SECRET} {LICENCE}", LICENCE], [["restricted"], []], except_public=False)
    assert out(strict, LICENCE)[1]


def test_a_passage_is_cut_out_where_that_is_asked_for(made: Path) -> None:
    lead, tail = words(OTHER, 0, 40), words(OTHER, 60, 99)
    said, refused = out(made, f"{lead}: {words(SECRET, 10, 80)}. {tail}", action="redact")
    assert (said, refused) == (f"{lead}: [REMOVED]. {tail}", False)


def test_other_text_is_held_back_by_a_few_words_only(made: Path) -> None:
    guard = guarding(made).output()
    sent = 0
    for number, character in enumerate(OTHER, 1):
        sent += len(guard.feed(character))
        assert number - sent <= 64 + 8 * 8
    assert guard.verdicts == ()


def test_who_holds_all_labels_may_be_let_through(made: Path) -> None:
    text = words(SECRET, 30, 60)
    holder, other = Context(labels=frozenset({"restricted", "more"})), Context(labels=frozenset({"more"}))
    assert not out(made, text, holder, holders="allow")[1]
    assert out(made, text, other, holders="allow")[1]
    assert out(made, text, holder)[1]


def test_what_was_retrieved_for_a_caller_may_be_quoted_to_them(made: Path) -> None:
    passage = words(SECRET, 0, 100)
    quoting = Context(passages=[f"[1] {passage}"])
    assert not out(made, words(SECRET, 10, 60), quoting)[1]
    assert out(made, words(SECRET, 90, 130), quoting)[1]  # goes on beyond the passage
    assert out(made, words(SECRET, 10, 60), quoting, retrieved="guard")[1]


def test_rows_of_the_same_word_are_everybodys(tmp_path: Path) -> None:
    zeros = "0 " * 100
    assert not out(index(tmp_path, [zeros], [["restricted"]]), zeros)[1]


def test_the_index_is_the_same_bytes_and_holds_the_books(tmp_path: Path) -> None:
    texts, labels = [SECRET, PUBLIC, "short"], [["a"], ["b"], []]
    first, second = index(tmp_path / "1", texts, labels), index(tmp_path / "2", texts, labels)
    for name in ("index.json", "passages.npy", "seeds.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    passages = np.load(first / "passages.npy")
    expected = np.unique(np.concatenate([word_runs(text).of(WORDS) for text in (SECRET, PUBLIC)]))
    assert np.array_equal(passages, expected)
    assert PassageIndex(first).facts.labels == ("a", "b")
    only = PassageIndex(index(tmp_path / "3", texts, labels, labels=["b"])).facts
    assert (only.documents, only.labels) == (1, ("b",))


def test_the_step_says_where_every_document_went_and_passes_labels_on(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [SECRET, PUBLIC, "short"], labels=[["a"], [], ["a"]])
    context = RecordingContext(tmp_path)
    inputs = {"corpus": InputAsset("0" * 64, "corpus", corpus, {}, ())}
    result = run_step(INDEX_PASSAGES, tmp_path, {"words": WORDS}, inputs, context)
    (account,) = result.books.accounts
    assert [(entry.reason, entry.count) for entry in account.left] == [
        ("", 1),
        ("shorter than a passage", 1),
        ("not restricted", 1),
    ]
    assert result.outputs["index"].labels == ("a",)
    assert not (context.work / "hashes").exists()


def test_what_is_no_index_is_refused(tmp_path: Path, made: Path) -> None:
    with pytest.raises(UserError, match="no index"):
        PassageIndex(tmp_path)
    old = (made / "index.json").read_text().replace('"normalisation": 1', '"normalisation": 0')
    (tmp_path / "index.json").write_text(old)
    with pytest.raises(UserError, match="another version"):
        PassageIndex(tmp_path)
