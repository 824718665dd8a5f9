"""The step `ingest-query`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from loresmith.data.steps.documents_made import OUTPUTS, PACKAGES, made
from loresmith.data.steps.reading_settings import RecordSettings, RightsSettings
from loresmith.data.url_secrets import VARIABLE, secret_in
from loresmith.errors import UserError
from loresmith.factory.step import Guess, InputAsset, Result, Step, StepConfig, StepContext

if TYPE_CHECKING:
    from loresmith.data.readers.record import Record, Refused

_KEPT = "rows://"
"""What the URL of rows begins with that were kept: what `loresmith reproduce` reads."""


class IngestQueryConfig(StepConfig, RightsSettings, RecordSettings):
    """The rows of a database's query, as documents."""

    url: str = Field(
        json_schema_extra={"location": True},
        description="The database, as SQLAlchemy has it: `postgresql+pg8000://ada:${DB_PASSWORD}@host/faults`. "
        "`${NAME}` is taken from the environment, and that is how a password is given. The file of a relative "
        "`sqlite:///faults.db` is looked for beside the recipe.",
    )
    query: str = Field(
        min_length=1,
        description="One SELECT with an ORDER BY: in another order the same rows would be another corpus.",
    )
    name: str = Field(
        default="query", pattern=r"^[\w.-]+$", description="What the paths of the documents begin with: `NAME#row-1`."
    )

    @field_validator("url")
    @classmethod
    def _no_password(cls, url: str) -> str:
        if secret := secret_in(url):
            raise ValueError(f"it has {secret} in it, and a recipe is kept; write ${{NAME}} and set that variable")
        return url


def _rows(config: IngestQueryConfig) -> Iterator[Record | Refused]:
    from loresmith.data.database_source import read_query
    from loresmith.data.query_ingest import read_kept_rows
    from loresmith.data.readers.record import ReadingRules

    if config.url.startswith(_KEPT):
        return read_kept_rows(Path(config.url.removeprefix(_KEPT)))
    rules = ReadingRules(text_field=config.text_field, template=config.template, labels_field=config.labels_field)
    return read_query(_with_variables(config.url), config.query, rules)


def _with_variables(url: str) -> str:
    missing = sorted({name for name in VARIABLE.findall(url) if name not in os.environ})
    if missing:
        raise UserError(f"the variable {missing[0]} is not set", where="url", hint=f"export {missing[0]}=...")
    return VARIABLE.sub(lambda match: os.environ[match[1]], url)


def _ingest_query(context: StepContext, config: IngestQueryConfig, _inputs: Mapping[str, InputAsset]) -> Result:
    from loresmith.data.query_ingest import ingest_rows

    source, documents = context.output("source"), context.output("documents")
    return made(
        context,
        source,
        documents,
        ingest_rows(_rows(config), config.name, config.rights(), source, documents, context, context.erased),
    )


def _fingerprint(config: IngestQueryConfig, erased: frozenset[str] = frozenset()) -> str:
    from loresmith.data.query_ingest import rows_digest

    return rows_digest(_rows(config))


def _restore_rows(config: IngestQueryConfig, outputs: Mapping[str, Path], _folder: Path) -> IngestQueryConfig:
    from loresmith.data.query_ingest import ROWS

    return config.model_copy(update={"url": f"{_KEPT}{outputs['source'] / 'files' / ROWS}"})


INGEST_QUERY = Step(
    name="ingest-query",
    version=3,
    summary="Read the rows of a database's query into documents, by a template.",
    config=IngestQueryConfig,
    inputs={},
    outputs=OUTPUTS,
    run=_ingest_query,
    fingerprint=_fingerprint,
    leaves_out_erased=True,
    restore_sources=_restore_rows,
    packages=(*PACKAGES, "sqlalchemy"),
    guess=lambda _config: Guess(seconds=10, peak_bytes=1 << 28, output_bytes=1 << 25),
)
