"""Characters that nobody sees, or that are no text: control characters, zero-width characters, soft hyphens.

What has a meaning stays: tabs and form feeds, zero-width joiners and non-joiners in the scripts and emoji that need
them, zero-width spaces in scripts that write no others, marks of direction, and soft hyphens where a line ends.
"""

from __future__ import annotations

import re

_NO_SPACES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Myanmar, Khmer
_LATIN = "A-Za-z0-9\u00c0-\u024f"

_CONTROLS = "\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufff9-\ufffb\ufffe\uffff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_TERMINAL_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_OVERSTRUCK = re.compile(r"([^\n\x08])\x08(?=(.))")
_ZERO_WIDTH = re.compile(
    f"(?<![{_NO_SPACES}])\u200b(?![{_NO_SPACES}])|[\u2060\ufeff]|(?<=[{_LATIN}])[\u200c\u200d]+(?=[{_LATIN}])"
)
_SOFT_HYPHEN = re.compile(r"(?<=\w)\u00ad+(?=\w)")

UNSEEN = re.compile(f"[{_CONTROLS}\u00ad\u200b-\u200d\u2060\ufeff]")
"""Any of them, whether it has a meaning or not."""


def without_controls(line: str) -> str:
    """Without control characters; a terminal's escape sequences go as a whole, and of two characters that were typed
    over one another, as manual pages for line printers have bold and underlined text, the second stays."""
    if not _CONTROL.search(line):
        return line
    line = _TERMINAL_ESCAPE.sub("", line)
    if "\x08" in line:
        line = _OVERSTRUCK.sub(lambda struck: struck[1] if struck[2] == "_" else "", line)
        line = re.sub(r"(?<=\S)\x08_", "", line)
    return _CONTROL.sub("", line)


def without_zero_width(line: str) -> str:
    """Without zero-width characters that have no meaning where they stand."""
    return _ZERO_WIDTH.sub("", line)


def without_soft_hyphens(line: str) -> str:
    """Without soft hyphens inside words."""
    return _SOFT_HYPHEN.sub("", line) if "\u00ad" in line else line
