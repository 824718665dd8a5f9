"""A Pydantic model's refusals, said as a person needs them: file, line, key, what is wrong, the nearest known key."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.yaml_lines import YamlPath, where

Model = TypeVar("Model", bound=BaseModel)


def validate(
    model_class: type[Model],
    data: Any,
    lines: Mapping[YamlPath, int],
    source: str,
    path_prefix: YamlPath = (),
) -> Model:
    """Make a model of what a person wrote.

    Args:
        model_class: the Pydantic model of the settings.
        data: plain data, as `load_yaml` returns it (or a part of it).
        lines: line by path, as `load_yaml` returns it, for the whole file.
        source: what messages call the file.
        path_prefix: where in the file `data` stands, such as `("steps", "base")`.

    Raises:
        UserError: naming file, line and key of every mistake, in the file's order, with the nearest known key.
    """
    try:
        return model_class.model_validate(data)
    except ValidationError as error:
        raise explain(error, model_class, data, lines, source, path_prefix) from None


def explain(
    error: ValidationError,
    model_class: type[BaseModel],
    data: Any,
    lines: Mapping[YamlPath, int],
    source: str,
    path_prefix: YamlPath = (),
) -> UserError:
    """One UserError for everything that Pydantic found wrong; arguments as for `validate`."""
    found: dict[tuple[int, str, str], None] = {}
    for detail in error.errors(include_url=False):
        path = _written(path_prefix, detail["loc"], data)
        parent = _written(path_prefix, detail["loc"][:-1], data)
        line = next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 0)
        found[line, where(lines, source, path), _sentence(detail, path, parent, model_class)] = None
    (_, place, what), *others = sorted(found)
    return UserError("\n".join([what, *(f"{there}: {also}" for _, there, also in others)]), where=place)


def _written(prefix: YamlPath, location: YamlPath, data: Any) -> YamlPath:
    """The path of an error as a person wrote it: Pydantic's location names the members of a union too."""
    path = prefix
    for part in location:
        if part in data if isinstance(data, dict) else isinstance(data, list) and part in range(len(data)):
            path, data = (*path, part), data[part]
    return path


def _sentence(detail: ErrorDetails, path: YamlPath, parent: YamlPath, model_class: type[BaseModel]) -> str:
    kind, location = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        return unknown_name("key", str(location[-1]), known_keys(model_class, location[:-1]), dotted(parent))
    if kind == "missing":
        return f"the key {location[-1]!r} is missing{f' in {dotted(parent)}' if parent else ''}"
    at = f"{dotted(path)}: " if path else ""
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{at}should be a mapping of keys to values, got {_shown(detail['input'])}"
    if kind in ("value_error", "assertion_error"):  # a validator of the model's own, which says what it got
        return at + detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if kind.startswith("date_"):
        return f"{at}should be a day, written as YYYY-MM-DD, got {_shown(detail['input'])}"
    message = detail["msg"].removeprefix("Input ")
    return f"{at}{message[:1].lower()}{message[1:]}, got {_shown(detail['input'])}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(path: YamlPath) -> str:
    """A path as a person reads it: `steps.base.sizes[2]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def known_keys(model_class: type[BaseModel], location: YamlPath = ()) -> list[str]:
    """The keys that a model accepts at a location inside it, from the annotations."""
    annotations: list[Any] = [model_class]
    for part in location:
        below = [found for annotation in annotations for found in _inside(annotation, part)]
        annotations = below or annotations  # a member of a union is in the location and not in the annotations
    return sorted({key for annotation in annotations for model in _models(annotation) for key in _keys(model)})


def _keys(model: type[BaseModel]) -> Iterable[str]:
    return (info.alias or name for name, info in model.model_fields.items())


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, and what `Annotated` wraps."""
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    elif hasattr(annotation, "__metadata__"):
        yield from _alternatives(get_args(annotation)[0])
    else:
        yield annotation


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for member in _alternatives(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member


def _inside(annotation: Any, part: str | int) -> Iterator[Any]:
    """The annotations of what stands under a key or position."""
    for member in _alternatives(annotation):
        for model in _models(member):
            for name, info in model.model_fields.items():
                if part in (name, info.alias):
                    yield info.annotation
        arguments = get_args(member)
        if arguments and isinstance(part, int):
            yield arguments[0]
        elif len(arguments) == 2 and isinstance(part, str):
            yield arguments[1]
