"""Learns topics from examples: logistic regression by L-BFGS (Liu and Nocedal, 1989), judged by cross-validation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loresmith.errors import UserError
from loresmith.serving.guards.topic_facts import OTHER, TopicFacts, TopicQuality
from loresmith.serving.guards.topic_features import FEATURES, SparseVector, features
from loresmith.serving.guards.topic_model import TopicModel, as_matrix, softmax

FEWEST_EXAMPLES = 8
"""Examples of each topic, and of `other`, below which nothing could be said of how well it is known."""

_ITERATIONS = 60
_LONGEST = 20_000


@dataclass(frozen=True)
class Example:
    """A text and what it is about.

    Attributes:
        text: the text.
        topic: one of the operator's topics, or `other`.
    """

    text: str
    topic: str


def read_examples(path: Path) -> list[Example]:
    """The examples in a JSONL file: `{"text": ..., "topic": ...}` a line; without a topic it is of none of them.

    Those that stand there twice count once.

    Raises:
        UserError: a line is no example, one text has two topics, or there are too few.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the examples cannot be read: {error}", where=str(path)) from None
    topics: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            said = json.loads(line)
        except ValueError:
            raise UserError(
                "this line is not JSON", where=where, hint='write {"text": "...", "topic": "..."}'
            ) from None
        text = said.get("text") if isinstance(said, dict) else None
        topic = (said.get("topic") or OTHER) if isinstance(said, dict) else None
        if not isinstance(text, str) or not text.strip() or not isinstance(topic, str):
            raise UserError("an example needs a `text`, and a `topic` in words", where=where)
        if set(said) - {"text", "topic"}:
            raise UserError(f"unknown key {min(set(said) - {'text', 'topic'})!r}", where=where, hint="text, topic")
        if topics.setdefault(text[:_LONGEST], topic) != topic:
            raise UserError("this text stands above with another topic", where=where)
    counts = Counter(topics.values())
    if len(counts) < 2 or OTHER not in counts:
        raise UserError(
            "examples of at least one topic are needed, and of texts that are about none of them",
            where=str(path),
            hint=f"leave `topic` out of ordinary texts, or write {OTHER!r}",
        )
    for topic, count in sorted(counts.items()):
        if count < FEWEST_EXAMPLES:
            raise UserError(f"{topic!r} has {count} examples; at least {FEWEST_EXAMPLES} are needed", where=str(path))
    return [Example(text, topic) for text, topic in sorted(topics.items())]


def train(
    examples: Sequence[Example],
    folds: int = 5,
    regularisation: float = 3e-4,
    look: Callable[[int], None] = lambda _: None,
) -> TopicModel:
    """Learn; the same examples in any order give the same classifier.

    Args:
        examples: of at least two topics.
        folds: into how many parts they are divided to see how well it works; each is judged by what the others taught.
        regularisation: of the weights.
        look: called with how many of the `folds` + 1 fits are done.
    """
    examples = sorted(examples, key=lambda example: (example.topic, sha256(example.text.encode()).digest()))
    topics = sorted({example.topic for example in examples}, key=lambda topic: (topic == OTHER, topic))
    vectors = [features(example.text) for example in examples]
    targets = np.array([topics.index(example.topic) for example in examples])
    fold = np.arange(len(examples)) % folds  # in the order of topics: every fold has its share of each
    judged = np.zeros((len(examples), len(topics)))
    for number in range(folds):
        taught = np.flatnonzero(fold != number)
        weights, bias = _fit([vectors[place] for place in taught], targets[taught], len(topics), regularisation)
        for place in np.flatnonzero(fold == number):
            vector = vectors[place]
            judged[place] = softmax(weights[:, vector.places] @ vector.values + bias)
        look(number + 1)
    weights, bias = _fit(vectors, targets, len(topics), regularisation)
    look(folds + 1)
    qualities = tuple(_quality(topic, targets == number, judged[:, number]) for number, topic in enumerate(topics))
    facts = TopicFacts(examples=len(examples), folds=folds, regularisation=regularisation, topics=qualities)
    return TopicModel(facts, weights.astype(np.float32), bias.astype(np.float32))


def _fit(
    vectors: Sequence[SparseVector], targets: NDArray[np.intp], classes: int, regularisation: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(classes, FEATURES) weights and (classes,) biases of the smallest mean cross-entropy; classes weigh the same."""
    import torch

    rows, columns, values = as_matrix(vectors)
    used, columns = np.unique(columns, return_inverse=True)
    per_class = np.bincount(targets, minlength=classes)
    importance = (len(targets) / (classes * per_class))[targets]
    wanted = np.eye(classes)[targets]
    parameters = torch.zeros(classes, len(used) + 1, dtype=torch.float64, requires_grad=True)

    def loss() -> torch.Tensor:
        current = parameters.detach().numpy()
        logits = np.empty((len(targets), classes))
        for number in range(classes):
            logits[:, number] = np.bincount(rows, current[number, columns] * values, len(targets))
        logits += current[:, -1]
        shares = softmax(logits)
        miss = (shares - wanted) * importance[:, None] / len(targets)
        gradient = np.zeros_like(current)
        for number in range(classes):
            gradient[number, :-1] = np.bincount(columns, values * miss[rows, number], len(used))
        gradient[:, :-1] += regularisation * current[:, :-1]
        gradient[:, -1] = miss.sum(axis=0)
        parameters.grad = torch.from_numpy(gradient)
        cross_entropy = -np.log(np.maximum((shares * wanted).sum(axis=1), 1e-300)) @ importance / len(targets)
        return torch.tensor(cross_entropy + regularisation / 2 * (current[:, :-1] ** 2).sum())

    optimiser = torch.optim.LBFGS([parameters], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")
    optimiser.step(loss)  # type: ignore[no-untyped-call, unused-ignore]
    found = parameters.detach().numpy()
    weights = np.zeros((classes, FEATURES))
    weights[:, used] = found[:, :-1]
    return weights, found[:, -1].copy()


def _quality(topic: str, is_it: NDArray[np.bool_], shares: NDArray[np.float64]) -> TopicQuality:
    """At the threshold where F1 is highest; of equal ones the one in the middle of the gap between two examples."""
    order = np.argsort(-shares, kind="stable")
    hits = np.cumsum(is_it[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + is_it.sum())
    best = int(np.argmax(f1))
    below = shares[order[best + 1]] if best + 1 < len(order) else 0.0
    return TopicQuality(
        topic=topic,
        examples=int(is_it.sum()),
        threshold=round(float(np.clip((shares[order[best]] + below) / 2, 0.01, 0.99)), 4),
        precision=round(float(hits[best] / (best + 1)), 4),
        recall=round(float(hits[best] / is_it.sum()), 4),
        f1=round(float(f1[best]), 4),
    )
