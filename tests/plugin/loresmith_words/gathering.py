"""Steps that take several assets at once, and a standing check."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from loresmith.factory.step import (
    Check,
    Input,
    InputAsset,
    Made,
    Output,
    Result,
    Step,
    StepConfig,
    StepContext,
    several,
)


class NoSettings(StepConfig):
    """No settings."""


class WriteBundle(StepConfig):
    """Settings of `write-bundle`."""

    word: str = Field(description="The word in it.")


def _write_bundle(context: StepContext, config: WriteBundle, _inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("bundle")
    (folder / "word.txt").write_text(config.word)
    return Result({"bundle": Made(folder)})


def _gather(context: StepContext, _config: NoSettings, inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("text")
    texts = several(inputs, "texts")
    lines = [f"{name}: {asset.directory.joinpath('text.txt').read_text()}" for name, asset in texts.items()]
    (folder / "text.txt").write_text("; ".join(lines))
    return Result({"text": Made(folder)})


def _holding(inputs: Mapping[str, InputAsset], role: str, file: str) -> dict[str, str]:
    """What stands in that file, of each asset that has one: corpora and bundles of other makers pass by unread."""
    paths = {name: asset.directory / file for name, asset in several(inputs, role).items()}
    return {name: path.read_text() for name, path in paths.items() if path.exists()}


def _look_for_words(context: StepContext, _config: NoSettings, inputs: Mapping[str, InputAsset]) -> Result:
    folder = context.output("report")
    texts = _holding(inputs, "texts", "text.txt")
    found, checks = [], []
    for name, word in _holding(inputs, "bundles", "word.txt").items():
        holders = sorted(text for text in texts.values() if word in text)
        found += [f"{word} in {text}" for text in holders]
        checks.append(Check(f"bundles.{name}", "words", not holders, {"found": holders}))
    (folder / "found.txt").write_text("; ".join(sorted(found)))
    return Result({"report": Made(folder)}, checks=tuple(checks))


WRITE_BUNDLE = Step(
    name="write-bundle",
    version=1,
    summary="Write a bundle with a word in it.",
    config=WriteBundle,
    inputs={},
    outputs={"bundle": Output("bundle", "the word")},
    run=_write_bundle,
)
GATHER = Step(
    name="gather",
    version=1,
    summary="Put texts together.",
    config=NoSettings,
    inputs={"texts": Input("corpus", "the texts", many=True)},
    outputs={"text": Output("dataset", "all of them")},
    run=_gather,
)
GATHER_ALL = Step(
    name="gather-all",
    version=1,
    summary="Put together all texts that there are.",
    config=NoSettings,
    inputs={"texts": Input("corpus", "the texts", many=True, every=True)},
    outputs={"text": Output("dataset", "all of them")},
    run=_gather,
)
LOOK_FOR_WORDS = Step(
    name="look-for-words",
    version=1,
    summary="Look for the words of bundles in texts.",
    config=NoSettings,
    inputs={
        "texts": Input("corpus", "the texts", many=True, every=True),
        "bundles": Input("bundle", "the words", many=True, every=True),
    },
    outputs={"report": Output("report", "what was found where")},
    run=_look_for_words,
)
