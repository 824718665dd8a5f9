"""Whose the documents of a corpus are, and what may be done with them, is shown with the corpus."""

from __future__ import annotations

from tests.cli.conftest import CommandLine
from tests.data.duplicate_corpora import prose
from tests.data.tables import write_files

RECIPE = """\
name: notes
steps:
  files: {step: ingest, path: notes, licence: MIT}
  corpus: {step: curate, documents: files, validation_share: 0, test_share: 0}
"""


def test_a_person_and_a_program_see_the_rights_of_a_corpus(fresh: CommandLine) -> None:
    rights = "owner: '[press]'\nlicence: CC-BY-4.0\nlabels: [internal]\nretain_until: 2999-12-31\nuses: [train]\n"
    files = {f"notes/{n}.txt": prose(n) for n in range(3)}
    write_files(fresh.folder, {**files, "notes/press/3.txt": prose(3), "notes/press/.rights.yaml": rights})
    done = fresh("run", fresh.write("recipe.yaml", RECIPE))
    assert done.status == 0, done.err
    page = fresh("assets", "show", "notes/corpus").out
    lines = [line.split() for line in page.splitlines()]
    for begins in (["licence", "MIT", "3"], ["owner", "not", "stated", "3"], ["owner", "[press]", "1"]):
        assert any(line[: len(begins)] == begins for line in lines), begins
    assert any(line[:3] == ["may", "train", "4"] for line in lines)
    assert any(line[:3] == ["label", "internal", "1"] for line in lines)
    assert ["metadata.first_retain_until", "2999-12-31"] in lines
    assert "metadata.rights" not in page
    facts = fresh("assets", "show", "notes/corpus", "--json").json["asset"]["metadata"]
    assert facts["rights"]["licences"]["CC-BY-4.0"] == {"documents": 1, "bytes": len(prose(3).encode())}
    assert facts["first_retain_until"] == "2999-12-31"
