"""Python imports this at its start where a test puts this folder on PYTHONPATH: no way out of this machine.

Whatever a program asks for beyond loopback is refused, and noted in the file that METSEG_TEST_OUTSIDE names.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0", "::", "", None)  # noqa: S104


def check(host: Any) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name not in LOOPBACK:
        with Path(os.environ["METSEG_TEST_OUTSIDE"]).open("a", encoding="utf-8") as notes:
            notes.write(f"{name}\n")
        raise socket.gaierror(socket.EAI_NONAME, "no way out of this machine")


def guarded(method: Any) -> Any:
    def call(self: socket.socket, address: Any, *rest: Any) -> Any:
        if isinstance(address, tuple):
            check(address[0])
        return method(self, address, *rest)

    return call


def resolve(host: Any, *rest: Any, **named: Any) -> Any:
    check(host)
    return getaddrinfo(host, *rest, **named)


getaddrinfo = socket.getaddrinfo
socket.getaddrinfo = resolve
socket.socket.connect = guarded(socket.socket.connect)  # type: ignore[method-assign]
socket.socket.connect_ex = guarded(socket.socket.connect_ex)  # type: ignore[method-assign]
