"""A link that works from anywhere, where there is a network; a reason where there is none."""

from __future__ import annotations

import contextlib
import io
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PASSWORD_BYTES = 12
# Encryption ends at the service, and begins again behind it.
SHARED = "they and the results pass through Gradio's share service, which could read them"


class NoLinkError(Exception):
    """There is no link; the message says why, in a few words."""


def make_password() -> str:
    """A password that nobody guesses."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def open_link(host: str, port: int, folder: Path) -> str:
    """Ask Gradio's service for a tunnel to this machine.

    Args:
        host: address at which the page listens.
        port: where it listens there.
        folder: private to this process; the service's certificate goes there.

    Raises:
        NoLinkError: there is no tunnel.
    """
    import httpx
    from gradio import networking
    from gradio.exceptions import ChecksumMismatchError

    setattr(networking, "CERTIFICATE_PATH", str(folder / "certificate.pem"))  # noqa: B010
    said = io.StringIO()
    try:
        # What the tunnel's program has to say would bury the one line that people need.
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            url = networking.setup_tunnel(host, port, secrets.token_urlsafe(32), None, None)
    except ChecksumMismatchError as error:
        raise NoLinkError("the tunnel's program is not the one that it should be") from error
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, httpx.TimeoutException):
            raise NoLinkError("the share service does not answer; try again later") from error
        if isinstance(cause, httpx.TransportError):
            raise NoLinkError("the share service cannot be reached; is this machine on the internet?") from error
        if isinstance(cause, OSError):
            raise NoLinkError("the tunnel's program cannot be installed or run here") from error
        raise NoLinkError("the share service opened no tunnel; try again later") from error
    return f"https://{urlsplit(url).netloc}"


def close_links() -> None:
    """End the tunnels' programs."""
    from gradio import tunneling

    tunnels: list[Any] = tunneling.CURRENT_TUNNELS
    for tunnel in tunnels:
        if tunnel.proc is not None:
            tunnel.proc.terminate()
            tunnel.proc = None
