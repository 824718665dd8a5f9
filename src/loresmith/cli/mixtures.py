"""The sources of a mixture, for people."""

from __future__ import annotations

from collections.abc import Sequence

from loresmith.cli.screen import Screen, size
from loresmith.sdk.mixtures import MixtureSource


def show_sources(sources: Sequence[MixtureSource], screen: Screen) -> None:
    """A table: shares of the text to train on, and of what is held out."""
    columns = ("source", "after curation", "wanted", "to train on", "epochs", "repeated", "validation", "test")
    screen.table(
        columns,
        (
            (
                source.name,
                f"{source.available:.1%}",
                f"{source.wanted:.1%}",
                f"{source.train:.1%}",
                f"{source.epochs:.4g} of {source.epochs_cap:g}",
                size(source.repeated_bytes),
                f"{source.validation:.1%}",
                f"{source.test:.1%}",
            )
            for source in sources
        ),
        right=columns[1:],
    )
