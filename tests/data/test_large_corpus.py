"""A corpus larger than the memory it may take: from files to a corpus under a bound, whatever the size."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

GIGABYTE = 10**9
SIZE = 3 * GIGABYTE
RESIDENT = 2 * GIGABYTE

RECIPE = """
name: large
steps:
  files: {step: ingest, path: FILES, include: ['*.jsonl']}
  corpus: {step: curate, documents: files, profile: none, drop_near_duplicates: true, drop_repeated: [paragraph]}
compute: {threads: 2, memory: 1500MB}
"""


def write_lines(folder: Path, size: int) -> int:
    """JSONL files of about so many bytes in all; every tenth document says nearly the same as one before it. How many
    documents there are."""
    folder.mkdir()
    draw = random.Random(0)
    words = [f"{draw.choice('bdfgklmnprst')}{draw.choice('aeiou')}{number:x}" for number in range(20_000)]
    documents = written = 0
    kept: list[list[str]] = []
    while written < size:
        with (folder / f"{documents:08}.jsonl").open("w") as file:
            for _ in range(8000):
                text = draw.choices(words, k=1000)
                if documents % 10 == 9:
                    text = [*draw.choice(kept)]
                    text[draw.randrange(len(text))] = "other"
                elif len(kept) < 2000:
                    kept.append(text)
                written += file.write(json.dumps({"text": " ".join(text)}) + "\n")
                documents += 1
    return documents


def most_resident(process: subprocess.Popen[bytes]) -> Iterator[int]:
    """Bytes of memory that a process and all below it have to themselves or share, while it runs."""
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for each in [root, *root.children(recursive=True)]:
            try:
                total += each.memory_full_info().pss
            except psutil.Error:
                continue
        yield total
        time.sleep(0.5)


@pytest.mark.slow
def test_three_gigabytes_are_made_a_corpus_within_two(tmp_path: Path) -> None:
    documents = write_lines(tmp_path / "files", SIZE)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.replace("FILES", str(tmp_path / "files")))
    program = [sys.executable, "-m", "loresmith"]
    subprocess.run([*program, "init", str(tmp_path / "workspace"), "--bare"], check=True, stdout=subprocess.DEVNULL)
    run = [*program, "run", str(recipe), "--workspace", str(tmp_path / "workspace"), "--json"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(run, stdout=out, stderr=subprocess.STDOUT)
        most = max(most_resident(process))
    assert process.returncode == 0, (tmp_path / "out").read_text()[-3000:]
    print(f"{documents} documents, at most {most / 1e9:.2f} GB resident")
    assert most < RESIDENT
