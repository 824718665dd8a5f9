"""Numbers as a person reads them."""

from __future__ import annotations


def size(count: float) -> str:
    """Bytes: `1.2 MB` (powers of 1000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def share(part: float) -> str:
    """A share from 0 to 1: `12.3 %`."""
    return f"{part:.1%}".replace("%", " %")


def figure(value: float) -> str:
    """A score: `0.0123`, `50`, `100,000`."""
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10_000 else f"{value:.3g}"


def limits(minimum: float | None, maximum: float | None) -> str:
    """A bound: `from 50 to 100,000`, `from 5`, `to 0.3`."""
    said = [] if minimum is None else [f"from {figure(minimum)}"]
    said += [] if maximum is None else [f"to {figure(maximum)}"]
    return " ".join(said)
