"""A process that reads files: `python -m loresmith.data.reading.worker REPLIES PARENT SPOOL RULES LIMITS`.

It takes a task a line on standard input and answers on the pipe REPLIES, each answer after its length; before the first
it says whether it has a network. Whatever a reader does is answered or ends this process; the pool finds out which file
it was at, and starts another.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from loresmith.data.decoding import UndecodableError
from loresmith.data.file_types import HEAD_BYTES, FileType, file_type
from loresmith.data.readers.complaint import complaint
from loresmith.data.readers.record import Member, ReadingRules, Record, Refused
from loresmith.data.reading.extraction import Extraction, FoundMember, encode_rows, refusal
from loresmith.data.reading.isolation import leave_the_network
from loresmith.data.reading.limits import Limits, limit_memory, limit_seconds
from loresmith.data.recognition.models import RecognitionModels, load_networks
from loresmith.errors import UserError
from loresmith.parent_process import die_with

LENGTH_BYTES = 8
DISK, MEMORY, MODELS = 74, 75, 76
"""Exit statuses: what is in an archive cannot be written to the disk; there is too little memory; the models that
recognise text are not what they were."""

_MEDIA = ("image/", "audio/")


def rules_of(written: str) -> ReadingRules:
    """Reading rules as JSON has them, tuples as lists."""
    settings: dict[str, Any] = json.loads(written)
    settings["encodings"] = tuple(settings["encodings"])
    if settings["ocr"] is not None:
        settings["ocr"] = RecognitionModels(**settings["ocr"])
    return ReadingRules(**settings)


def read_file(data: bytes, name: str, rules: ReadingRules, spool: Path, room: int = sys.maxsize) -> Extraction:
    """Read a file; its members are written to `spool`, numbered from 0.

    Of members that are more than `room` bytes together only the first are written, and all are named.
    Whatever a reader raises that it should not is a refusal too: a file must not stop the others.
    """
    kind = file_type(name, data[:HEAD_BYTES])
    found: list[Record | Refused] = []
    members: list[FoundMember] = []
    unpacked = 0

    def ended(reason: str, detail: str) -> Extraction:
        return refusal(reason, detail, len(data), kind.media_type)

    try:
        for part in kind.read(data, rules):
            if isinstance(part, Member):
                unpacked += len(part.data)
                if unpacked <= room:
                    _spool(spool / str(len(members)), part.data)
                digest = hashlib.sha256(part.data).hexdigest()
                members.append(FoundMember(part.name, len(part.data), digest, part.modified))
            else:
                found.append(_sound(part, kind))
    except UndecodableError as error:
        return ended("undecodable", str(error))
    except RecursionError:
        return ended("nested too deeply", "the reader's stack is full")
    except (MemoryError, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a reader's defect, or a native library's panic: the file's bad luck
        return ended("crashed the reader", f"{complaint(error)}{_met_at(error)}")
    if not found and not members:
        found.append(Refused("empty", "there is nothing in it", len(data)))
    return Extraction(kind.media_type, kind.language, encode_rows(found), tuple(members))


def _met_at(error: BaseException) -> str:
    """The last place in this project that an error went through, for whoever mends it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "loresmith" in Path(frame.filename).parts]
    return f", at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


def _spool(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError:
        sys.exit(DISK)


def _sound(part: Record | Refused, kind: FileType) -> Record | Refused:
    """A record that can be written down and says something; or its refusal."""
    if isinstance(part, Refused):
        return part
    try:
        part.text.encode()
    except UnicodeEncodeError:
        return Refused("undecodable", "half of a surrogate pair", part.bytes, part.anchor)
    if not part.text.strip() and not (part.media_type or kind.media_type).startswith(_MEDIA):
        return Refused("empty", "no text in it", part.bytes, part.anchor)
    return part


def main(arguments: list[str]) -> None:
    replies, parent, spool = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    rules, limits = rules_of(arguments[3]), Limits(**json.loads(arguments[4]))
    die_with(parent)
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they reach the whole group; the step decides
        signal.signal(asked, signal.SIG_IGN)
    isolation = leave_the_network()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if rules.ocr is not None:  # before what they take counts as a file's
        try:
            load_networks(rules.ocr)
        except UserError:
            sys.exit(MODELS)
    limit_memory(limits.memory_bytes)
    _answer(replies, isolation.encode())
    for line in sys.stdin.buffer:
        task: dict[str, Any] = json.loads(line)
        limit_seconds(limits.seconds)
        own = spool / str(task["number"])
        own.mkdir()
        try:
            data = Path(task["path"]).read_bytes()
            extraction = read_file(data, task["name"], rules, own, task["room"])
            answer = extraction.to_bytes()
        except MemoryError:
            os._exit(MEMORY)  # not sys.exit, which needs some
        if not any(own.iterdir()):
            own.rmdir()
        _answer(replies, answer)


def _answer(descriptor: int, data: bytes) -> None:
    view = memoryview(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main(sys.argv[1:])
