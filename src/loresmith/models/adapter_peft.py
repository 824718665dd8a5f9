"""peft, imported inside the functions that use it: half a second that a training without an adapter need not wait.

    from loresmith.models.adapter_peft import peft

It comes after `offline`, whose settings keep it and what it imports from reaching a network.
"""

from __future__ import annotations

import importlib
from typing import Any

from loresmith.models.offline import transformers

assert transformers is not None

peft: Any = importlib.import_module("peft")
lora_layer: Any = importlib.import_module("peft.tuners.lora.layer")

__all__ = ["lora_layer", "peft"]
