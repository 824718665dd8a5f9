"""What software and machine an action ran on: part of it decides which action it is, all of it is written down.

Three parts, since three places know them. The plan knows what belongs to the action key; the factory knows the
machine; and only the process that computed knows with which libraries, built how, it did so.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loresmith.factory.step import Step

_INSTRUCTIONS = ("amx", "asimd", "avx", "bf16", "f16c", "fma", "i8mm", "sse4", "sve")
"""Beginnings of the names of the instruction sets by which numerical libraries choose their kernels."""

_VARIABLES = re.compile(
    r"(ATEN|BLIS|CUBLAS|CUDA|CUDNN|DNNL|GLOO|GOMP|HIP|KMP|MKL|NCCL|NVIDIA|OMP|ONEDNN|OPENBLAS|PYTORCH|RAYON|TORCH"
    r"|TORCHINDUCTOR|VECLIB)_.*|LANG|LC_.*|LD_PRELOAD|PYTHONHASHSEED|TOKENIZERS_PARALLELISM|TZ"
)
"""Variables of the process's environment that reach the bits of a result: through the threads and kernels of numerical
libraries, the order of hashes, or the locale. No others are written down, since others may hold secrets."""

_PLACES = re.compile(r".*_(CACHE|DIR|FILE|HOME|PATH)")
"""Those of them that only say where something lies."""


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
    declares. A patch release or another host name does not redo a month of training, and neither does another number
    of threads or another processor, though they may decide the last bit of a sum: `full_environment` and
    `computing_environment` write those down, so that `loresmith reproduce` can name them.
    """
    major, minor, _ = platform.python_version_tuple()
    return {
        "machine": platform.machine(),
        "packages": _versions(step.packages),
        "python": f"{major}.{minor}",
    }


def full_environment(step: Step, threads: int) -> dict[str, Any]:
    """All that the factory writes down beside an action, for those who have to explain a difference later."""
    model, instructions = _processor()
    return {
        **deciding_environment(step),
        "host": socket.gethostname(),
        "operating_system": platform.platform(),
        "processor": model,
        "instructions": list(instructions),
        "cores": os.cpu_count() or 1,
        "threads": threads,
        "loresmith": version("loresmith"),
        "code": {name: _code_digest(name) for name in sorted({"loresmith", step.run.__module__.partition(".")[0]})},
        "python_build": platform.python_version(),
    }


def computing_environment() -> dict[str, Any]:
    """What the calling process has computed with; asked of a step's process when its work is done.

    The variables of its environment that reach a result, and how numpy and torch were built and set, if it used them.
    """
    found: dict[str, Any] = {
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if _VARIABLES.fullmatch(name) and not _PLACES.fullmatch(name)
        }
    }
    if "numpy" in sys.modules:
        found["numpy"] = _numpy()
    if "torch" in sys.modules:
        found["torch"] = _torch()
    return found


def _numpy() -> dict[str, Any]:
    import numpy as np

    built: Mapping[str, Any] = np.show_config(mode="dicts")
    blas = built["Build Dependencies"]["blas"]
    return {
        "version": np.__version__,
        "blas": f"{blas.get('name')} {blas.get('version')}",
        "kernels": list(built["SIMD Extensions"].get("found", ())),
    }


def _torch() -> dict[str, Any]:
    import torch

    built = torch.__config__.show()
    found: dict[str, Any] = {
        "version": str(torch.__version__),
        "commit": torch.version.git_version,
        "mkl": _first(r"Math Kernel Library Version (\S+)", built),
        "onednn": _first(r"MKL-DNN (v\S+)", built),
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.version.cuda
        found["cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
        found["devices"] = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return found


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match[1] if match is not None else "absent"


@cache
def _processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name, and its instruction sets that decide which kernels run, where the system tells."""
    model, instructions = "", set[str]()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                name, _, value = (part.strip() for part in line.partition(":"))
                if name == "model name":
                    model = value
                elif name in ("flags", "Features"):  # x86, Arm
                    instructions = {word for word in value.split() if word.startswith(_INSTRUCTIONS)}
                if model and instructions:
                    break
    except OSError:
        pass
    return model or platform.processor() or platform.machine(), tuple(sorted(instructions))


@cache
def _code_digest(package: str) -> str:
    """The digest of a package's Python files: two developers' trees may differ under the same version."""
    file = getattr(sys.modules.get(package), "__file__", None)
    if file is None:
        return "absent"
    root = Path(file).parent
    files = sorted(root.rglob("*.py")) if Path(file).name == "__init__.py" else [Path(file)]
    total = hashlib.sha256()
    for path in files:
        with suppress(FileNotFoundError):  # somebody is at work on it
            code = path.read_bytes()
            total.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(code).hexdigest()}\n".encode())
    return total.hexdigest()[:16]
