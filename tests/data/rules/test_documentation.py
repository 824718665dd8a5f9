"""The page on curation names every score, and no score that is not there."""

from __future__ import annotations

import re
from pathlib import Path
from pydoc_data.topics import topics

from loresmith.data.rules.boilerplate import BoilerplateLines
from loresmith.data.rules.perplexity import Perplexity
from loresmith.data.rules.rulebook import RULES

PAGE = Path(__file__).parents[3] / "docs" / "curation.md"


def test_the_page_names_all_scores() -> None:
    rules = (*RULES.values(), BoilerplateLines({1}), Perplexity(lambda text: (1.0, len(text))))
    scores: set[str] = set()
    for rule in rules:
        scores |= set(rule.look(topics["if"], "en", "text/html", ((1, 0), (2, 90))).scores)
        scores |= set(rule.look("x = 1", "python", "text/x-python", ()).scores)
    table = PAGE.read_text(encoding="utf-8").partition("| score |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert named == scores
