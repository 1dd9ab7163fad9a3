"""Ports as images and callers expose them: `80`, `80/tcp`, `8000-8010/udp`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from skep.kit.errors import InvalidArgument

MAX_PORT = 65535
MAX_EXPOSED = 20_000
"""Of one container or image: as many as servers of telephony expose, and lists stay quick."""
_EXPOSED = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)


def ports_of(text: str) -> list[str]:
    """Each port that is meant, as `80/tcp`. Raises InvalidArgument in docker's words."""
    match = _EXPOSED.fullmatch(text)
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if match is None or not 0 < first <= last <= MAX_PORT:
        raise InvalidArgument(f'invalid port specification: "{text}"')
    protocol = (match[3] or "tcp").lower()
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def all_ports(texts: Iterable[str]) -> dict[str, None]:
    """Each port of several texts once, in their order. Raises InvalidArgument."""
    ports: dict[str, None] = {}
    for text in texts:
        ports |= dict.fromkeys(ports_of(text))
        if len(ports) > MAX_EXPOSED:
            raise InvalidArgument(f"more than {MAX_EXPOSED} ports are exposed")
    return ports


def sound_ports(texts: Iterable[str]) -> Iterator[str]:
    """The same without what is no port: for what was stored before it was checked."""
    for text in texts:
        try:
            yield from ports_of(text)
        except InvalidArgument:
            continue
