"""The playground as people use it: in a real browser, by the keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window; skips the test where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="there is no playwright: pip install '.[test-slow]'")
    with api.sync_playwright() as playwright:
        of_the_machine = (shutil.which(name) for name in CHROMIUMS)
        program = next(filter(None, of_the_machine), playwright.chromium.executable_path)
        if not Path(program).exists():
            pytest.skip("there is no Chromium: `apt-get install chromium`, or `python -m playwright install chromium`")
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@contextmanager
def opened(browser: Any, address: str) -> Iterator[Any]:
    """The page of a gateway, as a new visitor has it; nothing may go wrong in it."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda fault: faults.append(str(fault)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    page.goto(address)
    yield page
    assert faults == []
    context.close()


def connect(page: Any, key: str) -> None:
    page.get_by_label("API key", exact=True).fill(key)
    page.keyboard.press("Enter")


def ask(page: Any, text: str) -> Any:
    """Ask by the keyboard alone; the answer's element, once it is complete."""
    page.wait_for_selector("#message:focus")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_selector("#log li.assistant:last-child:not([aria-busy])")
    return page.locator("#log li.assistant").last
