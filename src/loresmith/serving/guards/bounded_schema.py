"""JSON held to a schema that anybody may have written: nothing is fetched for it, and looking comes to an end.

`jsonschema` does the work, but for what a schema could do harm with: references lead nowhere but into the schema
itself; patterns are matched by llguidance, which follows an expression byte by byte and never tries again, as for the
engines; `uniqueItems` compares nothing twice; and at every word of a schema that is followed it is looked whether
there is still time. Where that is over, nothing was found out, and whoever asked has to refuse. So it is in all of a
schema, whatever draft a part of it says it is of.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urldefrag, urljoin

from loresmith.errors import UserError
from loresmith.serving.subschemas import subschemas

SECONDS = 0.5
"""Of a processor, for one look. A thousand objects of ten fields take a fifth of it."""

LONGEST_PATTERN = 10_000
"""Characters, as of the request's `guided_regex`."""

_limit = threading.local()


def time_limit() -> float:
    """By when what begins now has to end, in this thread's seconds of a processor."""
    return time.thread_time() + SECONDS


class TooMuchWork(Exception):
    """Holding JSON to a schema takes too long."""


class BoundedSchema:
    """A schema (draft 2020-12) that values can be held to.

    Args:
        ends: by when it has to be read, as `time_limit` says; None: this schema alone has all the time.

    Raises:
        UserError: it refers to something outside of it, has a pattern that cannot be matched in linear time, combines
            words that are not followed together, or is too large.
    """

    def __init__(self, schema: Mapping[str, Any], ends: float | None = None) -> None:
        self._schema = dict(schema)
        _limit.ends = time_limit() if ends is None else ends
        own = _own_addresses(self._schema)
        words: set[str] = set()
        try:
            for part in subschemas(self._schema):
                _go_on()
                words |= part.keys()
                _require_own(part, own)
                _require_patterns(part)
        except TooMuchWork:
            raise UserError("the schema is too large to hold anything to it") from None
        if {"unevaluatedProperties", "patternProperties"} <= words:
            message = "a schema with both unevaluatedProperties and patternProperties cannot be followed here"
            raise UserError(message, hint="say additionalProperties")

    def broken_rule(self, value: Any) -> str | None:
        """Where in the schema the first rule stands that a value breaks; None where it keeps to all.

        Raises:
            TooMuchWork: it takes too long to say.
            Exception: it is no schema after all.
        """
        from referencing import Registry

        looking = _validator()(self._schema, registry=Registry())  # the first time, that takes long
        _limit.ends = time_limit()
        error = next(iter(looking.iter_errors(value)), None)
        return None if error is None else "/".join(str(part) for part in error.absolute_schema_path)


class _Pattern:
    """A regular expression that is looked for in linear time, with the meaning that it has in JSON Schema.

    Raises:
        UserError: llguidance does not know what is in it, such as looking ahead.
    """

    def __init__(self, written: str) -> None:
        from llguidance import LLMatcher

        if len(written) > LONGEST_PATTERN:
            raise UserError(f"a pattern in a schema has more than {LONGEST_PATTERN} characters")
        try:
            grammar = LLMatcher.grammar_from_json_schema(json.dumps({"type": "string", "pattern": written}))
            self._matcher = LLMatcher(_bytes(), grammar, log_level=0)
        except ValueError as error:
            raise _unknown_pattern(written, str(error)) from None
        if self._matcher.is_error():
            raise _unknown_pattern(written, self._matcher.get_error())

    def is_in(self, text: str) -> bool:
        """Whether a text has it.

        Raises:
            TooMuchWork: more would have to be remembered than there is room for.
        """
        matcher = self._matcher.deep_copy()
        # In JSON it is a plain character, and llguidance wants it escaped.
        said = list(json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode())
        taken = matcher.try_consume_tokens(said)
        if matcher.is_error():
            raise TooMuchWork
        return bool(taken == len(said) and matcher.is_accepting())


_pattern = lru_cache(maxsize=128)(_Pattern)


@cache
def _bytes() -> Any:
    """A vocabulary of single bytes, whose token ids are the bytes."""
    from llguidance import LLTokenizer

    return LLTokenizer("byte", slices=[])


def _unknown_pattern(written: str, why: str) -> UserError:
    short = written if len(written) <= 60 else f"{written[:60]}..."
    return UserError(
        f"the pattern {short!r} in a schema cannot be matched here: {why.strip().splitlines()[-1]}",
        hint="write it without looking ahead or behind, and without back references",
    )


def _go_on() -> None:
    if time.thread_time() > _limit.ends:
        raise TooMuchWork


def _own_addresses(schema: Mapping[str, Any]) -> frozenset[str]:
    """The addresses that a schema and those in it give themselves."""
    root = str(schema.get("$id", ""))
    named = {str(part["$id"]) for part in subschemas(schema) if "$id" in part}
    return frozenset({"", root} | {_address(root, one) for one in named})


def _address(root: str, reference: str) -> str:
    """Where a reference leads, without the place in it."""
    try:
        return urldefrag(urljoin(root, reference)).url
    except ValueError:
        return reference


def _require_own(part: Mapping[str, Any], own: frozenset[str]) -> None:
    for word in ("$ref", "$dynamicRef"):
        found = part.get(word)
        if isinstance(found, str) and not found.startswith("#") and not _leads_into(found, own):
            message = f"a schema's {word} leads out of it: {found[:100]!r}; nothing is fetched for a schema"
            raise UserError(message, hint='put what it names under "$defs", and refer to "#/$defs/..."')


def _leads_into(reference: str, own: frozenset[str]) -> bool:
    return any(_address(root, reference) in own - {""} for root in own)


def _require_patterns(part: Mapping[str, Any]) -> None:
    wanted = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
    if isinstance(part.get("patternProperties"), Mapping):
        wanted += part["patternProperties"]
    for written in wanted:
        _go_on()
        _pattern(written)


@cache
def _validator() -> Any:
    """The validator of `jsonschema` with what is safe in place of what is not."""
    from jsonschema import Draft202012Validator, validators  # type: ignore[import-untyped, unused-ignore]

    usual = Draft202012Validator
    own = {
        "pattern": _keep_to_pattern,
        "patternProperties": _keep_to_named,
        "additionalProperties": _keep_to_additional,
        "uniqueItems": _keep_to_unique,
    }
    words = {word: _timed(keep) for word, keep in {**usual.VALIDATORS, **own}.items()}

    def is_boolean(_: Any, value: Any) -> bool:
        _go_on()  # what looks for evaluated properties goes through schemas by itself, and asks this of each
        return isinstance(value, bool)

    types = usual.TYPE_CHECKER.redefine("boolean", is_boolean)
    found = validators.extend(usual, words, type_checker=types)
    evolve = found.evolve

    def evolve_as_it_is(validator: Any, **changes: Any) -> Any:
        # By `$schema` it would go on with another validator, and with none of the above.
        schema = changes.get("schema", validator.schema)
        if isinstance(schema, Mapping) and "$schema" in schema:
            changes["schema"] = {word: said for word, said in schema.items() if word != "$schema"}
        return evolve(validator, **changes)

    found.evolve = evolve_as_it_is
    return found


def _timed(keep: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    def timed(validator: Any, said: Any, value: Any, schema: Any) -> Iterator[Any]:
        _go_on()
        yield from keep(validator, said, value, schema) or ()

    return timed


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)


def _is_in(written: str, text: str) -> bool:
    _go_on()
    return _pattern(written).is_in(text)


def _keep_to_pattern(_: Any, written: str, value: Any, __: Any) -> Iterator[Any]:
    if isinstance(value, str) and not _is_in(written, value):
        yield _error("does not match")


def _keep_to_named(validator: Any, named: Mapping[str, Any], value: Any, _: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for written, schema in named.items():
            for key, one in value.items():
                if _is_in(written, key):
                    yield from validator.descend(one, schema, path=key, schema_path=written)


def _keep_to_additional(validator: Any, said: Any, value: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, one in value.items():
        _go_on()
        if key not in known and not any(_is_in(written, key) for written in patterns):
            yield from validator.descend(one, said, path=key)


def _keep_to_unique(_: Any, said: Any, value: Any, __: Any) -> Iterator[Any]:
    if said and isinstance(value, list) and len({_as_key(one) for one in value}) < len(value):
        yield _error("are not all different")


def _as_key(value: Any) -> Hashable:
    """What is the same for values that JSON Schema takes for the same: 1 and 1.0, but not 1 and true."""
    if isinstance(value, dict):
        return dict, frozenset((key, _as_key(one)) for key, one in value.items())
    if isinstance(value, list):
        return list, tuple(map(_as_key, value))
    return isinstance(value, bool), value
