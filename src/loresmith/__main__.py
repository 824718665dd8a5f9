"""`python -m loresmith` is `loresmith`."""

from __future__ import annotations

import sys

from loresmith.cli.main import main

sys.exit(main())
