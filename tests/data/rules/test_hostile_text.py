"""No text makes a rule take time by the square of its length."""

from __future__ import annotations

import time

import pytest

from loresmith.data.rules.boilerplate import BoilerplateLines
from loresmith.data.rules.rulebook import RULES

RUNS = (
    ".", "\n", " ", "\t\n", "\r", "'", '"', '"""\\', "`", "/*", "*/", "--[[", "{-", "(*", "<!--", "(", "#", "-", "0x1,",
    "Ã©", "Ã ", "cafÃ© ", "e\u0301", "\u0301", "\x08", "\x1b]", "\u00ad", "\u200d", "水", "a ", "a\n", "a|", "cookie ", 
    "copyright ", "i of ", "page 1\n", "print ", "generated ", "\n \n",
)  # fmt: skip
LANGUAGES = ("", "python", "javascript", "sql", "lua", "haskell", "ocaml", "xml", "lisp", "shell", "c", "tex")


@pytest.mark.parametrize("run", RUNS)
def test_long_runs_take_no_longer_than_text(run: str) -> None:
    text = run * (60_000 // len(run)) + "x."
    rules = {**RULES, "boilerplate": BoilerplateLines({1})}
    for language in LANGUAGES if run.strip() else LANGUAGES[:2]:
        if language and run.isascii() is False:
            continue
        for rule in rules.values():
            if language and rule.name != "code_quality":
                continue
            started = time.process_time()
            media_type = f"text/x-{language}" if language else "text/html"
            rule.look(text, language, media_type, tuple((page, page * 100) for page in range(100)))
            assert time.process_time() - started < 2, (rule.name, language)
