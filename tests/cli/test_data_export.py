"""`data export` says what it wrote, and that labels go with it."""

from __future__ import annotations

import json
from pathlib import Path

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.data.written_corpora import corpus_of, document


def test_labels_go_with_what_is_exported(cli: CommandLine, tmp_path: Path) -> None:
    documents = [document("a", "one", labels=["restricted"]), document("b", "three"), document("c", "x", split="test")]
    with Workspace.open(cli.folder) as workspace:
        folder = corpus_of(documents, tmp_path / "corpus")
        digest = workspace.assets.add("corpus", folder, labels=("restricted",)).digest
    target = tmp_path / "out.jsonl.zst"
    done = cli("data", "export", digest[:8], "--split", "train", "--to", target)
    assert done.status == 0
    assert f"2 documents of {digest[:12]}, 8 B of text, in {target}" in done.out
    assert "labels: restricted (1 documents). They hold for these files, too" in done.out
    said = json.loads((tmp_path / "out.jsonl.zst.manifest.json").read_text(encoding="utf-8"))
    assert (said["asset"], said["labels"], said["split"], said["rows"]) == (digest, ["restricted"], "train", 2)
    again = cli("data", "export", digest, "--to", target)
    assert (again.status, f"{target}: it is there already" in again.err) == (2, True)
    nowhere = cli("data", "export", digest, "--to", "/proc/out.parquet")
    assert (nowhere.status, nowhere.err.startswith("error: /proc/out.parquet: ")) == (1, True)
    wrong = cli("data", "export", digest, "--to", tmp_path / "x", "--where", "laguage = 'de'")
    assert "--where, character 1: unknown column 'laguage'; did you mean 'language'?" in wrong.err
