"""What the styles of an OpenDocument file say: which lists are numbered, and what is hidden."""

from __future__ import annotations

from collections.abc import Mapping

_DEEPEST = 20  # styles that are based on one another


class Styles:
    """Events of `styles.xml` and `content.xml`."""

    def __init__(self) -> None:
        self._numbered: dict[tuple[str, int], bool] = {}
        self._hidden: set[str] = set()
        self._parents: dict[str, str] = {}
        self._list = self._style = ""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "text:list-style":
            self._list = attributes.get("style:name", "")
        elif tag in ("text:list-level-style-number", "text:list-level-style-bullet"):
            level = attributes.get("text:level", "1")
            numbered = tag.endswith("number") and attributes.get("style:num-format", "") != ""
            self._numbered[self._list, int(level) if level in "123456789" and level else 10] = numbered
        elif tag == "style:style":
            self._style = attributes.get("style:name", "")
            self._parents[self._style] = attributes.get("style:parent-style-name", "")
        elif (
            attributes.get("table:display") == "false"
            or attributes.get("text:display") == "none"
            or attributes.get("presentation:visibility") == "hidden"
        ):
            self._hidden.add(self._style)

    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...

    def numbered(self, style: str, level: int) -> bool:
        """Whether the items of a list have numbers at a level, from 1."""
        return self._numbered.get((style, level), False)

    def hidden(self, style: str) -> bool:
        """Whether what has a style is not shown."""
        for _ in range(_DEEPEST):
            if style in self._hidden:
                return True
            style = self._parents.get(style, "")
        return False
