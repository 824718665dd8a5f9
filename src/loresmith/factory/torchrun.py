"""`python -m loresmith.factory.torchrun PARENT EVENTS ...`: torchrun, which ends with the process that started it.

A PARENT of 0 stands for none, where another machine's process started it. How processes ended that torchrun had started
it tells whoever listens at the named pipe EVENTS: one that was killed could not say so itself.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from loresmith.factory.events import writer_to
from loresmith.parent_process import die_with

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

_SECONDS_TOGETHER = 5
"""Whatever ended later than this after the first was ended by torchrun, on its account."""


def main(arguments: list[str]) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the factory decides; Ctrl-C reaches the whole terminal group
    parent, events, *options = arguments
    die_with(int(parent) or os.getppid())
    try:
        torchrun(options)
    except ChildFailedError as error:
        own = _own_ends(error)
        writer_to(events).send("ranks-ended", statuses=own, others=sorted(error.failures.keys() - own.keys()))
        raise


def _own_ends(error: ChildFailedError) -> dict[int, int]:
    """Exit statuses by rank, negative for a signal, of the processes that torchrun did not end itself, by SIGTERM."""
    first = min(failure.timestamp for failure in error.failures.values())
    return {
        rank: failure.exitcode
        for rank, failure in sorted(error.failures.items())
        if failure.timestamp - first <= _SECONDS_TOGETHER and failure.exitcode != -signal.SIGTERM
    }


if __name__ == "__main__":
    main(sys.argv[1:])
