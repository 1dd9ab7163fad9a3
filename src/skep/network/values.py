"""The nouns of one host's networks, as values that can be printed, compared and kept as JSON.

Addresses are strings in the usual notation: `172.17.0.2`, with a prefix length where a field
says "interface" (`172.17.0.2/16`) or "subnet" (`172.17.0.0/16`); IPv6 alike, without brackets.
Whoever makes these values has checked them (`kit.pools` for subnets and addresses).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from skep.model.service import Transport

RESOLVER_ADDRESS = "127.0.0.11"
"""Where a sandbox that has a resolver finds it."""


class NetworkValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base: comparable, and JSON with its own field names (these are no Engine API objects)."""


class Subnet(NetworkValue, frozen=True):
    """`subnet` (172.17.0.0/16) and the host's own address in it, without prefix length.

    An empty gateway leaves the bridge without an address in this subnet.
    """

    subnet: str
    gateway: str = ""


class Bridge(NetworkValue, frozen=True):
    """A network of this host alone (docker's bridge driver).

    id           the network's id: the link's name and our marks are derived from it.
    link         a name for the link that somebody chose ("docker0"); empty: derived.
    internal     nothing but the members of the network and the host itself can be reached.
    icc          members may talk to each other; False isolates the bridge's ports.
    masquerade   what leaves the host carries the host's address.
    """

    id: str
    subnets: tuple[Subnet, ...]
    link: str = ""
    mtu: int = 1500
    internal: bool = False
    icc: bool = True
    masquerade: bool = True


class Attachment(NetworkValue, frozen=True):
    """One interface of a sandbox on one network that exists (`ensure_bridge` came before).

    interface_addresses   with prefix length: ("172.17.0.2/16", "fd00::2/64").
    gateways              next hops for the default routes, at most one per IP version. The
                          sandbox uses those of the attachment with the highest `gateway_priority`
                          that has one for that version; ties go to the first in ifname order.
    mac                   "02:42:ac:11:00:02"; empty: derived from the first address, as docker.
    ifname                "eth0", unique in the sandbox. `free_ifname` picks the next.
    sysctls               for this interface: {"net.ipv4.conf.IFNAME.log_martians": "1"}.
    """

    network_id: str
    ifname: str
    interface_addresses: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    gateway_priority: int = 0
    mac: str = ""
    sysctls: Mapping[str, str] = {}


class Resolver(NetworkValue, frozen=True):
    """What the sandbox's own DNS server at 127.0.0.11:53 knows beside the names of its networks.

    upstreams   servers that everything else is asked from, in this order, at most three; empty:
                those of the host. Asked from the sandbox's own place, so that they see its address
                and may be on its networks; those of the host are asked from the host.
    links       names that only this sandbox sees (`--link`): name -> addresses.
    """

    upstreams: tuple[str, ...] = ()
    links: Mapping[str, tuple[str, ...]] = {}


class Sandbox(NetworkValue, frozen=True):
    """The network namespace of one container or task. No attachments is `--network none`.

    resolver    None: no server at 127.0.0.11 (docker's default bridge has none).
    sysctls     `net.*` settings beside ours: {"net.ipv4.ip_unprivileged_port_start": "0"}.
    """

    id: str
    attachments: tuple[Attachment, ...] = ()
    resolver: Resolver | None = None
    sysctls: Mapping[str, str] = {}


class Backend(NetworkValue, frozen=True, order=True):
    """Where a published port or a virtual address leads."""

    address: str
    port: int


class PublishedPort(NetworkValue, frozen=True):
    """A port of the host that is led to backends, new connections to each of them in turn.

    host_ip         empty: every address of the host. "0.0.0.0" and "::" are one version's all.
    host_port       0: one that is free, from the host's ephemeral range.
    host_port_end   above `host_port`: one that is free between the two, the first if possible.
    backends        none: refused (TCP reset, ICMP port unreachable). Backends of another IP
                    version than the packet's are not used.
    """

    host_port: int
    backends: tuple[Backend, ...]
    protocol: Transport = "tcp"
    host_ip: str = ""
    host_port_end: int = 0


class VirtualAddress(NetworkValue, frozen=True):
    """A service's address in the sandbox of a client: every port and protocol of it leads to the
    same port of one of `backends`, new connections in turn; none: refused."""

    address: str
    backends: tuple[str, ...]


class Zone(NetworkValue, frozen=True):
    """Names that every sandbox attached to one network can ask for.

    name    the network's name: `web` and `web.<name>` are the same question; PTR answers are
            `web.<name>`.
    names   name -> addresses, answered in random order. A name with no addresses is not there.
    """

    name: str
    names: Mapping[str, tuple[str, ...]] = {}


class Inventory(NetworkValue, frozen=True):
    """What `discover` sees on this host that is ours: ids, no more."""

    bridges: frozenset[str] = frozenset()
    sandboxes: frozenset[str] = frozenset()
