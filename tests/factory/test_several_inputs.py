"""Roles of many: what a recipe wires to them, what they take by themselves, and the checks that nobody asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from loresmith.errors import UserError

from .conftest import Factory

TEXTS = """
red: {step: write-text, text: red}
blue: {step: write-text, text: blue}
"""


def text_of(factory: Factory, reference: str, file: str = "text.txt") -> str:
    ledger = factory.workspace.ledger
    return (ledger.assets.directory(ledger.assets.find(reference).digest) / file).read_text()


def planned(factory: Factory, recipe: Path) -> dict[str, str]:
    return {step.name: step.state for step in factory.workspace.plan(recipe).steps}


@pytest.mark.parametrize(
    ("wired", "made"),
    [
        ("[blue, red]", "1: blue; 2: red"),
        ("{night: blue, day: red.text}", "day: red; night: blue"),
        ("red", "1: red"),
        (
            "[" + ", ".join(["red", "blue"] * 6) + "]",
            "; ".join(f"{n}: {'blue' if n % 2 == 0 else 'red'}" for n in range(1, 13)),
        ),
    ],
)
def test_a_recipe_wires_several_assets_to_one_role(factory: Factory, wired: str, made: str) -> None:
    factory.workspace.run(factory.recipe(f"{TEXTS.strip()}\nall: {{step: gather, texts: {wired}}}"))
    assert text_of(factory, "test/all") == made


@pytest.mark.parametrize(
    ("wired", "said"),
    [
        ("[]", "should be the names of steps or assets"),
        ("[[red]]", "should be the names of steps or assets"),
        ("{a.b: red}", "'a.b' is no name"),
        ("[red, gren]", "red"),
    ],
)
def test_what_cannot_be_wired_is_named_with_its_line(factory: Factory, wired: str, said: str) -> None:
    recipe = factory.recipe(f"{TEXTS.strip()}\nall: {{step: gather, texts: {wired}}}")
    with pytest.raises(UserError, match=said) as caught:
        factory.workspace.plan(recipe)
    assert str(recipe) in str(caught.value)
    with pytest.raises(UserError, match="'texts' is missing"):
        factory.workspace.plan(factory.recipe("all: {step: gather}"))


def test_a_role_of_every_asset_takes_what_is_registered_and_what_the_recipe_makes(factory: Factory) -> None:
    factory.workspace.run(factory.recipe("old: {step: write-text, text: old}", name="before"))
    recipe = factory.recipe(f"all: {{step: gather-all}}\n{TEXTS.strip()}")
    factory.workspace.run(recipe)
    assert text_of(factory, "test/all") == "1: red; 2: blue; 3: old"

    # What this recipe made is registered now, and is still the same input: nothing is to do.
    assert set(planned(factory, recipe).values()) == {"cached"}
    factory.workspace.run(factory.recipe("new: {step: write-text, text: new}", name="after"))
    assert planned(factory, recipe) == {"red": "cached", "blue": "cached", "all": "to do"}


def test_a_role_of_every_asset_takes_only_what_is_wired_where_anything_is(factory: Factory) -> None:
    factory.workspace.run(factory.recipe(f"{TEXTS.strip()}\nall: {{step: gather-all, texts: blue}}"))
    assert text_of(factory, "test/all") == "1: blue"


def test_a_standing_check_is_made_whichever_side_is_registered_later(factory: Factory) -> None:
    workspace = factory.workspace
    texts = factory.recipe(TEXTS, name="texts")
    assert set(planned(factory, texts)) == {"red", "blue"}, "there is nothing to check against"
    workspace.run(texts)
    bundles = factory.recipe("words: {step: write-bundle, word: red}", name="bundles")
    workspace.run(bundles)
    assert text_of(factory, "bundles/words-look-for-words", "found.txt") == "red in red"

    more = factory.recipe("more: {step: write-text, text: so red}", name="more")
    assert planned(factory, more) == {"more": "to do", "more-look-for-words": "to do"}
    workspace.run(more)
    assert text_of(factory, "more/more-look-for-words", "found.txt") == "red in so red"
    assert set(planned(factory, texts)) == {"red", "blue", "red-look-for-words", "blue-look-for-words"}

    bundle = workspace.ledger.assets.find("bundles/words")
    receipts = workspace.ledger.receipts.list(bundle.digest)
    assert [(receipt.kind, receipt.passed, receipt.evidence) for receipt in receipts] == [
        ("words", False, {"found": ["red"]}),
        ("words", False, {"found": ["so red"]}),
    ], "what is found of an input stays on record, and does not fail the step"
    for receipt in receipts:
        workspace.ledger.receipts.verify(receipt)


def test_a_recipe_that_makes_both_sides_checks_each_pair_once(factory: Factory) -> None:
    recipe = factory.recipe(f"{TEXTS.strip()}\nwords: {{step: write-bundle, word: red}}")
    factory.workspace.run(recipe)
    assert set(planned(factory, recipe)) == {"red", "blue", "words", "words-look-for-words"}
    assert text_of(factory, "test/words-look-for-words", "found.txt") == "red in red"
    assert set(planned(factory, recipe).values()) == {"cached"}
