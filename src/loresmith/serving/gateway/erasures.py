"""Documents that are erased while a gateway works with what was made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from loresmith.ledger.erasures import effect_of
from loresmith.serving.gateway.background import as_failure, tell

if TYPE_CHECKING:
    from loresmith.ledger import Ledger
    from loresmith.serving.retrieval.retriever import Retriever


class Erasures:
    """Looks what erasures did to the index that passages come from, and to the assets of guards.

    Args:
        say: told what happens, in plain words.
    """

    def __init__(self, ledger: Ledger, say: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._say = say
        self._seen: object = None
        self._trouble = ""

    def heed(self, retriever: Retriever | None, guards: Mapping[str, str]) -> None:
        """Let go of the index if documents of it were erased since the last look.

        Guards stay as they are: they quote nobody, and without them answers would go out that they stop.

        Args:
            guards: the digests of their assets, by the names in the configuration.
        """
        try:
            self._heed(retriever, guards)
        except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and looked at again
            if str(error) != self._trouble:
                failure = as_failure(error)
                tell(self._say, f"it cannot be looked up what was erased: {failure}", failure)
            self._trouble = str(error)
        else:
            self._trouble = ""

    def _heed(self, retriever: Retriever | None, guards: Mapping[str, str]) -> None:
        index = "" if retriever is None else retriever.asset
        now = (self._ledger.erasures.version(), index, dict(guards))
        if now == self._seen:
            return
        marks = self._ledger.erasures.marks()
        if retriever is not None and not retriever.withdrawn and effect_of(marks.get(index, ())) == "erased":
            retriever.withdraw()
            self._say(
                f"documents of the index {index[:12]} were erased ({marks[index][-1].erasure}): nothing is retrieved "
                "from it any more; build it again"
            )
        for name, digest in guards.items():
            if effect_of(marks.get(digest, ())):
                self._say(
                    f"guards: documents were erased that {name} was made from; it guards on until it is made anew"
                )
        self._seen = now
