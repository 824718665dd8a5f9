"""What software and machine an action ran on: part of it decides the result, all of it is written down."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from loresmith.factory.step import Step


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def deciding_environment(step: Step) -> dict[str, Any]:
    """The part of the environment that belongs to the action key.

    The Python feature release, the machine's architecture and the versions of the packages that the step
    declares. A patch release or another host name does not redo a month of training.
    """
    major, minor, _ = platform.python_version_tuple()
    return {
        "machine": platform.machine(),
        "packages": _versions(step.packages),
        "python": f"{major}.{minor}",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def full_environment(step: Step, threads: int) -> dict[str, Any]:
    """All that is written down beside an action, for those who have to explain a difference later."""
    return {
        **deciding_environment(step),
        "host": socket.gethostname(),
        "operating_system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": threads,
        "loresmith": version("loresmith"),
        "python_build": platform.python_version(),
    }
