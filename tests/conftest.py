"""What all tests share.

The plug-in package of `tests/plugin` is installed as far as Python can tell. No test reaches a hub. Hypothesis draws
the same examples in every run, with no limit by the clock; `pytest --hypothesis-profile explore` looks for others.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

PLUGIN = str(Path(__file__).parent / "plugin")
sys.path.insert(0, PLUGIN)
# Workers are processes of their own and find the plug-in by the same path.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [PLUGIN, os.environ.get("PYTHONPATH")]))

# No test reaches a hub, whichever module imports transformers first.
os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("explore"), derandomize=True)
settings.load_profile("repeatable")
