"""A process that carries out functions: `python -m loresmith.data.engine.worker DESCRIPTOR PARENT`.

It gets functions with their items on the socket DESCRIPTOR, after the parent's module path, and sends back whether it
went well, with the result or the exception.
"""

from __future__ import annotations

import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from loresmith.errors import Failure, LoresmithError
from loresmith.parent_process import die_with


def carried_out(task: bytes) -> bytes:
    """The answer to a pickled function and item: whether it went well, with the result or the exception."""
    try:
        function, item = pickle.loads(task)  # noqa: S301 - of the process that started this one
        return pickle.dumps((True, function(item)))
    except Exception as error:  # noqa: BLE001 - it is raised again where the function was called from
        return pickle.dumps((False, _portable(error)))


def _portable(error: Exception) -> Exception:
    """The exception, or one that says the same if it cannot leave this process; with where it was raised."""
    if not isinstance(error, LoresmithError):
        error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - written a moment ago
    except Exception:  # noqa: BLE001 - whatever its own pickling does
        return Failure(f"{type(error).__name__}: {error}")
    return error


def main(arguments: list[str]) -> None:
    connection: Connection[Any, Any] = Connection(int(arguments[0]))
    die_with(int(arguments[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal group; the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        sys.path[:] = pickle.loads(connection.recv_bytes())  # noqa: S301 - of the process that started this one
        while True:
            connection.send_bytes(carried_out(connection.recv_bytes()))
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return  # the parent is gone, or needs it no longer


if __name__ == "__main__":
    main(sys.argv[1:])
