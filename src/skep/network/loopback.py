"""Behind which bridges there are backends of published ports: those that lead 127.0.0.1.

A published port answers at the host's 127.0.0.1 too. For that the kernel must take packets from and
to 127.0.0.0/8 at a bridge (`route_localnet`), which opens the host's own loopback services to the
bridge as far as the rules do not close them. So it is on only where it is needed.
"""

from __future__ import annotations

import functools
import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping

from skep.network.values import Bridge, PublishedPort


def networks_of(bridges: Iterable[Bridge], ports: Iterable[PublishedPort]) -> frozenset[str]:
    """Ids of the networks that have backends of `ports` in their IPv4 subnets."""
    backends = {
        ipaddress.IPv4Address(backend.address)
        for port in ports
        for backend in port.backends
        if ":" not in backend.address
    }
    if not backends:
        return frozenset()
    return frozenset(
        bridge.id
        for bridge in bridges
        for each in bridge.subnets
        if ":" not in each.subnet and any(address in _parsed(each.subnet) for address in backends)
    )


@functools.lru_cache(1024)
def _parsed(subnet: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(subnet)


class Loopback:
    """Counts the owners of ports behind each link; `lead` tells the kernel (link -> whether)."""

    def __init__(self, lead: Callable[[Mapping[str, bool]], Awaitable[None]]) -> None:
        self._lead = lead
        self._owners: dict[str, frozenset[str]] = {}
        self._users: Counter[str] = Counter()

    async def set(self, owner: str, links: frozenset[str]) -> None:
        """Make these all the links behind which the owner has backends."""
        before = self._owners.pop(owner, frozenset())
        if links:
            self._owners[owner] = links
        changed = {}
        for link in links - before:
            self._users[link] += 1
            if self._users[link] == 1:
                changed[link] = True
        for link in before - links:
            self._users[link] -= 1
            if not self._users[link]:
                del self._users[link]
                changed[link] = False
        if changed:
            await self._lead(changed)

    async def tell(self, link: str) -> None:
        """The link is new, or may be."""
        await self._lead({link: link in self._users})

    def forget(self, link: str) -> None:
        """It is gone."""
        self._users.pop(link, None)
        self._owners = {owner: links - {link} for owner, links in self._owners.items()}

    async def replace(self, links: Iterable[str], owners: Mapping[str, frozenset[str]]) -> None:
        """Make this everything, on all these links, whatever they were."""
        self._owners = {owner: links for owner, links in owners.items() if links}
        self._users = Counter(link for links in self._owners.values() for link in links)
        await self._lead({link: link in self._users for link in links})
