"""Numbers as a person reads them, in reports."""

from __future__ import annotations


def count(value: float) -> str:
    """`950`, `3.1 k`, `2.0 M`, `1.5 G`."""
    for unit in ("", " k", " M", " G", " T"):
        if abs(value) < 999.5 or unit == " T":
            return f"{value:.0f}{unit}" if unit == "" or abs(value) >= 99.95 else f"{value:.1f}{unit}"
        value /= 1000
    raise AssertionError


def size(value: float) -> str:
    """Bytes: `950 B`, `3.1 kB`, `2.0 MB`."""
    said = count(value)
    return f"{said}B" if " " in said else f"{said} B"


def percent(share: float) -> str:
    """A share from 0 to 1: `12 %`, `0.3 %`, `<0.1 %`; only all of it is `100 %`, and only nothing `0 %`."""
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    if 99.5 <= value < 100:
        return ">99 %"
    return f"{value:.0f} %" if value >= 10 or value == round(value) else f"{value:.1f} %"


def hours(value: float) -> str:
    """A duration: `40 s`, `12 min`, `3.5 h`, `4 days`, `2 years`."""
    seconds = value * 3600
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if value < 48:
        return f"{value:.1f} h"
    days = value / 24
    return f"{days:,.0f} days" if days < 700 else f"{days / 365:,.0f} years"


def plain(value: float) -> str:
    """A measure: `0.83`, `4.2`, `1,234`."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 10 or value == round(value):
        return f"{value:.0f}" if value == round(value) else f"{value:.1f}"
    return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}"
