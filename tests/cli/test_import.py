"""`loresmith assets import`: the same assets as the step gives, or one clear message and nothing kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from loresmith import Workspace
from loresmith.errors import UserError
from tests.cli.conftest import CommandLine, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def test_a_base_comes_in_by_command_and_by_recipe_as_the_same_assets(folder: Path, fresh: CommandLine) -> None:
    answer = fresh(
        "assets", "import", folder, "--licence", "mit", "--label", "eu", "--label", "restricted", "--json"
    ).json
    again = fresh(
        "assets", "import", folder, "--licence", "mit", "--label", "restricted", "--label", "eu", "--json"
    ).json
    assert answer == again
    shutil.copytree(folder, fresh.folder / "elsewhere")
    recipe = "name: r\nsteps:\n  base: {step: import-model, path: elsewhere, licence: mit, labels: [restricted, eu]}\n"
    with Workspace.open(fresh.folder) as workspace:
        workspace.run(fresh.write("r.yaml", recipe))
        assert workspace.assets["r/base.model"].digest == answer["digest"]
        assert workspace.assets["r/base.tokenizer"].digest == answer["tokenizer"]
        assert workspace.assets["r/base.model"].asset.labels == ("eu", "restricted")
        said = {"licence": "mit", "labels": ["eu", "restricted"]}
        model, tokenizer = workspace.assets.import_model(fresh.folder / "elsewhere", **said)
        assert (model.digest, tokenizer.digest) == (answer["digest"], answer["tokenizer"])
        with pytest.raises(UserError, match="did you mean 'licence'"):
            workspace.assets.import_model(folder, license="mit")
    assert fresh("complete", answer["digest"][:12], "hello", "--max-new-tokens", "4").status == 0
    shown = fresh("assets", "import", folder, "--licence", "mit").out
    assert f"base: {fresh('assets', 'ls', '--kind', 'model', '--json').json['assets'][0]['digest'][:12]}" in shown


def test_a_recipe_gives_packing_and_training_each_its_part_of_a_base(folder: Path, fresh: CommandLine) -> None:
    shutil.copytree(folder, fresh.folder / "base")
    (fresh.folder / "documents").mkdir()
    (fresh.folder / "documents" / "a.txt").write_text("hello bye " * 50)
    fresh.write(
        "r.yaml",
        "name: r\nsteps:\n"
        "  base: {step: import-model, path: base}\n"
        "  files: {step: ingest, path: documents}\n"
        "  corpus: {step: curate, documents: files}\n"
        "  words: {step: extend-vocabulary, base: base, corpus: corpus}\n"
        "  tokens: {step: pack, corpus: corpus, tokenizer: words}\n"
        "  trained: {step: pretrain, tokens: tokens, base: words}\n",
    )
    with Workspace.open(fresh.folder) as workspace:
        steps = {step.name: step.inputs for step in workspace.plan(fresh.folder / "r.yaml").steps}
    assert (steps["tokens"]["tokenizer"].step, steps["tokens"]["tokenizer"].output) == ("words", "tokenizer")
    assert (steps["trained"]["base"].step, steps["trained"]["base"].output) == ("words", "model")
    assert (steps["words"]["base"].step, steps["words"]["base"].output) == ("base", "model")


REFUSED = {
    "nothing": ([], "comes from one place"),
    "a name of the hub as a path": (["acme/base"], "a name on the Hugging Face Hub goes into `hub`"),
    "a hub that is not allowed": (["--hub", "acme/base"], "nothing is looked up there unless it is allowed"),
    "two places": (["here", "--smollm2"], "path and smollm2 are given"),
    "a pickle": (["pytorch_model.bin"], "pickled weights are never loaded"),
    "another kind": (["here", "--kind", "corpus"], "'corpus'"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_imported_is_status_2_and_leaves_nothing(
    words: list[str], said: str, fresh: CommandLine
) -> None:
    (fresh.folder / "pytorch_model.bin").write_bytes(b"")
    done = fresh("assets", "import", *words)
    assert done.status == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert fresh("assets", "ls", "--json").json == {"assets": []}
    assert not list((fresh.folder / ".loresmith").glob("import-*"))


def test_a_base_that_turns_out_to_be_damaged_leaves_nothing(folder: Path, fresh: CommandLine) -> None:
    damaged = Path(shutil.copytree(folder, fresh.folder / "damaged"))
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps({**config, "intermediate_size": 24}))
    done = fresh("assets", "import", damaged)
    assert done.status == 2
    assert f"error: {damaged}: " in done.err
    assert "by config.json" in done.err
    assert fresh("assets", "ls", "--json").json == {"assets": []}
    assert not list((fresh.folder / ".loresmith").glob("import-*"))
