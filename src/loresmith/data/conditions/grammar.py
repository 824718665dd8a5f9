"""From the words of a condition to what it says.

condition  = conjunction { OR conjunction }
conjunction = test { AND test }
test       = NOT test | "(" condition ")" | value comparison
comparison = ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) value
           | [ NOT ] IN ( "(" constant { "," constant } ")" | column )
           | [ NOT ] LIKE text
           | [ NOT ] BETWEEN constant AND constant
           | IS [ NOT ] NULL
value      = column | constant
column     = name { "." name }
constant   = text | number | TRUE | FALSE
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

from loresmith.data.conditions.words import Word, Written

Constant = str | int | float | bool

_COMPARISONS = ("=", "!=", "<", "<=", ">", ">=")
_DEEPEST = 100
_LARGEST_WHOLE = 2.0**63


@dataclass(frozen=True)
class Column:
    """A column, or what is in one: `scores.words` is `("scores", "words")`."""

    names: tuple[str, ...]
    at: int

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True)
class Fixed:
    """A constant."""

    value: Constant
    at: int


Value = Column | Fixed


@dataclass(frozen=True)
class Compared:
    """Two values, one beside the other."""

    sign: str
    left: Value
    right: Value
    at: int


@dataclass(frozen=True)
class OneOf:
    """A value that is one of some constants."""

    value: Value
    among: tuple[Fixed, ...]
    at: int


@dataclass(frozen=True)
class Member:
    """A constant that stands in a column of lists."""

    value: Fixed
    column: Column
    at: int


@dataclass(frozen=True)
class Like:
    """A text that looks like a pattern, in which `%` is any characters and `_` is any one."""

    value: Column
    pattern: str
    at: int


@dataclass(frozen=True)
class Missing:
    """A value that is not there."""

    value: Column
    at: int


@dataclass(frozen=True)
class Not:
    """The contrary of another."""

    test: Test


@dataclass(frozen=True)
class Joined:
    """All of some, or any of them."""

    word: Literal["AND", "OR"]
    tests: tuple[Test, ...]


Test = Compared | OneOf | Member | Like | Missing | Not | Joined


def parse(written: Written) -> Test:
    """What a condition says. Raises UserError that points at the place where it says nothing."""
    return _Parser(written).whole()


def parse_column(written: Written) -> Column:
    """The column that a text names. Raises UserError as `parse`."""
    return _Parser(written).column()


class _Parser:
    """Recursive descent: a method for each line of the grammar."""

    def __init__(self, written: Written) -> None:
        self._written = written
        self._words = list(written.words())
        self._next = 0
        self._depth = 0

    def whole(self) -> Test:
        found = self._condition()
        if self._word.kind != "end":
            self._refuse("AND, OR or the end is expected here")
        return found

    def column(self) -> Column:
        found = self._column_of(self._value())
        if self._word.kind != "end":
            self._refuse("the end is expected here")
        return found

    def _condition(self) -> Test:
        return self._joined("OR")

    def _joined(self, word: Literal["AND", "OR"]) -> Test:
        tests = [self._test() if word == "AND" else self._joined("AND")]
        while self._took("keyword", word):
            tests.append(self._test() if word == "AND" else self._joined("AND"))
        return tests[0] if len(tests) == 1 else Joined(word, tuple(tests))

    def _test(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(f"this is nested deeper than {_DEEPEST} levels")
        if self._took("keyword", "NOT"):
            found: Test = Not(self._test())
        elif self._took("sign", "("):
            found = self._condition()
            self._require("sign", ")")
        else:
            found = self._comparison(self._value())
        self._depth -= 1
        return found

    def _comparison(self, value: Value) -> Test:
        word = self._word
        if word.kind == "sign" and word.said in _COMPARISONS:
            self._next += 1
            return Compared(word.said, value, self._value(), word.at)
        if self._took("keyword", "IS"):
            negated = self._took("keyword", "NOT")
            self._require("keyword", "NULL")
            found: Test = Missing(self._column_of(value), word.at)
            return Not(found) if negated else found
        negated = self._took("keyword", "NOT")
        if self._took("keyword", "IN"):
            found = self._among(value, word.at)
        elif self._took("keyword", "LIKE"):
            pattern = self._constant()
            if not isinstance(pattern.value, str):
                self._written.refuse("LIKE takes a text in single quotes", pattern.at)
            found = Like(self._column_of(value), pattern.value, word.at)
        elif self._took("keyword", "BETWEEN"):
            low = self._constant()
            self._require("keyword", "AND")
            high = self._constant()
            found = Joined("AND", (Compared(">=", value, low, word.at), Compared("<=", value, high, word.at)))
        else:
            self._refuse("a comparison is expected here: =, !=, <, <=, >, >=, IN, LIKE, BETWEEN or IS NULL")
        return Not(found) if negated else found

    def _among(self, value: Value, at: int) -> Test:
        if not self._took("sign", "("):
            column = self._value()
            if isinstance(column, Fixed):
                self._written.refuse("IN takes constants in parentheses, or a column of lists", column.at)
            if isinstance(value, Column):
                self._written.refuse("only a constant can be looked for in a column of lists", value.at)
            return Member(value, column, at)
        among = [self._constant()]
        while self._took("sign", ","):
            among.append(self._constant())
        self._require("sign", ")")
        return OneOf(value, tuple(among), at)

    def _value(self) -> Value:
        word = self._word
        if word.kind not in ("name", "quoted name"):
            return self._constant()
        names = [self._name()]
        while self._took("sign", "."):
            names.append(self._name())
        return Column(tuple(names), word.at)

    def _name(self) -> str:
        word = self._word
        if word.kind not in ("name", "quoted name", "keyword"):
            self._refuse("a name is expected here")
        self._next += 1
        return self._written.text[word.at : word.at + len(word.said)] if word.kind == "keyword" else word.said

    def _column_of(self, value: Value) -> Column:
        if isinstance(value, Fixed):
            self._written.refuse("a column is expected here, and this is a constant", value.at)
        return value

    def _constant(self) -> Fixed:
        word = self._word
        value: Constant
        if word.kind == "text":
            value = word.said
        elif word.kind == "number":
            value = float(word.said)
            if not set(word.said) & set(".eE") and abs(value) < _LARGEST_WHOLE:
                value = int(word.said)
        elif word.kind == "keyword" and word.said in ("TRUE", "FALSE"):
            value = word.said == "TRUE"
        elif word.kind in ("name", "quoted name"):
            self._refuse("a constant is expected here", "a text stands in single quotes: 'de'")
        else:
            self._refuse("a column or a constant is expected here", "a text stands in single quotes: 'de'")
        self._next += 1
        return Fixed(value, word.at)

    @property
    def _word(self) -> Word:
        return self._words[self._next]

    def _took(self, kind: str, said: str) -> bool:
        """Whether this word comes next; if so, go on behind it."""
        if (self._word.kind, self._word.said) != (kind, said):
            return False
        self._next += 1
        return True

    def _require(self, kind: str, said: str) -> None:
        if not self._took(kind, said):
            self._refuse(f"{said} is expected here")

    def _refuse(self, what: str, hint: str = "") -> NoReturn:
        self._written.refuse(what, self._word.at, hint)
