"""Examples of what a rule does: some documents, or some edits, each beside what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from loresmith.data.preview.decided import Seen
from loresmith.data.preview.previewed import Example, Excerpt
from loresmith.data.preview.veil import Hidden, Veil
from loresmith.data.rules.profiles import Bound

BEGINNING = 240
"""Characters of a document that goes as a whole."""

_PRIVACY = "privacy: "

T = TypeVar("T")


def whole_documents(
    documents: Sequence[Seen],
    wanted: int,
    veil: Veil,
    paths: Mapping[str, str],
    score: Callable[[Seen], float] | None = None,
    bound: Bound | None = None,
) -> tuple[Example, ...]:
    """The beginnings of documents; by a bound, from those nearest to it to those farthest out.

    Args:
        paths: of documents by their ids, for those that are like another one.
        score: that the rule looks at, if it looks at one.
        bound: of it.
    """
    if bound is not None and score is not None:
        documents = sorted(documents, key=lambda seen: _beyond(bound, score(seen)))
    examples = []
    for seen in _spread(documents, wanted):
        said = seen.said
        copied = said["detail"].split(" ", 2)[2] if said["reason"] == "exact duplicate" else ""
        examples.append(
            Example(
                id=said["id"],
                path=said["path"],
                score=score(seen) if score is not None else None,
                text=veil.beginning(seen.row["text"], BEGINNING),
                other=copied or paths.get(said["near"], ""),
                similarity=1.0 if copied else said["similarity"],
            )
        )
    return tuple(examples)


def edits(
    made: Sequence[tuple[Seen, Mapping[str, Any]]], wanted: int, veil: Veil, *, private: bool
) -> tuple[Example, ...]:
    """Edits, side by side with what was there; what is done most often comes first, and each only once.

    Args:
        private: whether they are of what must not be shown, so that no two of them are known to be the same.
    """
    times: dict[object, int] = {}
    first: dict[object, tuple[Seen, Mapping[str, Any]]] = {}
    for number, (seen, edit) in enumerate(made):
        key: object = (
            number if private else (edit["rule"], seen.row["text"][edit["start"] : edit["end"]], edit["after_bytes"])
        )
        times[key] = times.get(key, 0) + 1
        first.setdefault(key, (seen, edit))
    if private:
        ordered = list(_spread(list(first), wanted))
    else:
        ordered = _of_different_documents(sorted(first, key=lambda key: -times[key]), first, wanted)
    examples = []
    for key in ordered:
        seen, edit = first[key]
        assert seen.after is not None
        before, after = veil.change(
            seen.row["text"], seen.after, edit["start"], edit["end"], _masked_by_curation(seen.edits)
        )
        examples.append(
            Example(id=seen.said["id"], path=seen.said["path"], before=before, after=after, times=times[key])
        )
    return tuple(examples)


def found(documents: Iterable[Seen], kind: str, wanted: int, veil: Veil) -> Iterator[Example]:
    """Findings of privacy that stay where they are: what is around them."""
    for seen in documents:
        if wanted <= 0:
            return
        text = seen.row["text"]
        hidden = next((hidden for hidden in veil.find(text, 0, len(text)) if hidden.kind == kind), None)
        if hidden is not None:
            shown: Excerpt = veil.excerpt(text, hidden.start, hidden.end)
            yield Example(id=seen.said["id"], path=seen.said["path"], before=shown, after=shown)
            wanted -= 1


def _masked_by_curation(edits: Iterable[Mapping[str, Any]]) -> list[Hidden]:
    return [
        Hidden(edit["start"], edit["end"], edit["rule"].removeprefix(_PRIVACY))
        for edit in edits
        if edit["rule"].startswith(_PRIVACY)
    ]


def _beyond(bound: Bound, value: float) -> float:
    """How far a value is out of bounds."""
    below = bound.minimum - value if bound.minimum is not None else 0.0
    above = value - bound.maximum if bound.maximum is not None else 0.0
    return max(below, above)


def _spread(items: Sequence[T], wanted: int) -> Iterator[T]:
    """The first, the last, and so many in between."""
    if len(items) <= wanted:
        yield from items
    elif wanted == 1:
        yield items[0]
    else:
        for number in range(wanted):
            yield items[round(number * (len(items) - 1) / (wanted - 1))]


def _of_different_documents(
    keys: Sequence[object], first: Mapping[object, tuple[Seen, Mapping[str, Any]]], wanted: int
) -> list[object]:
    """The first keys; of one document more than one only where there are not enough documents."""
    known: set[str] = set()
    chosen: list[object] = []
    others: list[object] = []
    for key in keys:
        id_ = first[key][0].said["id"]
        (others if id_ in known else chosen).append(key)
        known.add(id_)
    return [*chosen, *others][:wanted]
