"""Prompt and reference together are the file; a completion ends where its function ends."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

from loresmith.evaluation.held_out import Document
from loresmith.evaluation.passages import choose_passages, functions

SOURCE = '''\
import os
\x0c
class Stack:
    """A pile."""

    def push(self, item):
        """Put an item on top."""
        self.items.append(item)
        self.size += 1
        return self

    async def wait(self):
        """Wait for it."""

        while not self.items:
            await self.changed()

    def size(self):
        """Only one line follows."""
        return len(self.items)


def plain(a, b): return a + b
def joined(a):
    """On one line."""; return a
'''


def document(text: str, language: str = "python", id: str = "x") -> Document:
    return Document(id, f"pile/{id}.py", text, len(text.encode()), language)


def test_prompt_and_reference_are_what_the_file_says() -> None:
    found = {passage.name: passage for passage in functions(document(SOURCE))}
    assert set(found) == {"Stack.push", "Stack.wait"}
    push = found["Stack.push"]
    assert push.prompt.endswith('"""Put an item on top."""')
    assert push.reference == "\n        self.items.append(item)\n        self.size += 1\n        return self"
    assert push.head.startswith("    def push(self, item):\n")
    for passage in found.values():
        assert passage.prompt + passage.reference in SOURCE


def test_the_reference_itself_is_whole_and_parses() -> None:
    for text in (SOURCE, inspect.getsource(textwrap), inspect.getsource(ast)):
        for passage in functions(document(text)):
            assert passage.cut(passage.reference) == passage.reference
            assert passage.parses(passage.reference)


@pytest.mark.parametrize(
    ("output", "kept", "parses"),
    [
        ("\n        return 1\n\n    def next(self):\n        pass", "\n        return 1", True),
        (
            "\n        if x:\n            y()\n\n        z()\n\nclass A: pass",
            "\n        if x:\n            y()\n\n        z()",
            True,
        ),
        ("\n        return (1", "\n        return (1", False),
        ("", "", False),
    ],
)
def test_a_completion_ends_with_its_function(output: str, kept: str, parses: bool) -> None:
    passage = next(passage for passage in functions(document(SOURCE)) if passage.name == "Stack.push")
    assert passage.cut(output) == kept
    assert passage.ended(output) is (len(output) > len(kept))
    assert passage.parses(output) is parses


def test_other_text_goes_on_from_its_middle() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 40
    (passage,) = choose_passages([document(text, "en")], 5)
    assert (passage.prompt + passage.reference) in text
    assert passage.reference.startswith(" ")
    assert passage.parses("anything") is None
    assert passage.cut("a\nb") == "a\nb"


def test_what_does_not_parse_or_recurses_too_deep_offers_nothing() -> None:
    for text in ("def broken(:\n", "x = " + "-" * 100_000 + "1", "\0", "x = 1\n"):
        assert list(functions(document(text))) == []


def test_a_long_chain_of_operators_is_walked() -> None:
    assert len(list(functions(document(SOURCE + "x = " + " + ".join(["1"] * 900) + "\n")))) == 2


def test_the_choice_does_not_depend_on_the_order_of_documents() -> None:
    documents = [document(SOURCE, id=f"d{number}") for number in range(9)]
    assert choose_passages(documents, 4) == choose_passages(documents[::-1], 4)
    assert len(choose_passages(documents, 4)) == 4
