"""Loresmith: a self-hosted model factory that keeps books."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loresmith.sdk.workspace import Workspace

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the SDK only when it is asked for, so that `import loresmith` costs nothing."""
    if name == "Workspace":
        from loresmith.sdk.workspace import Workspace

        return Workspace
    raise AttributeError(f"module 'loresmith' has no attribute {name!r}")
