"""The pictures of a corpus can be looked at, and its documents are shown without them."""

from __future__ import annotations

import io

import PIL.Image

from tests.cli.conftest import CommandLine
from tests.data.duplicate_corpora import prose
from tests.data.tables import write_files

RECIPE = """\
name: notes
steps:
  files: {step: ingest, path: notes}
  corpus: {step: curate, documents: files, validation_share: 0, test_share: 0}
"""


def test_pictures_are_shown_apart_from_the_documents(fresh: CommandLine) -> None:
    picture = io.BytesIO()
    PIL.Image.new("RGB", (60, 40)).save(picture, "PNG")
    write_files(fresh.folder, {"notes/0.txt": prose(0), "notes/1.txt": prose(1), "notes/plate.png": picture.getvalue()})
    done = fresh("run", fresh.write("recipe.yaml", RECIPE))
    assert done.status == 0, done.err
    shown = fresh("data", "show", "notes/corpus", "--media").out
    assert f"plate.png, bytes 0 to {len(picture.getvalue())}\n" in shown
    assert '"height":40' in shown
    assert shown.endswith("1 shown; 1 in all\n")
    wide = fresh("data", "show", "notes/corpus", "--media", "--where", "metadata.width > 60", "--json").json
    assert (wide["in_all"], wide["matching"]) == (1, 0)
    assert [row["path"] for row in fresh("data", "show", "notes/corpus", "--json").json["rows"]] == ["0.txt", "1.txt"]
    assert "kept: media (image/png)" in fresh("trace", "document", "plate.png").out
    refused = fresh("data", "show", "notes/files.documents", "--media")
    assert refused.status == 2
    assert "no media documents" in refused.err
    erased = fresh("data", "erase", "--path", "plate.png", "--because", "it was asked for")
    assert erased.status == 0, erased.err
    assert fresh("data", "show", "notes/corpus", "--media").status != 0
    assert fresh("run", "recipe.yaml").status == 0
    assert fresh("data", "show", "notes/corpus", "--limit", "0").out == "0 shown; 2 in all\n"
    assert "no media documents" in fresh("data", "show", "notes/corpus", "--media").err
