"""A real browser that may speak with this machine alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PATIENCE_MS = 60_000


def missing(what: str, line: str) -> None:
    """Skip for want of something; on CI, where all of it has to be there, fail."""
    reason = f"{what} is missing; run: {line}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright", "pip install playwright")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        missing("Chromium", "sudo apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def open_tab(browser: Any) -> Iterator[Any]:
    """`open_tab(width=1440)` opens a tab of its own; at the end no tab may have asked for anything from elsewhere."""
    outside: list[str] = []
    contexts: list[Any] = []

    def watch(request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname not in LOOPBACK:
            outside.append(request.url)

    def open_one(width: int = 1440, height: int = 900, scheme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        context.on("request", watch)
        tab = context.new_page()
        tab.on("websocket", lambda socket: watch(socket))
        tab.set_default_timeout(PATIENCE_MS)
        return tab

    yield open_one
    for context in contexts:
        context.close()
    assert outside == []
