"""Plots as SVG inside the page: no script, no font and no address from outside; colours are the page's, light or dark.

Every plot has a title and a description for those who cannot see it, and stands beside a table of the same numbers.
Whatever is text is escaped: names in a corpus are anybody's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from loresmith.advice.figures import count, percent
from loresmith.advice.laws import EPOCHS_WORTHWHILE
from loresmith.advice.learning_curve import LearningCurve
from loresmith.advice.model_sizes import ModelSize
from loresmith.advice.part import Share
from loresmith.advice.quality import Spread

WIDTH = 720
ROW = 26
LABEL = 190
"""Left of the plot itself, for names."""
LONGEST_LABEL = 26
RIGHT = 90


def bars(title: str, shares: Sequence[Share], unnamed: str = "not known") -> Markup:
    """A bar for each share, from 0 to all of it."""
    inside = []
    room = WIDTH - LABEL - RIGHT
    for number, share in enumerate(shares):
        y = number * ROW
        inside += [
            _label(share.name or unnamed, y),
            _rect("track", LABEL, y + 5, room, 14),
            _rect("bar", LABEL, y + 5, max(1.0, room * min(1.0, share.share)), 14),
            _text("value", LABEL + room + 8, y + 17, percent(share.share)),
        ]
    said = ", ".join(f"{share.name or unnamed} {percent(share.share)}" for share in shares)
    return _svg(title, said, len(shares) * ROW, inside)


def sizes_plot(sizes: Sequence[ModelSize], different: float) -> Markup:
    """What each size wants, on a scale of powers of ten, over what there is."""
    low = min([size.tokens_wanted for size in sizes] + ([different] if different >= 1 else []))
    high = max([size.tokens_wanted for size in sizes] + [EPOCHS_WORTHWHILE * different])
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    height = len(sizes) * ROW
    room = WIDTH - LABEL - RIGHT

    def x(tokens: float) -> float:
        return LABEL + room * (math.log10(max(tokens, 10**first)) - first) / (last - first)

    inside = []
    once, four = x(different), x(EPOCHS_WORTHWHILE * different)
    inside += [_rect("have", LABEL, 0, once - LABEL, height), _rect("repeated", once, 0, four - once, height)]
    for power in range(first, last + 1):
        inside += [
            _line("grid", x(10**power), 0, x(10**power), height),
            _centred(x(10**power), height + 16, _tick(10**power)),
        ]
    for number, size in enumerate(sizes):
        middle = number * ROW + ROW / 2
        kind = {"enough": "good", "enough if repeated": "fair"}.get(size.enough, "poor")
        inside += [
            _label(f"{count(size.parameters)} parameters", number * ROW),
            _line("stem", LABEL, middle, x(size.tokens_wanted), middle),
            Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="5.5"/>').format(kind, x(size.tokens_wanted), middle),
            _text("value", LABEL + room + 8, middle + 4, count(size.tokens_wanted)),
        ]
    inside += [_line("mark", once, 0, once, height), _centred(LABEL + room / 2, height + 34, "tokens (powers of ten)")]
    said = f"there are {count(different)} different tokens; " + ", ".join(
        f"{count(size.parameters)} parameters want {count(size.tokens_wanted)}" for size in sizes
    )
    return _svg("Tokens that models of each size want, over those at hand", said, height + 40, inside)


def curve_plot(curve: LearningCurve) -> Markup:
    """The points, the fitted curve and its interval; a broken line beyond the most text that was tried."""
    points, line = curve.points, curve.line
    xs = [math.log10(tokens) for tokens in (*(point.tokens for point in points), *(point.tokens for point in line))]
    ys = [point.bits_per_byte for point in points] + [
        end for point in line for end in (point.interval.low, point.interval.high)
    ]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    margin = (high - low) * 0.08 or 0.05
    low, high = low - margin, high + margin
    span = (right - left) or 1.0
    plot_left, plot_right, height = 64, WIDTH - 20, 260

    def x(tokens: float) -> float:
        return plot_left + (plot_right - plot_left) * (math.log10(tokens) - left) / span

    def y(bits: float) -> float:
        return height * (high - bits) / (high - low)

    inside = []
    for bits in _round_numbers(low, high):
        inside += [
            _line("grid", plot_left, y(bits), plot_right, y(bits)),
            _text("tick", plot_left - 8, y(bits) + 4, f"{bits:.2f}", "end"),
        ]
    for tokens in _one_two_five(10**left, 10**right):
        inside += [_line("grid", x(tokens), 0, x(tokens), height), _centred(x(tokens), height + 16, _tick(tokens))]
    if line:
        upper = [(x(point.tokens), y(point.interval.high)) for point in line]
        lower = [(x(point.tokens), y(point.interval.low)) for point in line]
        most = max(point.tokens for point in points)
        measured = [point for point in line if point.tokens <= most * 1.001]
        beyond = line[max(0, len(measured) - 1) :]
        inside.append(Markup('<polygon class="band" points="{}"/>').format(_joined([*upper, *lower[::-1]])))
        for kind, some in (("curve", measured), ("beyond", beyond)):
            path = _joined([(x(point.tokens), y(point.bits_per_byte)) for point in some])
            inside.append(Markup('<polyline class="{}" points="{}"/>').format(kind, path))
    for point in points:
        place = (x(point.tokens), y(point.bits_per_byte))
        inside.append(Markup('<circle class="point" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(*place))
    inside.append(_centred((plot_left + plot_right) / 2, height + 34, "tokens learnt from (powers of ten)"))
    inside.append(_text("tick", plot_left - 56, -10, "held-out bits per byte"))
    said = ", ".join(f"{count(point.tokens)} tokens {point.bits_per_byte:.3f} bits per byte" for point in points)
    return _svg(
        "Held-out loss of the pilot's models by how much text they learnt from", said, height + 40, inside, top=24
    )


def spreads_plot(spreads: Sequence[Spread]) -> Markup:
    """Of measures between 0 and 1: a line from the 5th to the 95th percentile, a box for the middle half, the median;
    what a profile does not allow is shaded."""
    left = 300
    room = WIDTH - left - 30
    inside = []
    height = len(spreads) * ROW
    for share in (0, 0.25, 0.5, 0.75, 1):
        inside += [
            _line("grid", left + room * share, 0, left + room * share, height),
            _centred(left + room * share, height + 16, f"{share:g}"),
        ]
    for number, spread in enumerate(spreads):
        y = number * ROW
        middle = y + ROW / 2
        if spread.minimum is not None and 0 < spread.minimum <= 1:
            inside.append(_rect("outside", left, y + 4, room * spread.minimum, ROW - 8))
        if spread.maximum is not None and 0 <= spread.maximum < 1:
            inside.append(_rect("outside", left + room * spread.maximum, y + 4, room * (1 - spread.maximum), ROW - 8))
        inside += [
            _label(f"{spread.meaning}", y, left, 40),
            _line("whisker", left + room * spread.p5, middle, left + room * spread.p95, middle),
            _rect("bar", left + room * spread.p25, middle - 6, max(1.5, room * (spread.p75 - spread.p25)), 12),
            _line("median", left + room * spread.p50, middle - 8, left + room * spread.p50, middle + 8),
        ]
    said = ", ".join(f"{spread.meaning}: half are below {spread.p50:.2f}" for spread in spreads)
    return _svg("How measures of the text are spread over its documents", said, height + 22, inside)


def _round_numbers(low: float, high: float) -> list[float]:
    step = 10 ** math.floor(math.log10(high - low))
    step = next(step * factor for factor in (0.1, 0.2, 0.5, 1.0) if (high - low) / (step * factor) <= 7)
    return [n * step for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _one_two_five(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]


def _tick(value: float) -> str:
    return count(value).replace(".0", "")


def _joined(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _svg(title: str, said: str, height: float, inside: Sequence[Markup], top: float = 4) -> Markup:
    body = Markup("").join(inside)
    return Markup(
        '<svg role="img" viewBox="0 {} {} {}" xmlns="http://www.w3.org/2000/svg"><title>{}</title><desc>{}</desc>{}</svg>'
    ).format(-top, WIDTH, height + top + 4, title, said, body)


def _label(name: str, y: float, right: float = LABEL, longest: int = LONGEST_LABEL) -> Markup:
    shown = name if len(name) <= longest else f"{name[: longest - 1]}…"
    return _text("label", right - 10, y + 17, shown, "end")


def _text(kind: str, x: float, y: float, said: str, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, escape(said)
    )


def _centred(x: float, y: float, said: str) -> Markup:
    return _text("tick", x, y, said, "middle")


def _rect(kind: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, x, y, max(0.0, width), height
    )


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)
