"""The routes of the playground. They say nothing of anybody, so they need no caller; all that it asks for does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

_FOLDER = Path(__file__).parent
_FILES = {
    "/": ("playground.html", "text/html; charset=utf-8"),
    "/playground.css": ("playground.css", "text/css; charset=utf-8"),
    "/playground.js": ("playground.js", "text/javascript; charset=utf-8"),
}

ROUTES = frozenset(_FILES)

_HEADERS = {
    # Nothing but these files is run or asked for, and no text can become a script or a form.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def add_playground(app: FastAPI) -> None:
    """Put the pages into the application."""
    for route, (name, kind) in _FILES.items():
        app.get(route, include_in_schema=False)(_page((_FOLDER / name).read_bytes(), kind))


def _page(content: bytes, kind: str) -> Callable[[], Awaitable[Response]]:
    async def page() -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return page
