"""The rules by their names, as a profile lists them."""

from __future__ import annotations

from collections.abc import Mapping

from loresmith.data.rules.code_quality import CodeQuality
from loresmith.data.rules.finding import DocumentRule
from loresmith.data.rules.language import Language
from loresmith.data.rules.measures import Measures
from loresmith.data.rules.navigation import Navigation
from loresmith.data.rules.page_furniture import PageFurniture
from loresmith.data.rules.repair import Repair

RULES: Mapping[str, DocumentRule] = {
    rule.name: rule for rule in (Repair(), PageFurniture(), Navigation(), Language(), Measures(), CodeQuality())
}
"""Those that need nothing from outside. `boilerplate` needs counts over all documents, and `perplexity` a model."""
