"""The report as one HTML file, for people: it needs nothing beside it, runs nothing, and prints well."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from loresmith.advice import figures
from loresmith.advice.plots import bars, curve_plot, sizes_plot, spreads_plot
from loresmith.advice.readiness import Readiness
from loresmith.advice.verdict_rules import LEVELS

TEMPLATE = Path(__file__).with_name("page.html.jinja")

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Characters that would not be seen, or that turn round those beside them."""


def page(report: Readiness) -> str:
    """The page; whatever the report quotes is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "count": figures.count,
        "size": figures.size,
        "percent": figures.percent,
        "hours": figures.hours,
        "plain": figures.plain,
        "seen": seen,
        "prose": prose,
    }
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(r=report, levels=LEVELS, plots=_plots(report))


def seen(name: str) -> str:
    """A name with what would not be seen written out: `a\\u202eb`."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", name)


def prose(text: str) -> Markup:
    """A sentence in which what stands in backticks is code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _plots(report: Readiness) -> dict[str, Markup]:
    plots = {
        "formats": bars("Formats, by share of the text", report.contents.formats),
        "languages": bars("Languages, by share of the text", report.languages.shares, "cannot be told"),
        "uses": bars("What the text may be used for", report.contents.rights.uses),
    }
    shares = [spread for spread in report.quality.spreads if spread.p5 >= 0 and spread.p95 <= 1]
    for profile in sorted({spread.profile for spread in shares}):
        plots[f"quality {profile}"] = spreads_plot([spread for spread in shares if spread.profile == profile])
    if report.sizes:
        plots["sizes"] = sizes_plot(report.sizes, report.tokens.different)
    if report.pilot.curve.points:
        plots["curve"] = curve_plot(report.pilot.curve)
    return plots
