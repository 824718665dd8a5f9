"""A disk that is full is said in one sentence and harms nothing, and the next start goes on once there is space."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.engine.measured import generate_lines

STEPS = {
    "files": "{step: ingest, path: FILES, include: ['*.jsonl']}",
    "one": "{step: curate, documents: files, profile: none, minimum_bytes: 1, drop_repeated: [line]}",
    "mixed": "{step: mix, corpora: [one], sources: {long: {where: bytes > 320, epochs_cap: 3}, rest: {epochs_cap: 2}}}",
}
SCRIPT = """
import json, subprocess, sys
from loresmith import Workspace
from loresmith.errors import LoresmithError

folder, recipes, small = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3] == "small"

def space(free):
    if small:
        said = subprocess.run(["df", "--output=used", "-k", folder], capture_output=True, text=True).stdout
        used = int(said.split()[1])
        size = f"size={used + free}k"
        subprocess.run(["mount", "-o", f"remount,{size}", folder], check=True)

if small:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", folder], check=True)
said = []
with Workspace.init(folder) as workspace:
    for name, free in recipes:
        if small and free:
            space(free)
            try:
                workspace.run(name)
                said.append("there was room")
            except LoresmithError as error:
                said.append(str(error))
            said.append([workspace.verify().problems, [step.state for step in workspace.plan(name).steps]])
            space(400_000)
        workspace.run(name)
    said.append({step: workspace.assets[f"full/{step}"].asset.digest for step in ("one", "mixed")})
print(json.dumps(said))
"""


@pytest.mark.slow
def test_a_full_disk_is_said_in_one_sentence_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """A real full disk: a file system in a mount namespace of its own, which is given more space later."""
    generate_lines(tmp_path / "files", 12_000)
    recipes: list[tuple[str, int]] = []
    for count, free in ((1, 0), (2, 2000), (3, 2500)):
        recipe = tmp_path / f"recipe-{count}.yaml"
        steps = [f"  {name}: {text.replace('FILES', str(tmp_path / 'files'))}" for name, text in STEPS.items()][:count]
        recipe.write_text("\n".join(["name: full", "steps:", *steps, "compute: {threads: 2, memory: 1GB}", ""]))
        recipes.append((str(recipe), free))
    found = []
    for size, program in (("small", ["unshare", "-rm"]), ("large", [])):
        (tmp_path / size).mkdir()
        command = [*program, sys.executable, "-c", SCRIPT, str(tmp_path / size), json.dumps(recipes), size]
        result = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert result.returncode == 0, result.stderr[-3000:]
        assert "Traceback" not in result.stderr
        found.append(json.loads(result.stdout.splitlines()[-1]))
    curated, after_curated, mixed, after_mixed, digests = found[0]
    for said in (curated, mixed):
        assert "the disk is full" in said
        assert said.count("\n") <= 1
    assert after_curated == [[], ["cached", "to do"]]
    assert after_mixed == [[], ["cached", "cached", "to do"]]
    assert digests == found[1][0]
