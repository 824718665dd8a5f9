"""YAML as plain data, together with the line of every key.

The YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema) on PyYAML's parser: `1e-3` is a number, `no`
and `2026-11-22` are text, `010` is ten. What canonical JSON (RFC 8785) cannot carry is refused here, where the line is
known: keys that are not text, numbers that are not finite or not exact, lone surrogates.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from loresmith.errors import UserError

YamlPath = tuple[str | int, ...]

DEPTH_AT_MOST = 64
"""Levels of nesting; the parser recurses, and no recipe or suite comes near."""

REPEATED_NODES_AT_MOST = 10_000
"""Nodes that aliases may add to the document: ten lines of YAML can otherwise expand to a billion values."""

EXACT_INTEGERS = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly (RFC 8785, section 3.2.2.3)."""


@dataclass(frozen=True)
class Mapped:
    """Plain data (dict, list, str, int, float, bool, None) and where it was written.

    Attributes:
        data: what the text says.
        lines: the 1-based line of each key and list item by its path, such as `("steps", "base", "lr")`.
        source: what the text is called in messages: the file's path as the user gave it.
    """

    data: Any
    lines: Mapping[YamlPath, int]
    source: str

    def where(self, path: YamlPath) -> str:
        """`file:line` of a path, or of its nearest ancestor that was written in the file."""
        return where(self.lines, self.source, path)


def where(lines: Mapping[YamlPath, int], source: str, path: YamlPath) -> str:
    """`file:line` of a path, or of its nearest ancestor that has a line; `file` when none has."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return f"{source}:{lines[path[:length]]}"
    return source


def read_yaml(path: Path, source: str | None = None) -> Mapped:
    """Read a YAML file; `source` is its name in messages (the path by default).

    Raises:
        UserError: the file cannot be read, is not UTF-8, or `load_yaml` refuses it.
    """
    name = source if source is not None else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})", where=name) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot be read: {reason}", where=name) from None
    return load_yaml(text, name)


def load_yaml(text: str, source: str) -> Mapped:
    """Parse one YAML document.

    Args:
        text: the document; an empty one is None.
        source: what messages call it.

    Raises:
        UserError: it is not YAML, a key stands twice or is not text, a tag is not of the core schema, aliases or
            nesting go too far, or a value is one that JSON cannot carry. The message names the line.
    """
    try:
        loader = _CoreLoader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"not valid YAML: {what}", where=f"{source}:{line}") from None
    except yaml.YAMLError as error:  # the reader's errors, which carry no mark
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1
        reason = getattr(error, "reason", "unreadable text")
        raise UserError(f"not valid YAML: {reason}", where=f"{source}:{line}") from None
    except ValueError as error:  # the scanner's own: an escape such as "\UFFFFFFFF" that is no character
        raise UserError(f"not valid YAML: {error}", where=source) from None
    if root is None:
        return Mapped(None, {(): 1}, source)
    builder = _Builder(source)
    return Mapped(builder.value(root, ()), builder.lines, source)


class _CoreResolver(BaseResolver):  # type: ignore[misc, unused-ignore]
    """Plain scalars as the core schema of YAML 1.2 reads them."""


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+0123456789.")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _CoreResolver.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


class _CoreLoader(Reader, Scanner, Parser, Composer, _CoreResolver):
    """PyYAML's parser up to the node graph. No constructor: nothing but plain data can come out."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        _CoreResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        self._depth += 1
        if self._depth > DEPTH_AT_MOST:
            mark = self.get_mark()
            raise yaml.MarkedYAMLError(None, None, f"nested more than {DEPTH_AT_MOST} levels deep", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Builder:
    """Turns the node graph into plain data and notes the lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[YamlPath, int] = {}
        self._open: set[int] = set()
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: Node, path: YamlPath) -> Any:
        self._count(node, path)
        self.lines.setdefault(path, _line(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            return self._mapping(node, path) if isinstance(node, MappingNode) else self._sequence(node, path)
        finally:
            self._open.remove(id(node))

    def _mapping(self, node: MappingNode, path: YamlPath) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            self._refuse(node, f"unknown tag {_short(node.tag)!r}")
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in data:
                first = self.lines[*path, key]
                self._refuse(key_node, f"key {key!r} stands twice (first on line {first})")
            self.lines[*path, key] = _line(key_node)
            data[key] = self.value(value_node, (*path, key))
        return data

    def _key(self, node: Node) -> str:
        if not isinstance(node, ScalarNode):
            self._refuse(node, "a key must be text, not a list or a mapping")
        if node.tag == "tag:yaml.org,2002:merge":
            self._refuse(node, "merge keys (<<) are not supported: write the keys out")
        key = self._scalar(node)
        if not isinstance(key, str):
            self._refuse(node, f"a key must be text, and {node.value!r} is not: put it in quotes")
        return key

    def _sequence(self, node: Node, path: YamlPath) -> list[Any]:
        if not isinstance(node, SequenceNode) or node.tag != "tag:yaml.org,2002:seq":
            self._refuse(node, f"unknown tag {_short(node.tag)!r}")
        return [self.value(item, (*path, position)) for position, item in enumerate(node.value)]

    def _scalar(self, node: ScalarNode) -> str | int | float | bool | None:
        text = str(node.value)
        match node.tag:
            case "tag:yaml.org,2002:str":
                return self._text(node, text)
            case "tag:yaml.org,2002:null" if text in ("", "~", "null", "Null", "NULL"):
                return None
            case "tag:yaml.org,2002:bool" if text.lower() in ("true", "false"):
                return text.lower() == "true"
            case "tag:yaml.org,2002:int":
                return self._integer(node, text)
            case "tag:yaml.org,2002:float":
                return self._number(node, text)
        self._refuse(node, f"{_short(text)!r} with the tag {_short(node.tag)!r} is not plain data")

    def _text(self, node: Node, text: str) -> str:
        try:  # JSON, which is YAML, escapes what lies beyond the basic plane as two halves
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(node, f"{_short(ascii(text))} holds half a surrogate pair, which is no character")

    def _integer(self, node: Node, text: str) -> int:
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        try:
            number = int(text[2:] if base != 10 else text, base)
        except ValueError:  # not a number, or more digits than Python reads
            self._refuse(node, f"{_short(text)!r} is not a whole number that can be kept exactly")
        if abs(number) > EXACT_INTEGERS:
            self._refuse(node, f"{_short(text)} is beyond the whole numbers that JSON keeps exactly (2^53 - 1)")
        return number

    def _number(self, node: Node, text: str) -> float:
        try:
            number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self._refuse(node, f"{_short(text)!r} is not a number")
        if not math.isfinite(number):
            self._refuse(node, f"{_short(text)} is not a finite number")
        return number

    def _count(self, node: Node, path: YamlPath) -> None:
        if id(node) in self._open:
            raise UserError("an alias refers to what it stands in", where=where(self.lines, self.source, path))
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated > REPEATED_NODES_AT_MOST:
                self._refuse(node, f"aliases repeat more than {REPEATED_NODES_AT_MOST} values")
        self._seen.add(id(node))

    def _refuse(self, node: Node, what: str) -> NoReturn:
        raise UserError(what, where=f"{self.source}:{_line(node)}")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
