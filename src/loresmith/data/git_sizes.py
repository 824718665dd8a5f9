"""How large a Git object is, from its first bytes: a repository of a megabyte may hold gigabytes.

A loose object begins with its type and size (gitformat-loose), an entry of a pack with its size; where the entry is a
difference to another one, the difference begins with the sizes of both (gitformat-pack).
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from dulwich.object_store import DiskObjectStore
    from dulwich.objects import ObjectID
    from dulwich.pack import Pack

_HEAD = 4096  # bytes of a file; those wanted are in the first few
_INFLATED = 64
_OFFSET_DELTA, _REFERENCE_DELTA = 6, 7
_LONGEST_CHAIN = 10_000


class Extent(NamedTuple):
    """The bytes of an object, and those of the largest one that has to be there to have it."""

    size: int
    needed: int


def extent_of(store: DiskObjectStore, object_id: bytes) -> Extent:
    """How large an object is.

    Raises:
        KeyError: it is not there.
        ValueError, zlib.error, IndexError: it is damaged.
    """
    size, needed, wanted = -1, 0, object_id
    for _ in range(_LONGEST_CHAIN):
        sizes, base = _look(store, wanted)
        size = sizes[-1] if size < 0 else size
        needed = max(needed, *sizes)
        if base is None:
            return Extent(size, needed)
        wanted = base
    raise ValueError(f"differences to differences, more than {_LONGEST_CHAIN} deep")


def _look(store: DiskObjectStore, object_id: bytes) -> tuple[list[int], bytes | None]:
    """The sizes known of an object and of those it is a difference to, its own last; and the id of the one that
    it goes back to, where that lies elsewhere."""
    from dulwich.objects import ObjectID, RawObjectID, hex_to_sha

    raw = RawObjectID(hex_to_sha(ObjectID(object_id)))
    for pack in store.packs:
        try:
            offset = pack.index.object_offset(raw)
        except KeyError:
            continue
        return _packed(pack, offset, len(raw))
    name = object_id.decode("ascii")
    loose = Path(store.path) / name[:2] / name[2:]
    if loose.is_file():
        with loose.open("rb") as file:
            head, nul, _ = zlib.decompressobj().decompress(file.read(_HEAD), _INFLATED).partition(b"\0")
        if not nul:
            raise ValueError("a loose object without a head")
        return [int(head.split(b" ")[1])], None
    for other in store.alternates:
        try:
            return _look(other, object_id)  # type: ignore[arg-type]
        except KeyError:
            continue
    raise KeyError(object_id)


def _packed(pack: Pack, offset: int, hash_bytes: int) -> tuple[list[int], bytes | None]:
    from dulwich.objects import RawObjectID, sha_to_hex

    found: list[int] = []
    with Path(pack.data.path).open("rb") as file:
        for _ in range(_LONGEST_CHAIN):
            file.seek(offset)
            head = file.read(_HEAD)
            kind, size, at = _entry(head)
            if kind not in (_OFFSET_DELTA, _REFERENCE_DELTA):
                return ([size, *found] if found else [size]), None
            base: ObjectID | None = None
            if kind == _OFFSET_DELTA:
                back, at = _offset(head, at)
                if not 0 < back < offset:
                    raise ValueError("a difference to what is not in the pack")
                offset -= back
            else:
                base, at = sha_to_hex(RawObjectID(head[at : at + hash_bytes])), at + hash_bytes
            inflated = zlib.decompressobj().decompress(head[at:], _INFLATED)
            before, at = _number(inflated, 0)
            after, _ = _number(inflated, at)
            found = [before, *(found or [after])]
            if base is not None:
                return found, base
    raise ValueError(f"differences to differences, more than {_LONGEST_CHAIN} deep")


def _entry(head: bytes) -> tuple[int, int, int]:
    """The type of an entry, its size, and where what follows begins."""
    kind, size = head[0] >> 4 & 7, head[0] & 15
    if not head[0] & 0x80:
        return kind, size, 1
    more, at = _number(head, 1)
    return kind, size | more << 4, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first; and where what follows begins."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return number, at


def _offset(data: bytes, at: int) -> tuple[int, int]:
    """How far back a base lies, as an entry has it: the highest bits first, and one more for each further group."""
    number = data[at] & 0x7F
    while data[at] & 0x80:
        at += 1
        number = (number + 1) << 7 | data[at] & 0x7F
    return number, at + 1
