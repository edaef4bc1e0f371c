"""How Streamlit is started; what it needs to know beside that stands in `.streamlit/config.toml`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
STOP_SECONDS = 10.0


class Server(Protocol):
    """What uvicorn's server has."""

    should_exit: bool

    def run(self, sockets: Any = None) -> Any:
        """Serve until told to end."""


def page_command(port: int) -> list[str]:
    """The command that serves the page to this machine."""
    return [sys.executable, "-m", "streamlit", "run", str(HERE / "app.py"), "--server.port", str(port)]


def page_environment(api_url: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for it: where the API is, and where the packages are that this one came with.

    Settings of Streamlit's that the user's environment holds are left out: they would go before the file's.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith("STREAMLIT_")}
    path = os.pathsep.join(filter(None, (str(HERE.parent), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "METSEG_API_URL": api_url}


def run_page_at(api_url: str, port: int) -> int:
    """Serve the page for a server that runs already, until Ctrl+C or SIGTERM; the page's exit code."""
    with _page(api_url, port) as page, contextlib.suppress(KeyboardInterrupt):
        return page.wait()
    return 0


def run_page(make_server: Callable[[], Server], port: int) -> int:
    """Serve the page, and the API from this process at a port that is free, until Ctrl+C or SIGTERM.

    The page is there first, and says that its server is starting.

    Args:
        make_server: makes the API's server; that takes a while.
        port: of the page.

    Returns:
        0, or the page's exit code if it ended by itself.
    """
    with socket.create_server((HOST, 0)) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        with _page(address, port) as page, contextlib.suppress(KeyboardInterrupt):
            server = make_server()

            def watch() -> None:
                page.wait()
                server.should_exit = True

            threading.Thread(target=watch, daemon=True).start()
            server.run(sockets=[listening])
            return page.poll() or 0
    return 0


@contextlib.contextmanager
def _page(api_url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The page's process; it is ended with the block, however that ends."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # else a process that is told to end would leave the page
    page = subprocess.Popen(page_command(port), env=page_environment(api_url))
    try:
        yield page
    finally:
        page.terminate()
        try:
            page.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            page.kill()
            page.wait()
