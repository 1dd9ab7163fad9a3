"""This machine's own addresses, and addresses as people write them."""

from __future__ import annotations

import ipaddress
import socket

from skep.kit.errors import InvalidArgument
from skep.kit.numbers import parse_int, shortened


def default_address() -> str:
    """The address that packets to the outside leave from; "" when there is no way outside.

    A connected UDP socket asks the kernel's routing table; nothing is sent.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737): nobody is there
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def split_host_port(text: str, default_port: int) -> tuple[str, int]:
    """`10.0.0.1:2377`, `10.0.0.1`, `[::1]:2377`, `:2377` -> host ("" when absent) and port.

    Raises InvalidArgument.
    """
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port:
        return host, default_port
    try:
        return host, parse_int(port, 1, 65535)
    except ValueError:
        raise InvalidArgument(
            f'invalid address "{shortened(text)}": the port must be 1 to 65535'
        ) from None


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
