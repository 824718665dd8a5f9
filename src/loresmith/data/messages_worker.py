"""A process that reads files of conversations: `python -m loresmith.data.messages_worker REPLIES PARENT FIELDS LIMITS`.

It takes a task a line on standard input: where a file lies, what it is called, and where its lines go. On the pipe
REPLIES it says first whether it has a network, and then after each file that its lines are there. A file over which it
ends is found out by its silence.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path

from loresmith.data.messages_lines import message_lines
from loresmith.data.reading.isolation import leave_the_network
from loresmith.data.reading.limits import Limits, limit_memory, limit_seconds
from loresmith.data.reading.worker import DISK, MEMORY
from loresmith.parent_process import die_with

BYTES_A_SECOND = 1 << 20
"""Of a file, for which it may take so much longer: files of conversations are large."""


def seconds_for(size: int, limits: Limits) -> float:
    """Seconds of the processor's time that a file of so many bytes may take."""
    return limits.seconds + size / BYTES_A_SECOND


def main(arguments: list[str]) -> None:
    replies, parent = int(arguments[0]), int(arguments[1])
    fields, limits = json.loads(arguments[2]), Limits(**json.loads(arguments[3]))
    die_with(parent)
    for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they reach the whole group; the step decides
        signal.signal(asked, signal.SIG_IGN)
    os.write(replies, leave_the_network().encode() + b"\n")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin.buffer:
        task = json.loads(line)
        data = Path(task["path"]).read_bytes()
        limit_memory(limits.memory_bytes)
        limit_seconds(seconds_for(len(data), limits))
        try:
            with Path(task["to"]).open("w", encoding="ascii") as lines:
                for found in message_lines(data, task["name"], fields):
                    lines.write(json.dumps(found.packed()) + "\n")
        except MemoryError:
            os._exit(MEMORY)  # not sys.exit, which needs some
        except OSError:
            os._exit(DISK)
        del data
        os.write(replies, b"done\n")


if __name__ == "__main__":
    main(sys.argv[1:])
