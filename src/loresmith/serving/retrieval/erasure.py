"""Which files of an index hold something of documents that are to be erased."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import BinaryIO

from loresmith.serving.retrieval.layout import PARTITIONS
from loresmith.serving.retrieval.passage_table import TABLE

_PARAMETERS = "/params.index.json"
"""Those of BM25, with the number of passages."""


def files_with(ids: Collection[str], names: Collection[str], open_file: Callable[[str], BinaryIO]) -> set[str]:
    """The files of every partition that has a passage of one of these documents.

    All of them: its words are in the vocabulary and the statistics of its partition, and what it says in a vector. But
    not what says how words were counted: partitions of as many passages have the same bytes there, also of an index
    that is built without the documents, which could not be stored if these bytes were erased.

    Args:
        names: of the files that the asset still has.
        open_file: opens one of them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from loresmith.data.open_tables import read_columns

    wanted = pa.array(sorted(ids), pa.string())
    found: set[str] = set()
    for name in names:
        if not name.startswith(f"{PARTITIONS}/") or not name.endswith(f"/{TABLE}"):
            continue
        with open_file(name) as file:
            documents = read_columns(file, ["document"])["document"]
        if pc.any(pc.is_in(documents, value_set=wanted)).as_py():
            folder = name.removesuffix(TABLE)
            found |= {other for other in names if other.startswith(folder) and not other.endswith(_PARAMETERS)}
    return found
