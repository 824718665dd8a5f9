"""What a 7z file says it holds: the structures of 7zFormat.txt, which 7-Zip's author has put into the public domain."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from loresmith.data.readers.seven_zip_source import Source
from loresmith.data.readers.unpacking import DamagedError, TooMuchError

_EPOCH = 11644473600  # seconds from 1601 to 1970
_MOST_CODERS = 32


@dataclass(frozen=True)
class Coder:
    """One way in which bytes are packed: its number in 7-Zip's list of methods, and its properties."""

    method: bytes
    properties: bytes
    size: int = 0


@dataclass(frozen=True)
class Folder:
    """Files that are packed together.

    Attributes:
        coders: from the packed bytes to the unpacked ones; empty when they are no chain.
        start: of its packed bytes in the file, and `packed` how many there are.
        methods: all of its methods, chain or not.
        streams: size and checksum (None: not said) of each unpacked file.
    """

    coders: tuple[Coder, ...]
    methods: frozenset[bytes]
    start: int
    packed: int
    size: int
    streams: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Entry:
    """One member. `holds` is whether it has bytes, in the folders; a folder and an empty file have none."""

    name: str
    holds: bool
    is_folder: bool
    modified: float
    attributes: int


@dataclass
class Archive:
    """What a header describes."""

    folders: list[Folder] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    is_packed: bool = False  # the header itself is packed, in the one folder


def parse_header(header: bytes, max_members: int) -> Archive:
    """The archive that a header describes.

    Raises:
        DamagedError: it is none.
        TooMuchError: it has more members than the rules allow.
    """
    source = Source(header)
    archive = Archive()
    try:
        kind = source.byte()
        if kind == 0x17:
            archive.folders, archive.is_packed = _streams(source), True
            return archive
        if kind != 0x01:
            raise DamagedError("no header")
        while kind := source.byte():
            match kind:
                case 0x02:
                    while source.byte():
                        source.take(source.number())
                case 0x03:
                    _streams(source)
                case 0x04:
                    archive.folders = _streams(source)
                case 0x05:
                    archive.entries = _entries(source, max_members)
                case _:
                    raise DamagedError(f"an unknown part {kind} of the header")
    except (IndexError, struct.error, OverflowError):
        raise DamagedError("the header ends in the middle") from None
    return archive


def _streams(source: Source) -> list[Folder]:
    position, sizes = 32, [0]
    folders: list[Folder] = []
    while kind := source.byte():
        match kind:
            case 0x06:
                position, sizes = _packed_streams(source)
            case 0x07:
                folders = _folders(source, position, sizes)
            case 0x08:
                folders = _divided(source, folders)
            case _:
                raise DamagedError(f"an unknown part {kind} of the streams")
    return folders


def _packed_streams(source: Source) -> tuple[int, list[int]]:
    position, count = 32 + source.number(), source.number()
    source.require(count)
    sizes: list[int] = []
    while kind := source.byte():
        if kind == 0x09:
            sizes = [source.number() for _ in range(count)]
        elif kind == 0x0A:
            source.checksums(count)
        else:
            raise DamagedError(f"an unknown part {kind} of the packed streams")
    return position, sizes


def _folders(source: Source, position: int, packed: list[int]) -> list[Folder]:
    if source.byte() != 0x0B:
        raise DamagedError("no folders")
    count = source.number()
    source.require(count)
    if source.byte():
        raise DamagedError("the folders are described elsewhere")
    plans = [_folder(source) for _ in range(count)]
    if source.byte() != 0x0C:
        raise DamagedError("the folders have no sizes")
    folders: list[Folder] = []
    taken = 0
    for coders, chain, streams in plans:
        sizes = [source.number() for _ in coders]
        parts = packed[taken : taken + streams]
        if len(parts) < streams:
            raise DamagedError("there are fewer packed streams than folders need")
        sized = [replace(coder, size=size) for coder, size in zip(coders, sizes, strict=True)]
        size = sizes[chain[-1]] if chain else max(sizes)
        folders.append(
            Folder(
                coders=tuple(sized[index] for index in chain),
                methods=frozenset(coder.method for coder in coders),
                start=position,
                packed=sum(parts),
                size=size,
                streams=((size, None),),
            )
        )
        position += sum(parts)
        taken += streams
    while kind := source.byte():
        if kind != 0x0A:
            raise DamagedError(f"an unknown part {kind} of the folders")
        sums = source.checksums(count)
        folders = [replace(one, streams=((one.size, crc),)) for one, crc in zip(folders, sums, strict=True)]
    return folders


def _folder(source: Source) -> tuple[list[Coder], list[int], int]:
    """Its coders, the order in which they unpack (none: they are no chain), and how many packed streams they take."""
    coders, inputs, outputs = [], 0, 0
    count = source.number()
    if not 1 <= count <= _MOST_CODERS:
        raise DamagedError(f"a folder of {count} coders")
    for _ in range(count):
        flags = source.byte()
        method = source.take(flags & 15)
        into, out = (source.number(), source.number()) if flags & 0x10 else (1, 1)
        properties = source.take(source.number()) if flags & 0x20 else b""
        if into > _MOST_CODERS or out != 1:
            raise DamagedError("a coder of an unknown form")
        inputs, outputs = inputs + into, outputs + out
        coders.append(Coder(method, properties))
    bound = {}
    for _ in range(outputs - 1):
        into = source.number()
        bound[into] = source.number()
    streams = inputs - (outputs - 1)
    if streams < 1:
        raise DamagedError("a folder without packed streams")
    if streams > 1:
        for _ in range(streams):
            source.number()
    return coders, _chain(count, bound) if inputs == count else [], streams


def _chain(count: int, bound: dict[int, int]) -> list[int]:
    last = next((index for index in range(count) if index not in bound.values()), 0)
    chain = [last]
    while last in bound and len(chain) <= count:
        last = bound[last]
        chain.append(last)
    if sorted(chain) != list(range(count)):
        raise DamagedError("a folder whose coders are no chain")
    return chain[::-1]


def _divided(source: Source, folders: list[Folder]) -> list[Folder]:
    """The folders with the sizes and checksums of the files in them."""
    counts = [1] * len(folders)
    sizes = [[folder.size] for folder in folders]
    kind = source.byte()
    if kind == 0x0D:
        counts = [source.number() for _ in folders]
        source.require(sum(counts) - len(folders))
        kind = source.byte()
    if kind == 0x09 or counts != [1] * len(folders):
        sizes = []
        for folder, count in zip(folders, counts, strict=True):
            known = [source.number() for _ in range(count - 1)] if kind == 0x09 else []
            sizes.append([*known, folder.size - sum(known)] if count else [])
            if any(size < 0 for size in sizes[-1]) or len(sizes[-1]) != count:
                raise DamagedError("the files of a folder are larger than itself")
        kind = source.byte() if kind == 0x09 else kind
    own = [folder.streams[0][1] if count == 1 else None for folder, count in zip(folders, counts, strict=True)]
    wanted = sum(count for count, crc in zip(counts, own, strict=True) if crc is None)
    sums: list[int | None] = [None] * wanted
    while kind:
        if kind != 0x0A:
            raise DamagedError(f"an unknown part {kind} of the files in folders")
        sums = source.checksums(wanted)
        kind = source.byte()
    divided, rest = [], iter(sums)
    for folder, crc, parts in zip(folders, own, sizes, strict=True):
        streams = tuple((size, crc if crc is not None else next(rest)) for size in parts)
        divided.append(replace(folder, streams=streams))
    return divided


def _entries(source: Source, max_members: int) -> list[Entry]:
    count = source.number()
    if count > max_members:
        raise TooMuchError(f"{count} members; see max_members")
    names, times, attributes = [""] * count, [0.0] * count, [0] * count
    empty = [False] * count
    files: list[bool] = []
    anti: list[bool] = []
    while kind := source.byte():
        part = Source(source.take(source.number()))
        match kind:
            case 0x0E:
                empty = part.bits(count)
            case 0x0F:
                files = part.bits(sum(empty))
            case 0x10:
                anti = part.bits(sum(empty))
            case 0x11:
                names = _names(part, count)
            case 0x14:
                there = part.optional_bits(count)
                _require_inside(part)
                times = [struct.unpack("<Q", part.take(8))[0] / 1e7 - _EPOCH if one else 0.0 for one in there]
            case 0x15:
                there = part.optional_bits(count)
                _require_inside(part)
                attributes = [struct.unpack("<I", part.take(4))[0] if one else 0 for one in there]
    without = iter(range(count))
    entries = []
    for name, is_empty, time, attribute in zip(names, empty, times, attributes, strict=True):
        number = next(without) if is_empty else 0
        is_folder = is_empty and not (number < len(files) and files[number])
        if not (is_empty and number < len(anti) and anti[number]):
            entries.append(Entry(name, not is_empty, is_folder, time, attribute))
    return entries


def _names(part: Source, count: int) -> list[str]:
    _require_inside(part)
    names = part.rest().decode("utf-16-le", "replace").split("\0")[:-1]
    if len(names) < count:
        raise DamagedError("there are fewer names than members")
    return names[:count]


def _require_inside(part: Source) -> None:
    if part.byte():
        raise DamagedError("a part of the header stands elsewhere")
