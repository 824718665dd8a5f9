"""transformers, imported so that it neither phones home nor chatters. Everyone imports it from here.

    from loresmith.models.offline import transformers

Hugging Face's libraries read these variables when they are imported, and never again: set later, they do nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    TRANSFORMERS_OFFLINE="1",
    TRANSFORMERS_NO_ADVISORY_WARNINGS="1",
    DO_NOT_TRACK="1",
)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")

transformers: Any = importlib.import_module("transformers")

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()

__all__ = ["transformers"]
