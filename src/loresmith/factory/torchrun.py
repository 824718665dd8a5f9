"""`python -m loresmith.factory.torchrun PARENT ...`: torchrun, which ends with the process that started it.

A PARENT of 0 stands for none, where another machine's process started it.
"""

from __future__ import annotations

import os
import signal
import sys

from loresmith.factory.parent import die_with


def main(arguments: list[str]) -> None:
    from torch.distributed.run import main as torchrun

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the factory decides; Ctrl-C reaches the whole terminal group
    die_with(int(arguments[0]) or os.getppid())
    torchrun(arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
