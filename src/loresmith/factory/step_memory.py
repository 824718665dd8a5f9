"""How much memory a step takes, with all processes that it has started."""

from __future__ import annotations

import time

SECONDS = 0.25
"""Between two looks, at least."""

COST = 0.01
"""The share of a core's time that looking may take, at most."""


class StepMemory:
    """The most memory that a process and its descendants have been seen to have, all at one time.

    It is the largest of sums over samples, and not the sum of each process's own high-water mark: workers that come one
    after the other, or that are large in turn, would count as if they had been there together, and a forecast of so
    much would turn away machines on which the step fits. A peak between two looks is missed; of the step's first
    process the exact one is known besides (`loresmith.factory.work.peak_bytes`), and the larger of the two counts.

    Pages of files and of shared memory, such as those of libraries, are the same pages in most of the processes. They
    count once: as many as the process has that has the most. All other resident pages are each process's own.
    """

    def __init__(self, pid: int) -> None:
        """Args:
        pid: the step's first process, a child of this one.
        """
        import psutil

        self.peak = 0
        self._psutil = psutil
        self._process = psutil.Process(pid)
        self._due = 0.0

    def look(self) -> None:
        """Take a sample, unless the last one was a moment ago: the dearer a look is, the rarer."""
        if time.monotonic() < self._due:
            return
        started = time.thread_time()
        self.peak = max(self.peak, self._resident())
        self._due = time.monotonic() + max(SECONDS, (time.thread_time() - started) / COST)

    def _resident(self) -> int:
        own, shared = 0, 0
        try:
            processes = [self._process, *self._process.children(recursive=True)]
        except self._psutil.Error:  # it has ended
            return 0
        for process in processes:
            try:
                memory = process.memory_info()
            except self._psutil.Error:  # this one has
                continue
            of_files = getattr(memory, "shared", 0)  # Linux alone says so
            own += memory.rss - of_files
            shared = max(shared, of_files)
        return own + shared
