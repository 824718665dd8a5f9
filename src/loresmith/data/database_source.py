"""A query against a database becomes records: whatever SQLAlchemy has a driver for.

The database is asked once, reads only, and its rows come in a stream. What the URL says of user and password is in
nothing that leaves this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from loresmith.data.readers.fields import FieldsToText
from loresmith.data.readers.record import ReadingRules, Record, Refused
from loresmith.errors import Failure, UserError

if TYPE_CHECKING:
    import sqlalchemy

_ROWS = 1000  # fetched at once
_ASIDE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/", re.DOTALL)
_READS = re.compile(r"\s*(?:select|with|values|table)\b", re.IGNORECASE)
_WRITES = re.compile(r"\b(?:insert|update|delete|merge|drop|alter|create|truncate|grant|into)\b", re.IGNORECASE)
_PARENTHESES = re.compile(r"\([^()]*\)")
_ORDERED = re.compile(r"\border\s+by\b", re.IGNORECASE)
_QUERY_STATE = "42"
"""The class of SQLSTATE for syntax errors, unknown names and missing permissions."""

_QUERY_FAULT = re.compile(
    r"no such (?:table|column|function|collation sequence): |ambiguous column name: |near \".*\": syntax error$"
    r"|unrecognized token: |incomplete input$|\d+\w\w ORDER BY term |wrong number of arguments to function |misuse of "
)
"""How SQLite begins what it says of a query."""

_OURS = {"postgresql": "pip install 'loresmith[postgres]' and write postgresql+pg8000://"}


def read_query(url: str, query: str, rules: ReadingRules) -> Iterator[Record | Refused]:
    """The rows of a query, as records with the anchor `#row-N`.

    A record's `bytes` are those of its text: a row has no place in a file. The query must say in which order its rows
    come, since otherwise a database may give them in another one each time; rows that its order does not tell apart
    may still change places.

    Args:
        url: as SQLAlchemy takes it, such as `postgresql+pg8000://user:password@host/database`.
        query: one statement that reads, with an ORDER BY.

    Raises:
        UserError: the URL or the query is none, the driver is missing, or the template or `labels_field` names
            no column.
        Failure: the database cannot be reached, or breaks off.
    """
    _require_ordered_reading(query)
    from sqlalchemy import exc

    address = _address(url)
    shown = _shown(address)
    engine = _engine(address, shown)
    number = 0
    try:
        with _connection(engine, address, shown) as connection:
            options = {"stream_results": True, "max_row_buffer": _ROWS, "no_parameters": True}
            if address.get_backend_name() == "postgresql":
                options["postgresql_readonly"] = True
            # Not text(), to which a colon is a parameter.
            result = connection.execution_options(**options).exec_driver_sql(query)
            names = _distinct(list(result.keys()))
            to_text = FieldsToText(rules, has_text_field=rules.text_field in names)
            misfit = to_text.misfit(names)
            if misfit:
                raise UserError(misfit[1], where=shown)
            for row in result.yield_per(_ROWS):
                number += 1
                record = to_text.record(dict(zip(names, row, strict=True)), 0, f"#row-{number}")
                yield replace(record, bytes=len(record.text.encode())) if isinstance(record, Record) else record
    except exc.SQLAlchemyError as error:
        said = _without_secrets(about_the_query(error), address)
        if number:
            raise Failure(f"the database broke off after row {number}: {said}", where=shown) from None
        raise UserError(f"the database refuses the query: {said}", where=shown) from None
    finally:
        engine.dispose()


def _require_ordered_reading(query: str) -> None:
    bare = _ASIDE.sub(" ", query).strip().rstrip(";")
    if ";" in bare or not _READS.match(bare) or _WRITES.search(bare):
        raise UserError("the query is not one that only reads", hint="write one SELECT, without what changes a table")
    inner = None
    while inner != bare:
        inner, bare = bare, _PARENTHESES.sub(" ", bare)
    if not _ORDERED.search(bare):
        raise UserError(
            "the query does not say in which order its rows come",
            hint="add ORDER BY with columns that no two rows have in common, such as the table's key",
        )


def _address(url: str) -> sqlalchemy.URL:
    import sqlalchemy
    from sqlalchemy import exc

    try:
        address = sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError):
        raise UserError(
            "this is no URL of a database",
            hint="it looks like `postgresql+pg8000://user:password@host/database` or `sqlite:////folder/file.db`",
        ) from None
    name = address.database or ""
    if address.get_backend_name() == "sqlite" and not name.startswith("file:"):
        if not Path(name).is_file():
            raise UserError(f"there is no database {name or 'in memory'}")
        # SQLite would make a file that is not there, and write a journal beside one that is.
        return address.set(database=f"file:{quote(name)}", query={"mode": "ro", "uri": "true"})
    return address


def _engine(address: sqlalchemy.URL, shown: str) -> sqlalchemy.Engine:
    import sqlalchemy
    from sqlalchemy import exc, pool

    try:
        return sqlalchemy.create_engine(address, poolclass=pool.NullPool, hide_parameters=True)
    except ImportError as error:
        driver = error.name or address.get_driver_name()
        ours = _OURS.get(address.get_backend_name(), "")
        hint = f"pip install {driver}{ours and f', or {ours}'}"
        raise UserError(f"the driver {driver!r} is not installed", where=shown, hint=hint) from None
    except (exc.SQLAlchemyError, TypeError, ValueError) as error:
        raise UserError(_without_secrets(str(error).split("\n", 1)[0], address), where=shown) from None


def _connection(engine: sqlalchemy.Engine, address: sqlalchemy.URL, shown: str) -> sqlalchemy.Connection:
    from sqlalchemy import exc

    try:
        return engine.connect()
    except (exc.SQLAlchemyError, OSError) as error:
        raise Failure(f"the database cannot be reached: {_said(error, address)}", where=shown) from None
    except (TypeError, ValueError) as error:  # the driver knows no such option
        raise UserError(_said(error, address), where=shown) from None


def _said(error: Exception, address: sqlalchemy.URL) -> str:
    message = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    return _without_secrets(message, address)


def about_the_query(error: Exception) -> str:
    """What a database says against a query, as far as it speaks of the query and not of what is in the tables.

    A conversion that fails quotes the value, and who reads the message may not be allowed to read that.
    """
    original = getattr(error, "orig", None) or error
    told = original.args[0] if original.args and isinstance(original.args[0], dict) else {}  # of pg8000
    state = str(told.get("C") or getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    message = str(told.get("M") or original).strip().split("\n", 1)[0]
    if state.startswith(_QUERY_STATE) or (not state and _QUERY_FAULT.match(message)):
        return message
    kind = " ".join(filter(None, (type(original).__name__, state)))
    return f"{kind}; what it says is left out, since it may quote a value: ask the database itself"


def _shown(address: sqlalchemy.URL) -> str:
    place = "/".join(filter(None, (address.host, (address.database or "").removeprefix("file:"))))
    return f"{address.get_backend_name()} {place}".strip()


def _without_secrets(message: str, address: sqlalchemy.URL) -> str:
    """A driver's message, without what the URL says of who asks."""
    values = [address.username, address.password, *map(str, address.query.values())]
    for secret in sorted(filter(None, values), key=len, reverse=True):
        for written in {str(secret), quote(str(secret), safe=""), repr(str(secret))[1:-1]}:
            message = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", "***", message)
    return message


def _distinct(names: list[str]) -> list[str]:
    """Column names, with a number where a query gives one twice."""
    found: dict[str, int] = {}
    distinct = []
    for name in names:
        found[name] = found.get(name, 0) + 1
        distinct.append(name if found[name] == 1 else f"{name}_{found[name]}")
    return distinct
