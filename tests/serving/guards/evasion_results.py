"""How much of the evasion set the guards catch, family by family, and the table of it in docs/security.md.

python -m tests.serving.guards.evasion_results            # prints the table
python -m tests.serving.guards.evasion_results --write    # puts it into docs/security.md
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from loresmith.serving.guards.guards import Guards
from tests.serving.guards.evasions import DENIED, cases
from tests.serving.guards.guarding import guards

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
BEGIN = "<!-- written by `python -m tests.serving.guards.evasion_results --write` -->\n"
END = "<!-- until here -->\n"


def all_guards() -> Guards:
    return guards(
        {"kind": "privacy"},
        {"kind": "secrets"},
        {"kind": "deny", "phrases": list(DENIED)},
        {"kind": "injection", "on": ["input", "retrieved", "tool", "output"]},
    )


@cache
def results() -> dict[str, tuple[int, int]]:
    """Of each family how many cases are caught, and how many there are."""
    looking = all_guards()
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for case in cases():
        tried[case.family] += 1
        caught[case.family] += looking.examine(case.messages, case.tools, case.retrieved).action != "allow"
    return {family: (caught[family], tried[family]) for family in tried}


def table() -> str:
    """All families in Markdown, those of which most gets through first."""
    rows = sorted(results().items(), key=lambda item: item[1][0] / item[1][1])
    lines = ["| family | tried | caught | gets through |", "| --- | ---: | ---: | ---: |"]
    for family, (caught, tried) in [*rows, ("**all**", tuple(map(sum, zip(*results().values(), strict=True))))]:
        lines.append(f"| {family} | {tried} | {caught} | {tried - caught or ''} |".replace("|  |", "| |"))
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, "the page has no place for the table"
    assert end, "the table of the page has no end"
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What of the evasion set is caught.")
    parser.add_argument("--write", action="store_true", help="put the table into docs/security.md")
    if parser.parse_args(arguments).write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
