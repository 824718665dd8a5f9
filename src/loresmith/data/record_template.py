"""A template turns a record's fields into text: Jinja, without what could read, call, loop or grow beyond bounds.

A recipe's template is trusted with what the recipe reads, and not with the machine. It sees the fields of one record
and nothing else; it has `for`, `if`, `set` and `with`, a list of filters, and no way to define or load anything. Each
turn of a loop is counted, and whatever makes a text longer is measured before it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from loresmith.data.readers.complaint import complaint
from loresmith.data.template_fields import needed_fields
from loresmith.errors import UserError
from loresmith.nearest import nearest

LONGEST_TEXT = 16 << 20
"""In characters, of what a template may make of one record."""

_MOST_TURNS = 100_000
_LARGEST_NUMBER = 1 << 512
_FILTERS = (
    "abs capitalize count d default dictsort first float int items last length list lower map max min reject "
    "rejectattr reverse round select selectattr sort string striptags sum title tojson trim truncate unique upper "
    "wordcount"
)
_TESTS = (
    "boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan lower "
    "lt mapping ne none number odd sequence string true undefined upper"
)
_METHODS = {
    str: {"strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize", "split", "splitlines", "startswith"}
    | {"endswith", "removeprefix", "removesuffix", "isdigit", "isalpha", "find", "count"},
    dict: {"get", "items", "keys", "values"},
}
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.With, nodes.Name),
    *(nodes.Expr, nodes.Operand, nodes.Pair, nodes.Keyword),
)
_RECORD = "record"


class TemplateRecordError(Exception):
    """A template cannot be applied to one record."""


class RecordTemplate:
    """A compiled template.

    Args:
        source: the template. Fields are variables; `record` is all of them, for those whose names are none
            (`record['Fault code']`).

    Attributes:
        fields: those without which it cannot be applied.
        named: all that it names, with those for whose absence it provides.

    Raises:
        UserError: it is no template, or uses what templates of records have not; names the line.
    """

    def __init__(self, source: str) -> None:
        self._environment = _Environment()
        try:
            tree = self._environment.parse(source)
            _check(tree)
            self._source, self._lines = source, _lines(tree)
            self.fields = needed_fields(tree) - {_RECORD}
            self.named = _named(tree)
            _bound(tree)
            tree.set_environment(self._environment)
            code = self._environment.compile(tree)
        except jinja2.TemplateSyntaxError as error:
            raise UserError(
                f"the template is none: {error.message}",
                where=f"template, line {error.lineno}",
                hint="Jinja's syntax is {{ field }}, {% for x in list %}...{% endfor %}, {% if field %}...{% endif %}",
            ) from None
        except (RecursionError, MemoryError, OverflowError):
            raise UserError("the template is nested too deeply", where="template") from None
        self._template = jinja2.Template.from_code(self._environment, code, self._environment.globals)

    def require_fields(self, known: Iterable[str]) -> None:
        """Make sure that a table has the columns that the template names.

        Raises:
            UserError: naming the line and the nearest column.
        """
        known = set(known)
        if self.fields <= known:
            return
        needed = needed_fields(self._environment.parse(self._source), known) - {_RECORD}
        for name in sorted(needed - known, key=lambda name: (self._lines[name], name)):
            raise UserError(unknown_field(name, known), where=f"template, line {self._lines[name]}")

    def render(self, fields: Mapping[str, Any]) -> str:
        """The text of one record.

        Args:
            fields: plain data: texts, numbers, booleans, None, and lists and dicts of those.

        Raises:
            TemplateRecordError: a field is missing, an operation does not fit its value, or it grows beyond bounds.
        """
        turns = 0

        def turn() -> str:
            nonlocal turns
            turns += 1
            if turns > _MOST_TURNS:
                raise TemplateRecordError(f"its loops take more than {_MOST_TURNS} turns")
            return ""

        pieces, length = [], 0
        try:
            for piece in self._template.generate({**fields, _RECORD: dict(fields), _TURN: turn}):
                length += len(piece)
                if length > LONGEST_TEXT:
                    raise TemplateRecordError(f"it makes more than {LONGEST_TEXT} characters")
                pieces.append(piece)
        except jinja2.UndefinedError as error:
            named = re.search(r"'(\w+)' is undefined", str(error))
            name = named[1] if named and named[1] in self._lines else ""
            said = unknown_field(name, fields) if name else "it names a part that a value has not"
            raise TemplateRecordError(said) from None
        except jinja2.TemplateError as error:
            raise TemplateRecordError(complaint(error)) from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            raise TemplateRecordError(complaint(error)) from None
        return "".join(pieces)


def unknown_field(name: str, known: Iterable[str]) -> str:
    """About a field that the template names: other fields' names may be what a table without a header is about."""
    meant = nearest(name, known)
    return f"unknown field {name!r}; " + (f"did you mean {meant!r}?" if meant else "no field is called nearly so")


_TURN = "_turn"
_JOINED = "_joined"


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            undefined=jinja2.StrictUndefined,
            autoescape=False,
            keep_trailing_newline=True,
            finalize=_written,
        )
        self.globals = {_JOINED: _joined}
        known, tests = self.filters, self.tests
        self.filters = {name: known[name] for name in _FILTERS.split()}
        self.filters |= {"join": _join, "replace": _replace}
        self.tests = {name: tests[name] for name in _TESTS.split()}

    def is_safe_callable(self, obj: Any) -> bool:
        """The methods of texts and mappings that read them, and what this file puts in."""
        if getattr(obj, "__module__", None) == __name__:
            return True
        owner = getattr(obj, "__self__", None)
        methods: set[str] = next((_METHODS[kind] for kind in _METHODS if isinstance(owner, kind)), set())
        return getattr(obj, "__name__", "") in methods

    def call(self, context: jinja2.runtime.Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        """As in any sandbox, but a refusal does not say where in memory the function is."""
        _defined(obj)
        if not self.is_safe_callable(obj):
            raise TemplateRecordError(f"{getattr(obj, '__name__', type(obj).__name__)!r} cannot be called")
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Sums, products, powers and remainders, of sizes that are within bounds."""
        texts = [side for side in (left, right) if isinstance(side, str | list | tuple)]
        if operator == "%" and isinstance(left, str):
            raise TemplateRecordError("texts have no %; write ~ between them")
        if operator == "+" and texts:
            _require_short(sum(map(len, texts)))
        if operator == "*" and texts:
            raise TemplateRecordError("texts and lists have no *")
        if operator == "**" and not (abs(left) < 1 << 64 and abs(right) < 256):
            raise TemplateRecordError("a power that is too large")
        value = super().call_binop(context, operator, left, right)
        if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
            raise TemplateRecordError("a number that is too large")
        return value


def _require_short(length: int) -> None:
    if length > LONGEST_TEXT:
        raise TemplateRecordError(f"it makes more than {LONGEST_TEXT} characters")


def _written(value: Any) -> Any:
    """What is written for a value: for None nothing. What would be written with its place in memory is refused."""
    if value is None:
        return ""
    if not isinstance(_defined(value), str | int | float | list | tuple | dict):
        raise TemplateRecordError(f"a {type(value).__name__} is no text; `| list` and `| join` make one")
    return value


def _joined(*parts: Any) -> str:
    texts = [str(_written(part)) for part in parts]
    _require_short(sum(map(len, texts)))
    return "".join(texts)


def _join(value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items = list(value)
    if attribute is not None:
        items = [item[attribute] for item in items]
    texts = [str(_written(item)) for item in items]
    _require_short(sum(map(len, texts)) + len(texts) * len(str(d)))
    return str(d).join(texts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    whole, old, new = str(_written(text)), str(old), str(new)
    found = whole.count(old) if count < 0 else min(count, whole.count(old))
    _require_short(len(whole) + found * len(new))
    return whole.replace(old, new, count)


def _defined(value: Any) -> Any:
    if isinstance(value, jinja2.Undefined):
        value._fail_with_undefined_error()
    return value


def _check(tree: nodes.Template) -> None:
    """Only what cannot define, load or recur."""
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _ALLOWED) or (isinstance(node, nodes.For) and node.recursive):
            name = type(node).__name__.lower()
            raise jinja2.TemplateSyntaxError(f"a template of records has no {name}", node.lineno)
        if isinstance(node, nodes.Name) and node.name in (_TURN, _JOINED):
            raise jinja2.TemplateSyntaxError(f"{node.name} is taken", node.lineno)


def _bound(tree: nodes.Template) -> None:
    """Have each turn of each loop counted, and what `~` joins measured before it is joined."""
    for loop in list(tree.find_all(nodes.For)):
        loop.body.insert(0, nodes.Output([_call(_TURN, [], loop.lineno)], lineno=loop.lineno))
    _measure_joins(tree)


def _measure_joins(node: nodes.Node) -> None:
    for field, value in node.iter_fields():
        if isinstance(value, list):
            setattr(node, field, [_measured(one) for one in value])
        elif isinstance(value, nodes.Node):
            setattr(node, field, _measured(value))


def _measured(node: Any) -> Any:
    if isinstance(node, nodes.Node):
        _measure_joins(node)
        if isinstance(node, nodes.Concat):
            return _call(_JOINED, node.nodes, node.lineno)
    return node


def _call(function: str, arguments: list[nodes.Expr], line: int) -> nodes.Call:
    return nodes.Call(nodes.Name(function, "load", lineno=line), arguments, [], None, None, lineno=line)


def _named(tree: nodes.Template) -> frozenset[str]:
    names = meta.find_undeclared_variables(tree) - {_RECORD}
    for part in tree.find_all(nodes.Getitem):
        if isinstance(part.node, nodes.Name) and part.node.name == _RECORD and isinstance(part.arg, nodes.Const):
            names.add(str(part.arg.value))
    return frozenset(names)


def _lines(tree: nodes.Template) -> dict[str, int]:
    """The first line that names each variable."""
    lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        lines[node.name] = min(node.lineno, lines.get(node.name, node.lineno))
    return lines
