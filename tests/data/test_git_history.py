"""The texts of commits show only what is read, on no stricter terms than their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from dulwich import porcelain

from loresmith.data.rights import DocumentRights
from loresmith.data.steps import INGEST_GIT
from loresmith.data.steps.ingest_git import IngestGitConfig
from tests.data.tables import rows, write_files
from tests.data.test_sources import commit
from tests.step_context import RecordingContext, run_step

SECRET, OPEN = "The salary of Ada is 5,000 a month.\n", "Close the valve before you open the lid.\n"


def repository(folder: Path, files: dict[str, str]) -> Path:
    write_files(folder, files)
    porcelain.init(str(folder))
    porcelain.add(str(folder), [str(path) for path in folder.rglob("*.y*ml")])
    commit(folder, "Begin")
    return folder


def history(folder: Path, repository: Path, erased: frozenset[str] = frozenset(), **config: Any) -> list[str]:
    context = RecordingContext(folder)
    context.erased = erased
    made = run_step(INGEST_GIT, folder, {"path": str(repository), "history": True, **config}, context=context)
    found = rows(made.outputs["documents"].directory)
    return [row["text"] for row in found if row["path"].startswith(".git/commits/")]


def test_commits_show_nothing_of_files_that_are_not_read(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", {"hr/pay.txt": SECRET, "valve.txt": OPEN})
    (place / "hr" / "pay.txt").write_text(SECRET.replace("5,000", "6,000"))
    commit(place, "More")
    porcelain.remove(str(place), [str(place / "hr" / "pay.txt")])
    commit(place, "It was not meant to be here")
    assert sum("salary" in text for text in history(tmp_path / "all", place)) == 3
    for number, config in enumerate(({"exclude": ["hr"]}, {"include": ["valve.txt"]})):
        texts = history(tmp_path / str(number), place, **config)
        assert [("salary" in text or "pay.txt" in text, "valve" in text) for text in texts] == [
            (False, False),
            (False, False),
            (False, True),
        ]
        assert all("\nFiles left out: 1\n" in text for text in texts)
    assert not any("left out" in text for text in history(tmp_path / "again", place))


def test_a_message_goes_with_the_files_that_it_speaks_of(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", {"hr/pay.txt": SECRET, "valve.txt": OPEN, "large.txt": OPEN * 9000})
    (place / "hr" / "pay.txt").write_text(SECRET.replace("5,000", "6,000"))
    commit(place, "Raise Ada to 6,000")
    (place / "hr" / "pay.txt").write_text(SECRET.replace("5,000", "7,000"))
    (place / "valve.txt").write_text(OPEN + "Twice.\n")
    commit(place, "Close it twice")
    (place / "large.txt").write_text(OPEN * 9001)
    commit(place, "One line more")
    porcelain.commit(str(place), b"Nothing at all", author=b"A <a@b.c>", committer=b"A <a@b.c>")
    said = ["Nothing at all", "One line more", "Close it twice", "Raise Ada to 6,000", "Begin"]
    for name, config, kept in (
        ("all", {}, said),
        ("excluded", {"exclude": ["hr"]}, [*said[:3], "The message is left out", "Begin"]),
        ("labelled", {"label_rules": {"hr": ["hr"]}}, [*said[:3], "The message is left out", "Begin"]),
    ):
        texts = history(tmp_path / name, place, **config)
        assert [
            next(message for message in [*said, "The message is left out"] if message in text) for text in texts
        ] == kept
        assert any("6,000" in text for text in texts) == (name == "all")


def test_commits_show_nothing_that_is_on_stricter_terms_than_they(tmp_path: Path) -> None:
    place = repository(
        tmp_path / "repo",
        {
            "hr/pay.txt": SECRET,
            "hr/.rights.yaml": "uses: [retrieve]\n",
            "board/pay.txt": SECRET,
            "short/pay.txt": SECRET,
            "short/.rights.yaml": "retain_until: 2999-01-01\n",
            "valve.txt": OPEN,
            "open/.rights.yaml": "licence: CC0-1.0\n",
        },
    )
    (text,) = history(tmp_path / "labels", place, label_rules={"board/**": ["board"]})
    assert "salary" not in text
    assert "retrieve" not in text
    assert "CC0" not in text
    assert "Close the valve" in text
    assert "\nFiles left out: 6\n" in text
    (text,) = history(tmp_path / "same", place, labels=["board"], uses=["retrieve"], retain_until="2998-01-01")
    assert text.count("salary") == 3


def test_commits_do_not_bring_back_what_was_erased(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", {"pay.txt": SECRET, "valve.txt": OPEN})
    (text,) = history(tmp_path / "out", place, frozenset([hashlib.sha256(SECRET.encode()).hexdigest()]))
    assert "salary" not in text
    assert "Close the valve" in text


def test_a_snapshot_gives_the_same_texts_of_commits(tmp_path: Path) -> None:
    place = repository(tmp_path / "repo", {"hr/pay.txt": SECRET, "valve.txt": OPEN})
    config = {"path": str(place), "history": True, "exclude": ["hr"]}
    made = run_step(INGEST_GIT, tmp_path / "made", config)
    assert INGEST_GIT.restore_sources is not None
    outputs = {role: asset.directory for role, asset in made.outputs.items()}
    (tmp_path / "laid").mkdir()
    restored = INGEST_GIT.restore_sources(IngestGitConfig.model_validate(config), outputs, tmp_path / "laid")
    again = run_step(INGEST_GIT, tmp_path / "again", restored.model_dump(mode="json"))
    assert rows(again.outputs["documents"].directory) == rows(outputs["documents"])


def test_terms_are_stricter_if_they_are_in_anything() -> None:
    def rights(labels: str = "", uses: str = "ert", until: str = "") -> DocumentRights:
        return DocumentRights("", "", list(labels), list(uses), until)

    assert not rights().stricter_than(rights())
    assert not rights("a", "ert", "2030-01-01").stricter_than(rights("ab", "er", "2029-01-01"))
    for stricter in (rights("a"), rights("", "er"), rights("", "ert", "2030-01-01")):
        assert stricter.stricter_than(rights())
    assert rights("", "ert", "2029-01-01").stricter_than(rights("", "ert", "2030-01-01"))
