"""Which of the files that were read from a place before are not there any more."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

from loresmith.data.erasure.source_files import file_of
from loresmith.data.path_names import raw_path
from loresmith.data.record_books import books_paths


def gone_files(
    missing: AbstractSet[str], wanted: Callable[[str], bool], books: Path, *, several: bool = False
) -> AbstractSet[str]:
    """Those that are still wanted, and that the books do not know either.

    Args:
        missing: the paths of files that an earlier snapshot has and the new one has not.
        wanted: whether a file of a raw path below its place would be read.
        books: the folder with the new books.
        several: whether paths begin with the name of their place.

    Raises:
        Failure: the books are damaged.
    """
    below = {path: raw_path(path.partition("/")[2] if several else path) for path in missing}
    gone = {path for path, name in below.items() if wanted(name)}
    if not gone:
        return gone
    files = dict.fromkeys(gone, "")
    return gone - {file_of(path, files) for path in books_paths(books)}
