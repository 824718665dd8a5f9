"""Says that a text is about what nobody is to talk about here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from loresmith.errors import UserError
from loresmith.nearest import unknown_name
from loresmith.serving.guards.guard import Hit, Reading
from loresmith.serving.guards.settings import TopicGuard
from loresmith.serving.guards.topic_facts import OTHER
from loresmith.serving.guards.topic_model import TopicModel

_STRETCH = 1200
_STEP = 600
"""A long text is judged in stretches of so many characters, each beginning so many after the one before it."""

_SHORTEST = 12
"""Characters below which a text is about nothing."""

_SHORTEST_BEGINNING = 200
"""Characters below which nothing is said of a text that goes on."""


class TopicCheck:
    """Judges texts by a classifier.

    Args:
        model: the classifier.
        settings: which topics, and how sure.

    Raises:
        UserError: a topic is not one of the classifier's.
    """

    hold = 64
    left = _STRETCH
    whole = False
    mask = "[REMOVED]"

    def __init__(self, model: TopicModel, settings: TopicGuard) -> None:
        self._model = model
        known = [quality.topic for quality in model.facts.topics]
        for topic in settings.topics:
            if topic not in known:
                raise UserError(unknown_name("topic", topic, known), where=f"guards.{settings.called()}.topics")
        wanted = settings.topics or tuple(topic for topic in known if topic != OTHER)
        self._thresholds = {
            known.index(quality.topic): (quality.topic, settings.threshold or quality.threshold)
            for quality in model.facts.topics
            if quality.topic in wanted
        }

    @classmethod
    def of(cls, settings: TopicGuard, directory: Path) -> TopicCheck:
        """The guard of some settings.

        Raises:
            UserError: there is no classifier, or it does not know a topic.
        """
        return cls(TopicModel.open(directory), settings)

    def look(self, reading: Reading) -> Iterator[Hit]:
        for view in reading.views.all:
            if view.form == "" and reading.views.look is not view:
                continue  # its look has all that it has
            for start in range(0, max(1, len(view.text) - _STEP), _STEP):
                stretch = view.text[start : start + _STRETCH]
                if len(stretch.strip()) < (_SHORTEST if reading.whole else _SHORTEST_BEGINNING):
                    continue
                shares = self._model.probabilities(stretch)
                for number, (topic, threshold) in self._thresholds.items():
                    if shares[number] >= threshold:
                        rule = f"{topic} ({view.form})" if view.form else topic
                        yield Hit(*view.given(start, start + len(stretch)), rule, self.mask, sure=True)

    def open_from(self, reading: Reading) -> int:
        return len(reading.views.given)
