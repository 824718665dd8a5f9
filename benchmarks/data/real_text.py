"""Real text that every machine has: source and documentation of the standard library and of installed packages."""

from __future__ import annotations

import random
import sysconfig
from pathlib import Path

ENDINGS = frozenset({".py", ".rst", ".txt", ".md", ".html", ".pyi", ".json", ".c", ".h"})
SHORTEST, LONGEST = 400, 400_000


def real_texts(size: int, seed: int = 0) -> list[str]:
    """Different texts of about so many bytes together, in random order; fewer if the machine does not have as many."""
    folders = {Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib")}
    paths = sorted({path for folder in folders for path in folder.rglob("*") if path.suffix in ENDINGS})
    random.Random(seed).shuffle(paths)
    texts: dict[str, None] = {}
    total = 0
    for path in paths:
        if total >= size:
            break
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if SHORTEST <= len(text) <= LONGEST and text not in texts:
            texts[text] = None
            total += len(text.encode())
    return list(texts)
