"""Addresses: who can reach them, and whether they are free."""

from __future__ import annotations

import socket

import pytest

from core.addresses import check_port, host_name, is_loopback
from core.errors import UsageError


@pytest.mark.parametrize(
    ("header", "name"),
    [("a.example:80", "a.example"), ("A.Example.", "a.example"), ("[::1]:80", "::1"), ("", ""), ("[::1", "::1")],
)
def test_a_host_is_taken_without_its_port(header: str, name: str) -> None:
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "/run/metseg.sock")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "", "127.0.0.1.example")),  # noqa: S104
    ],
)
def test_loopback_is_told_from_everything_else(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_port_that_is_taken_and_an_address_that_is_not_here_are_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match="choose another --port"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
    check_port("localhost", 0)
    with pytest.raises(UsageError, match="choose another --host"):
        check_port("192.0.2.1", 0)  # set aside for documentation, so it is nobody's
