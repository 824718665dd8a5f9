"""A mixture in a recipe, and where a person sees what it came to."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith import Workspace
from tests.cli.conftest import CommandLine
from tests.data.written_corpora import corpus_of, document

RECIPE = """\
name: mixing
steps:
  mixed:
    step: mix
    corpora: {{manuals: {0}, tickets: {1}}}
    sources:
      manuals: {{weight: 3}}
      tickets: {{weight: 1, epochs_cap: 2, where: "split = 'train' OR path LIKE 'tickets%'"}}
"""


def test_a_person_sees_the_shares_of_a_mixture(fresh: CommandLine, tmp_path: Path) -> None:
    corpora = []
    with Workspace.open(fresh.folder) as workspace:
        for name, count in (("manuals", 19), ("tickets", 5)):
            documents = [
                document(f"{name}{n}", f"{name} {n:02d} " + "word " * 20, split="test" if n == 0 else "train")
                for n in range(count)
            ]
            corpora.append(workspace.assets.add("corpus", corpus_of(documents, tmp_path / name)).digest)
    recipe = fresh.write("recipe.yaml", RECIPE.format(*corpora))
    done = fresh("run", recipe)
    assert done.status == 0, done.err
    shown = fresh("assets", "show", "mixing/mixed").out
    for page in (shown, fresh("summary").out):
        lines = [line.split() for line in page.splitlines() if line.startswith(("manuals", "tickets"))]
        assert [line[:4] for line in lines] == [
            ["manuals", "81.8%", "75.0%", "75.0%"],
            ["tickets", "18.2%", "25.0%", "25.0%"],
        ]
        assert [line[4:7] for line in lines] == [["1", "of", "1"], ["1.5", "of", "2"]]
    assert "metadata.sources" not in shown
    assert "from corpora.manuals" in shown
    assert fresh("data", "show", "mixing/mixed", "--where", "repeat = 1", "--json").json["matching"] == 2
    [mixture] = fresh("summary", "--json").json["mixtures"]
    assert [source["name"] for source in mixture["sources"]] == ["manuals", "tickets"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("sources.x={weight: 1}", "it does not say which corpus 'x' is in\n  one of manuals, tickets"),
        ("sources.x={corpus: manuls}", "sources.x.corpus: unknown corpus 'manuls'; did you mean 'manuals'?"),
        ("sources.x={corpus: manuals}", "sources: manuals and x both take all that is left of manuals"),
        ("sources.tickets.where=bytes >", "sources.tickets.where, character 8: a column or a constant"),
        ("curriculum={stages: [{share: 1, weights: {ticket: 1}}]}", "unknown source 'ticket'; did you mean 'tickets'?"),
    ],
)
def test_a_mistake_is_told_before_the_corpora_are_made(
    fresh: CommandLine, tmp_path: Path, setting: str, said: str
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "pump.txt").write_text("Check the valve of the pump.")
    steps = "".join(
        f"  {name}-files: {{step: ingest, path: {tmp_path / 'documents'}}}\n"
        f"  {name}: {{step: curate, documents: {name}-files}}\n"
        for name in ("manuals", "tickets")
    )
    recipe = fresh.write("recipe.yaml", RECIPE.format("manuals", "tickets") + steps)
    refused = fresh("plan", recipe, "--set", f"steps.mixed.{setting}")
    assert refused.status == 2
    assert refused.err.startswith(f"error: {recipe}:3: steps.mixed.")
    assert said in refused.err
