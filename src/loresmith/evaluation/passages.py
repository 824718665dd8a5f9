"""What a model is asked to go on from in held-out text: function bodies in Python, the second half of anything else."""

from __future__ import annotations

import ast
import hashlib
import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loresmith.evaluation.held_out import Document

FEWEST_BODY_LINES, MOST_BODY_LINES = 2, 20
"""A one-line body is often a delegation that anyone guesses; a long one is beyond a few dozen tokens."""

CONTEXT_CHARACTERS = 16_384
"""Text before the function that is kept; the model's window cuts further."""

PASSAGE_CHARACTERS = 400
"""Length of the reference for text that is not Python."""


@dataclass(frozen=True)
class Passage:
    """A place in a held-out document where a model goes on.

    Attributes:
        document: the document's id.
        path: its path.
        name: the function's qualified name, or the line that the passage starts on.
        prompt: the text before, up to and including the signature and docstring of a function.
        reference: what stands there, from the line break or space on.
        head: the function's own part of the prompt; empty where there is no function.
        indent: columns by which the `def` is indented (None: not Python). The body ends at the first line that is
            indented no further.
    """

    document: str
    path: str
    name: str
    prompt: str
    reference: str
    head: str
    indent: int | None

    def cut(self, output: str) -> str:
        """An output up to where the function ends, or all of it where there is no function."""
        end = self._end(output)
        return output if end is None else output[:end].rstrip()

    def ended(self, output: str) -> bool:
        """Whether whatever else is written no longer belongs to the function."""
        end = self._end(output)
        return end is not None and end < len(output)

    def _end(self, output: str) -> int | None:
        if self.indent is None:
            return None
        end = 0
        for line in _lines(output):
            width = len(line) - len(line.lstrip())
            if end and line.strip() and width <= self.indent:
                break
            end += len(line)
        return end

    def parses(self, output: str) -> bool | None:
        """Whether the function, with this as its body, is Python; None where it is no function."""
        if self.indent is None:
            return None
        within = "if True:\n" if self.indent else ""
        body = self.cut(output)
        return bool(body) and _parse(f"{within}{self.head}{body}\n") is not None


def choose_passages(documents: Iterable[Document], count: int) -> list[Passage]:
    """One passage of each of `count` documents, chosen by hash; fewer where there are not as many."""
    by_hash = sorted(documents, key=lambda document: hashlib.sha256(document.id.encode()).digest())
    chosen: list[Passage] = []
    for document in by_hash:
        if len(chosen) >= count:
            break
        found = list(functions(document)) if document.language == "python" else list(_halves(document))
        if found:
            chosen.append(min(found, key=lambda passage: hashlib.sha256(passage.prompt.encode()).digest()))
    return chosen


def functions(document: Document) -> Iterator[Passage]:
    """The functions of a Python file with a docstring and a body of a few lines."""
    tree = _parse(document.text)
    if tree is None:
        return
    lines = _lines(document.text)
    for name, node in _definitions(tree):
        docstring, body = node.body[0], node.body[1:]
        if ast.get_docstring(node, clean=False) is None or not body:
            continue
        first, last = docstring.end_lineno or 0, body[-1].end_lineno or 0
        if body[0].lineno == first or not FEWEST_BODY_LINES <= last - first <= MOST_BODY_LINES:
            continue
        before = "".join(lines[:first])
        prompt = before.rstrip("\r\n")  # a line break belongs to what follows, as tokenizers have it
        yield Passage(
            document=document.id,
            path=document.path,
            name=name,
            prompt=prompt[-CONTEXT_CHARACTERS:],
            reference=before[len(prompt) :] + "".join(lines[first:last]).rstrip(),
            head="".join(lines[node.lineno - 1 : first]).rstrip("\r\n"),
            indent=node.col_offset,
        )


def _halves(document: Document) -> Iterator[Passage]:
    """The middle of a text, at a word's end."""
    middle = document.text.find(" ", len(document.text) // 2)
    if middle <= 0:
        return
    prompt, rest = document.text[:middle], document.text[middle:]
    yield Passage(
        document=document.id,
        path=document.path,
        name=f"line {prompt.count(chr(10)) + 1}",
        prompt=prompt[-CONTEXT_CHARACTERS:],
        reference=rest[:PASSAGE_CHARACTERS],
        head="",
        indent=None,
    )


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions with their qualified names; with a stack of its own, for trees deeper than Python recurses."""
    stack: list[tuple[ast.AST, str]] = [(tree, "")]
    while stack:
        node, prefix = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            prefix = f"{prefix}{node.name}."
        stack.extend((child, prefix) for child in ast.iter_child_nodes(node))


def _lines(text: str) -> list[str]:
    """Lines as Python counts them, with their ends: str.splitlines also breaks at form feeds and more."""
    return list(io.StringIO(text, newline=""))


def _parse(text: str) -> ast.Module | None:
    """The syntax tree, or None for what this Python does not read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in somebody's file
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
