"""Starts the page, says where it is, and clears up behind it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from core.addresses import check_port
from core.errors import UsageError
from core.io.private import private_folder
from core.system import RESEARCH_ONLY
from web_gradio.offline import Seal, refuse_addresses, seal_environment
from web_gradio.room import UPLOADS, Room, open_room
from web_gradio.settings import USER, Settings
from web_gradio.share import SHARED, NoLinkError, close_links, make_password, open_link

SWEEP_SECONDS = 30.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A page that answers."""

    url: str
    port: int
    room: Room


def serve(settings: Settings, say: Say, stop: threading.Event | None = None) -> None:
    """Open the page and keep it until Ctrl-C, SIGTERM or `stop`.

    Args:
        settings: the page's; where others can reach it and there is no password, one is made up and said.
        say: is told each line that the person who starts the page must read.
        stop: ends it when set.

    Raises:
        MetsegError: a model, the device or the port cannot be used.
    """
    check_port(settings.host, settings.port or 0)  # before anything is loaded
    if settings.reachable and settings.password is None:
        settings = replace(settings, password=make_password())
        say(f"Visitors need the name {USER} and this password: {settings.password}")
    say("Starting the page …")
    end = stop or threading.Event()
    with _ending(end), private_folder("metseg-gradio-") as folder, opened(settings, folder) as page:
        say(f"The page is at {page.url} (Ctrl-C ends it)")
        say(RESEARCH_ONLY)
        if settings.share:
            _share(page, folder, say)
        while not end.wait(SWEEP_SECONDS):
            page.room.shelf.sweep()


@contextmanager
def opened(settings: Settings, folder: Path) -> Iterator[Opened]:
    """A page in this process for as long as the context lasts.

    Args:
        settings: the page's.
        folder: private to this process; everything that the page writes lies there.

    Raises:
        MetsegError: a model, the device or the port cannot be used.
    """
    seal_environment(folder / UPLOADS)
    from web_gradio.app import build_app
    from web_gradio.style import STYLE, make_theme

    refuse_addresses()
    room = open_room(settings, folder)
    page = build_app(room)
    try:
        page.launch(
            server_name=settings.host,
            server_port=settings.port,
            share=False,
            auth=None if settings.password is None else (USER, settings.password),
            auth_message=RESEARCH_ONLY,
            max_file_size=settings.upload_bytes,
            allowed_paths=[str(folder)],
            app_kwargs={"middleware": [(Seal, (), {"local": not settings.reachable})], **_NO_DOCUMENTS},
            theme=make_theme(),
            css=STYLE,
            prevent_thread_lock=True,
            quiet=True,
            inline=False,
            show_error=False,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            num_workers=0,
            state_session_capacity=256,
        )
    except OSError as error:
        raise UsageError("this port cannot be listened at; choose another --port, or another --host") from error
    try:
        yield Opened(str(page.local_url), int(page.server_port), room)
    finally:
        close_links()
        page.close(verbose=False)


_NO_DOCUMENTS: dict[str, Any] = {"docs_url": None, "redoc_url": None, "openapi_url": None}


def _share(page: Opened, folder: Path, say: Say) -> None:
    say(f"Asking for a share link; files go to this computer, but by that link {SHARED} …")
    try:
        link = open_link("127.0.0.1", page.port, folder)
    except NoLinkError as reason:
        say(f"No share link: {reason}. The page goes on at {page.url}")
    else:
        way = "through Gradio's share service"
        say(f"Share link: {link} (whoever has it and the password can use this page while it is open, {way})")


@contextmanager
def _ending(end: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set an event, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def set_end(number: int, frame: FrameType | None) -> None:
        end.set()

    before = {number: signal.signal(number, set_end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
