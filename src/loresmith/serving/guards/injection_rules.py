"""The rules by which orders to a model are known; they stand in injection_rules.txt."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_BETWEEN_WORDS = r"[\W_]{1,4}"
"""What a space in a pattern stands for."""

_BEGINNING = re.compile(r"[a-z0-9]+|[<\[]|!\[|-{3,}|={3,}|#{3,}")
_KEY = 2


@dataclass(frozen=True)
class Rule:
    """One way to give an order.

    Attributes:
        name: what the audit calls it.
        weight: 1 for an order that has no place in data, less for a hint.
        begins: what it begins with, so that most rules need not be tried.
        pattern: over text in small ASCII letters, with a line break before it.
    """

    name: str
    weight: float
    begins: tuple[str, ...]
    pattern: re.Pattern[str]


def find_orders(text: str) -> Iterator[tuple[int, int, Rule]]:
    """Where a text in small letters has what a rule looks for: start, end, and the rule."""
    lined = f"\n{text}"
    table = _by_beginning()
    for found in _BEGINNING.finditer(lined):
        word = found[0]
        for beginning, rules in table.get(word[:_KEY], ()):
            if word.startswith(beginning):
                for rule in rules:
                    match = rule.pattern.match(lined, found.start())
                    if match:
                        yield match.start() - 1, match.end() - 1, rule


@cache
def injection_rules() -> tuple[Rule, ...]:
    """All of them."""
    listing = files("loresmith.serving.guards").joinpath("injection_rules.txt").read_text("utf-8")
    said: dict[str, str] = {}
    rules: list[Rule] = []
    for line in listing.splitlines():
        if line.startswith("#"):
            continue
        name, weight, *begins, pattern = line.split("\t")
        for word, stands_for in said.items():
            pattern = pattern.replace(f"{{{word}}}", stands_for)
        pattern = pattern.replace(" ", _BETWEEN_WORDS)
        if weight == "=":
            said[name] = pattern
        else:
            rules.append(Rule(name, float(weight), tuple(begins[0].split(",")), re.compile(pattern)))
    return tuple(rules)


@cache
def _by_beginning() -> Mapping[str, Sequence[tuple[str, Sequence[Rule]]]]:
    """The rules by what they begin with, and that by its first two characters."""
    by_word: dict[str, list[Rule]] = defaultdict(list)
    for rule in injection_rules():
        for beginning in rule.begins:
            by_word[beginning].append(rule)
    table: dict[str, list[tuple[str, Sequence[Rule]]]] = defaultdict(list)
    for beginning, rules in by_word.items():
        table[beginning[:_KEY]].append((beginning, rules))
    return table
