"""Everything that can be asked of a workspace: one file a noun, one `Call` a command."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from loresmith.sdk.call import AnyCall, Call, FolderCall

NOUNS = (
    "workspace",
    "recipes",
    "runs",
    "summary",
    "assets",
    "data_preview",
    "data_show",
    "data_diff",
    "data_export",
    "data_contamination",
    "data_readiness",
    "data_erase",
    "books",
    "lineage",
    "reproduce",
    "releases",
    "architectures",
    "certify",
    "inspect",
    "models",
    "fill",
    "serve",
    "index",
    "keys",
    "policy",
    "policy_replay",
    "guards",
    "ledger",
    "audit",
    "traffic",
    "feedback",
    "steps",
)
"""The files of this folder, in the order in which a person meets them."""


def all_calls() -> Iterator[AnyCall]:
    """Every call, in the order of the documentation."""
    for noun in NOUNS:
        for value in vars(import_module(f"{__name__}.{noun}")).values():
            if isinstance(value, Call | FolderCall):
                yield value
