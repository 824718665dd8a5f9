"""What all tests share: the plug-in package of `tests/plugin` is installed as far as Python can tell."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PLUGIN = str(Path(__file__).parent / "plugin")
sys.path.insert(0, PLUGIN)
# Workers are processes of their own and find the plug-in by the same path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PLUGIN, os.environ.get("PYTHONPATH")]))

# No test reaches a hub, whichever module imports transformers first.
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
