"""The same code, and the same bytes: in processes of our own, on Daft, on Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.data.engine.curated import curated
from tests.data.engine.generated_corpus import generate


def said(module: str, *arguments: object) -> list[str]:
    """What a module of the tests prints in a process of its own, which leaves none behind."""
    command = [sys.executable, "-m", f"tests.data.engine.{module}", *map(str, arguments)]
    environment = {**os.environ, "TEST_THIS": str(arguments[-1])}
    lines = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    for process in psutil.process_iter():
        try:
            assert process.environ().get("TEST_THIS") != environment["TEST_THIS"], process.cmdline()
        except psutil.Error:
            continue
    return [line for line in lines if line.split(" ")[0] in ("squares", "made", "digest", "corpus", "here", "3")]


def test_daft_makes_the_corpus_that_our_own_joins_make(tmp_path: Path) -> None:
    documents = generate(tmp_path / "documents", 400_000, files=3)
    wanted = curated("native", documents, tmp_path / "native", threads=1)
    assert curated("daft", documents, tmp_path / "daft") == wanted


@pytest.mark.slow
def test_native_daft_and_ray_answer_and_make_the_same(tmp_path: Path) -> None:
    answers, corpora = [], []
    documents = generate(tmp_path / "documents", 3_000_000, files=4)
    for engine in ("native", "daft", "ray"):
        (tmp_path / engine).mkdir()
        answers.append(said("one_of_three", engine, tmp_path / engine))
        corpora.append(said("curated", engine, documents, tmp_path / f"{engine}-corpus"))
    assert len(answers[0]) == 5
    assert len(corpora[0]) == 1
    assert answers[1:] == answers[:1] * 2
    assert corpora[1:] == corpora[:1] * 2
