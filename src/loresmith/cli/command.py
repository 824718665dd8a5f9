"""Makes a CLI command of a Call: its arguments, options, help and defaults are those of the request's model."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from loresmith.cli.screen import Screen, print_json
from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.sdk.call import AnyCall, Emit, Request

Render = Callable[[Any, Any, Screen], None]
"""Shows an answer to a person: answer, request, where to."""

Live = Callable[[Any], AbstractContextManager[Emit]]
"""Shows the events of long work to a person while it lasts; takes the request."""

WORKSPACE = click.Option(
    ["--workspace", "-w"],
    type=click.Path(path_type=Path),
    envvar="LORESMITH_WORKSPACE",
    show_envvar=True,
    help="A folder in the workspace. Default: the current folder.",
)
JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print the answer as one JSON object.")


def command(call: AnyCall, render: Render, live: Live | None = None) -> click.Command:
    """The command of a call.

    Args:
        render: prints the answer for a person; `--json` does without it.
        live: shows the events while the call is at work; without it they are not shown.
    """

    def run(workspace: Path | None, as_json: bool, **given: Any) -> int:
        request = make_request(call.request, given)
        showing = nullcontext(_unseen) if as_json or live is None else live(request)
        with showing as emit:
            answer = call.perform(workspace or Path(), request, emit)
        if as_json:
            print_json(answer)
        else:
            render(answer, request, Screen())
        return 1 if call.failed(answer) else 0

    return bare_command(call, run)


def bare_command(call: AnyCall, run: Callable[..., int]) -> click.Command:
    """A command with the parameters and the help of a call that does what `run` does with them."""
    text = call.summary if not call.example else f"{call.summary}\n\n\b\nExample:\n  loresmith {call.example}"
    return click.Command(
        call.name.split()[-1],
        params=[*parameters(call.request), WORKSPACE, JSON],
        callback=run,
        help=text,
        short_help=call.summary,
    )


def _unseen(_event: Mapping[str, Any]) -> None:
    pass


def parameters(request: type[Request]) -> Iterator[click.Parameter]:
    """The arguments and options of a request, in the order of its fields."""
    for name, field in request.model_fields.items():
        extra = extras(field)
        if extra.get("api_only"):
            continue
        yield _argument(name, field) if extra.get("positional") else _option(name, field, extra)


def extras(field: FieldInfo) -> Mapping[str, Any]:
    """What a field says for command lines; see `Request`."""
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def option_name(name: str, field: FieldInfo) -> str:
    """The long option of a field: `--max-new-tokens`."""
    return f"--{extras(field).get('option', name).replace('_', '-')}"


def _argument(name: str, field: FieldInfo) -> click.Argument:
    return click.Argument([name], type=_type(field.annotation), required=field.is_required(), help=described(field))


def _option(name: str, field: FieldInfo, extra: Mapping[str, Any]) -> click.Option:
    declared = [name, option_name(name, field)]
    if "short" in extra:
        declared.append(f"-{extra['short']}")
    annotation = _unwrapped(field.annotation)
    if annotation is bool:
        return click.Option(declared, is_flag=True, help=described(field))
    bare = {"is_flag": False, "flag_value": extra["bare"]} if "bare" in extra else {}
    return click.Option(
        declared,
        type=_type(field.annotation),
        required=field.is_required(),
        multiple=get_origin(annotation) is tuple,
        metavar=f"[{extra['metavar']}]" if bare else extra.get("metavar"),
        help=described(field),
        **bare,
    )


def described(field: FieldInfo) -> str:
    """The help of a parameter: the field's description, and its default."""
    default = field.get_default()
    if field.is_required() or default is None or default is False or default == ():
        return field.description or ""
    return f"{field.description}  [default: {default}]"


class Choice(click.Choice[str]):
    """A choice that names the nearest word."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return unknown_name("value", value, self.choices)


def _unwrapped(annotation: Any) -> Any:
    """The type inside `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(member for member in get_args(annotation) if member is not type(None))
    return annotation


def _type(annotation: Any) -> click.ParamType[Any] | type:
    inner = _unwrapped(annotation)
    if get_origin(inner) is tuple:
        inner = get_args(inner)[0]
    if get_origin(inner) is Literal:
        return Choice([str(choice) for choice in get_args(inner)])
    if inner is Path:
        return click.Path(path_type=Path)
    return inner if inner in (int, float) else str


def make_request(model: type[Request], given: Mapping[str, Any]) -> Any:
    """The request of what was given on the command line; for the rest the model knows its own defaults.

    Raises:
        UserError: naming the option or argument that is wrong.
    """
    said = {name: value for name, value in given.items() if value is not None and value != ()}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = str(wrong["loc"][0])
        field = model.model_fields[name]
        shown = name.upper() if extras(field).get("positional") else option_name(name, field)
        if wrong["type"] == "value_error":  # a validator of the request's own, which says what it got
            raise UserError(wrong["msg"].removeprefix("Value error, "), where=shown) from None
        message = wrong["msg"].removeprefix("Input ")
        raise UserError(f"{message[:1].lower()}{message[1:]}, got {wrong['input']!r}", where=shown) from None
