"""Where a text is there several times, nobody may do more with what stays than each of them allows."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loresmith.data.curation.terms import Terms
from loresmith.data.steps import CURATE
from loresmith.errors import UserError
from tests.data.duplicate_corpora import edited, prose
from tests.data.tables import ingest, rows, write_files
from tests.data.test_curate_edits import account, curated, documents, texts
from tests.step_context import as_input, run_step

OLD = "retain_until: 2020-01-01\n"
ALL = ["evaluate", "retrieve", "train"]
SIDECARS = {
    "a/.rights.yaml": "retain_until: 2999-06-01\n",
    "b/.rights.yaml": "uses: [train, retrieve]\nretain_until: 2999-01-01\nlabels: [internal]\n",
    "c/.rights.yaml": "uses: [train, evaluate]\nlabels: [hr]\n",
}


def terms(result: Any) -> dict[str, tuple[list[str], list[str], str]]:
    found = rows(result.outputs["corpus"].directory)
    return {row["path"]: (row["labels"], row["uses"], row["retain_until"]) for row in found}


@pytest.mark.parametrize("how", ["copies", "copies without a passage", "near", "contained"])
def test_what_stays_for_others_may_be_used_as_all_of_them_allow(tmp_path: Path, how: str) -> None:
    text = prose(1, 400)
    others = {
        "copies": (text, text),
        "copies without a passage": (text, text),
        "near": (edited(text, 1, 2)[:-1], edited(text, 2, 2)[:-1]),
        "contained": (text[: len(text) // 2], text[len(text) // 3 :]),
    }[how]
    files = {"a/1.txt": text, "b/1.txt": others[0], "c/1.txt": others[1], "d.txt": prose(2, 300)}
    settings: dict[str, dict[str, Any]] = {
        "copies": {},
        "copies without a passage": {"drop_repeated": ["paragraph"]},
        "near": {"drop_near_duplicates": True},
        "contained": {"containment": 0.9},
    }
    if "passage" in how:
        files = {path: f"{prose(3)}\n\n{body}" for path, body in files.items()}
    result = curated(tmp_path, documents(tmp_path, {**files, **SIDECARS}), **settings[how])
    found = terms(result)
    (kept,) = (path for path in found if path != "d.txt")
    assert found[kept] == (["hr", "internal"], ["train"], "2999-01-01")
    assert found["d.txt"] == ([], ALL, "")
    facts = result.outputs["corpus"].metadata
    assert facts["first_retain_until"] == "2999-01-01"
    assert facts["rights"]["uses"]["retrieve"]["documents"] == 1


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("cut", [[], ["paragraph"]])
def test_a_copy_of_what_may_not_be_used_is_not_used_either(tmp_path: Path, first: bool, cut: list[str]) -> None:
    secret = f"{prose(3)}\n\n{prose(1)}\n"
    folder = "a" if first else "z"
    files = {
        f"{folder}/secret.txt": secret,
        f"{folder}/.rights.yaml": "uses: [retrieve]\n",
        "m/copy.txt": secret,
        "m/again.txt": secret,
        "m/other.txt": f"{prose(3)}\n\n{prose(2)}\n",
        f"{folder}/empty.html": "<p></p>",
    }
    result = curated(tmp_path, documents(tmp_path, files), drop_repeated=cut)
    assert set(texts(result)) == {"m/other.txt"}
    assert account(result, "documents")["dropped", "not allowed: train"] == 3
    books = {row["path"]: row for row in rows(result.outputs["corpus"].directory, "books.parquet")}
    original = books[f"{folder}/secret.txt"]
    assert books["m/copy.txt"]["detail"] == f"so is {original['id']} {folder}/secret.txt, which says the same"
    searched = curated(tmp_path / "searched", documents(tmp_path / "again", files), use="retrieve")
    assert terms(searched)[min(f"{folder}/secret.txt", "m/again.txt")][1] == ["retrieve"]


def test_a_copy_of_what_had_to_go_goes_too(tmp_path: Path) -> None:
    files = {
        "a.txt": prose(1),
        "old/a.txt": prose(1),
        "b.txt": prose(2),
        "old/.rights.yaml": "retain_until: 2020-01-01",
    }
    made = ingest(write_files(tmp_path / "in", files), tmp_path).outputs["documents"]
    config = {"validation_share": 0, "test_share": 0, "as_of": "2026-11-22"}
    result = run_step(CURATE, tmp_path / "out", config, {"documents": as_input("documents", made)})
    assert set(texts(result)) == {"b.txt"}
    assert account(result, "documents")["dropped", "kept too long"] == 2
    (tmp_path / "in" / "b.txt").unlink()
    made = ingest(tmp_path / "in", tmp_path / "only").outputs["documents"]
    with pytest.raises(UserError, match="none of the 2 documents is left: 2 kept too long"):
        run_step(CURATE, tmp_path / "none", config, {"documents": as_input("documents", made)})


TERMS = st.builds(
    Terms,
    st.frozensets(st.sampled_from("xyz")),
    st.frozensets(st.sampled_from(ALL)),
    st.sampled_from(["", "2026-01-01", "2026-01-02", "2027-01-01"]),
)


@given(st.lists(TERMS, min_size=1, max_size=3))
def test_terms_come_together_the_same_in_any_order(several: list[Terms]) -> None:
    made = set()
    for some in permutations(several):
        together = some[0]
        for other in some[1:]:
            together = together.and_those_of(other)
        made.add(together)
    (found,) = made
    assert found.labels == frozenset.union(*(each.labels for each in several))
    for use in ALL:
        assert (use in found.uses) == all(use in each.uses for each in several)
    days = [each.retain_until for each in several if each.retain_until]
    assert found.retain_until == (min(days) if days else "")
