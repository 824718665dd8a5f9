"""How a file's path is written down: always Unicode, on one line, and different for different files.

On POSIX a file name is any bytes but `/` and NUL: line feeds, and bytes that are not UTF-8, included.
"""

from __future__ import annotations

import hashlib
import re

LONGEST_PATH = 2000
"""In bytes. Operating systems stop at 4,096, and what is stored lies below a folder of its own."""

_LONGEST_NAME = 240
_FOLDER = re.compile("!$")  # `a!/b` is a file b in the archive a
_WRITTEN = re.compile(r"\\x([0-9a-f]{2})")
_AWKWARD = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


def path_name(path: str) -> str:
    """The written form of a relative path as Python's `os` gives it (undecodable bytes as lone surrogates).

    Control characters, backslashes and undecodable bytes are written `\\xNN`. A component that grows past what file
    systems take keeps its beginning and gets a digest for the rest.
    """
    *folders, name = map(_component_name, path.split("/"))
    return "/".join([*(_FOLDER.sub(r"\\x21", folder) for folder in folders), name])


def raw_path(name: str) -> str:
    """The path as Python's `os` gives it, of a path as `path_name` wrote it.

    A component that was cut short stays so: its end is not written anywhere.
    """
    return _WRITTEN.sub(_raw_character, name)


def _raw_character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return chr(code) if code < 0x80 else chr(0xDC00 + code)


def _component_name(component: str) -> str:
    name = _AWKWARD.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", component)
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(component.encode(errors="surrogateescape")).hexdigest()[:16]
    return f"{encoded[: _LONGEST_NAME - 20].decode(errors='ignore')}~{digest}"
