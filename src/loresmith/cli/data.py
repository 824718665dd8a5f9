"""`loresmith data`: how each answer is shown to people stands in the file of its topic."""

from __future__ import annotations

from loresmith.cli.data_contamination import CONTAMINATION
from loresmith.cli.data_diff import DIFF
from loresmith.cli.data_erase import ERASE, ERASURES
from loresmith.cli.data_export import EXPORT
from loresmith.cli.data_preview import PREVIEW
from loresmith.cli.data_readiness import READINESS
from loresmith.cli.data_show import SHOW
from loresmith.cli.groups import noun

COMMANDS = {
    "data": noun(
        "data",
        "Data: look at documents before and after they are curated.",
        PREVIEW,
        SHOW,
        DIFF,
        EXPORT,
        CONTAMINATION,
        READINESS,
        ERASE,
        ERASURES,
    ),
}
