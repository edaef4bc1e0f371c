"""Addresses at which a server listens: whether others can reach them, and whether they are free."""

from __future__ import annotations

import ipaddress
import socket

from core.errors import UsageError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there: a loopback address, `localhost`, or a socket's path."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost" or "/" in host


def host_name(host: str) -> str:
    """A Host header's name in small letters, without its port and without an IPv6 address's brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def check_port(host: str, port: int) -> None:
    """See whether an address can be listened at; port 0 stands for any free one.

    Raises:
        UsageError: it cannot.
    """
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        socket.create_server((host, port), family=family).close()
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"port {port} cannot be used, perhaps another program has it; choose another --port, or another --host"
            if port
            else "this address cannot be listened at; choose another --host",
            source=host,
        ) from error
