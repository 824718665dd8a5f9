"""Show what curation would do, before anything runs in full."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from loresmith.data.preview.previewed import StepPreview
from loresmith.errors import UserError, os_failure
from loresmith.nearest import unknown_name
from loresmith.sdk.call import Answer, Call, Emit, Request
from loresmith.sdk.calls.recipes import DEFAULT_RECIPE

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace


class DataPreviewRequest(Request):
    """What `data preview` takes."""

    recipe: Path = Field(
        default=DEFAULT_RECIPE, description="The recipe, a YAML file.", json_schema_extra={"positional": True}
    )
    settings: tuple[str, ...] = Field(
        default=(),
        description="Change a key of the recipe first, such as `steps.corpus.minimum_bytes=200`. May be given several "
        "times.",
        json_schema_extra={"option": "set", "metavar": "KEY=VALUE"},
    )
    step: str | None = Field(default=None, description="The `curate` step to try. Default: all that the recipe has.")
    documents: int = Field(
        default=300,
        ge=1,
        le=100_000,
        description="How many documents are looked at, at most, and at most 64 MiB of text; the same ones each time.",
    )
    files: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="How many files are read, at most, where no run has read them yet. Default: as many as documents.",
    )
    samples: int = Field(default=3, ge=0, le=100, description="How many examples are shown of what a rule does.")
    rule: str | None = Field(
        default=None,
        min_length=1,
        description="Only this rule, as the books name it: `manuals: words`, `words` in all profiles, `repair`, "
        "`privacy`.",
    )
    to: Path | None = Field(
        default=None,
        description="Write a page for people to this file as well, .html, which is not there yet.",
        json_schema_extra={"metavar": "FILE.html"},
    )


class DataPreviewAnswer(Answer):
    """What curation would do to a sample."""

    recipe: str = Field(description="The recipe's name.")
    steps: tuple[StepPreview, ...] = Field(description="Each `curate` step.")
    written: Path | None = Field(description="The page for people.")


def _preview(workspace: Workspace, request: DataPreviewRequest, _emit: Emit) -> DataPreviewAnswer:
    from loresmith.factory.recipe import read_recipe
    from loresmith.sdk.previewing import Previewer

    if request.to is not None:
        _require_new_page(request.to)
    recipe = read_recipe(request.recipe, request.settings)
    previewer = Previewer(workspace, recipe, request.documents, request.files, request.samples)
    steps = tuple(previewer.steps(request.step))
    if request.rule is not None:
        steps = only(request.rule, steps)
    if request.to is not None:
        from loresmith.data.preview.page import page

        try:
            request.to.write_text(page(recipe.name, {step.step: step for step in steps}), encoding="utf-8")
        except OSError as error:
            raise os_failure(error) from error
    return DataPreviewAnswer(recipe=recipe.name, steps=steps, written=request.to)


def _require_new_page(path: Path) -> None:
    if path.suffix != ".html":
        raise UserError("the page is HTML: a name that ends in .html", where=f"--to {path}")
    if path.exists():
        raise UserError("the file is there already, and nothing is overwritten", where=f"--to {path}")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent}", where=f"--to {path}")


def only(name: str, steps: tuple[StepPreview, ...]) -> tuple[StepPreview, ...]:
    """The previews with the rules and scores of one name only. Raises UserError if there is none of that name."""
    names = {known for step in steps for rule in step.rules for known in _called(rule.name)}
    for found in (score for step in steps for score in step.scores):
        names |= {found.score, f"{found.profile}: {found.score}"}
    if name not in names:
        raise UserError(unknown_name("rule", name, names), where="--rule")
    profile, _, score = name.rpartition(": ")
    return tuple(
        step.model_copy(
            update={
                "rules": tuple(rule for rule in step.rules if name in _called(rule.name)),
                "scores": tuple(
                    found for found in step.scores if found.score == score and profile in ("", found.profile)
                ),
            }
        )
        for step in steps
    )


def _called(rule: str) -> set[str]:
    """The names by which a rule may be asked for."""
    return {rule, *rule.split(": ")}


DATA_PREVIEW = Call(
    "data preview",
    "Show what each rule of curation would drop, change or merge, on a sample, before anything runs in full.",
    DataPreviewRequest,
    DataPreviewAnswer,
    _preview,
    example="data preview recipe.yaml --set steps.corpus.profile=web --rule words --to preview.html",
)
