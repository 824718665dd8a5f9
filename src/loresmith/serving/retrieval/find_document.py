"""A document of an index, found by its id or its path, as policies are asked about it. No vector is read for it."""

from __future__ import annotations

from pathlib import Path

from loresmith.errors import UserError
from loresmith.serving.retrieval.layout import PARTITIONS, read_facts
from loresmith.serving.retrieval.passage import PassageRef
from loresmith.serving.retrieval.passage_table import PassageTable

_SHOWN = 3


def find_document(directory: Path, named: str, where: str) -> PassageRef:
    """The first passage of a document.

    Args:
        directory: of the index.
        named: the document's id, as audit records and citations have it, or its path.
        where: what to call the place in messages.

    Raises:
        UserError: there is no such document in the index, or there are several.
        Failure: the index is damaged.
    """
    found: dict[str, PassageRef] = {}
    for facts in read_facts(directory).partitions:
        table = PassageTable(directory / PARTITIONS / facts.folder, facts.labels)
        for number in table.of_document(named):
            ref = table.ref(number)
            found.setdefault(ref.document, ref)
    if named in found:
        return found[named]
    if not found:
        raise UserError(
            f"the index has no document {named!r}",
            where=where,
            hint="give its id or its path; books.parquet of the index names what was left out of it, and why",
        )
    if len(found) > 1:
        shown = ", ".join(sorted(found)[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise UserError(f"{len(found)} documents have the path {named!r}", where=where, hint=f"give an id: {shown}")
    return next(iter(found.values()))
