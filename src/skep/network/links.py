"""The rtnetlink messages that we say: links, addresses, routes (linux/if_link.h, rtnetlink.h)."""

from __future__ import annotations

import errno
import ipaddress
import struct
import time
from dataclasses import dataclass

from skep.network.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Netlink,
    NetlinkRequest,
    attribute,
    attributes,
    nested,
    text,
    u8,
    u32,
)

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _GETROUTE = 24, 26

_ADDRESS, _IFNAME, _MTU, _MASTER, _LINKINFO, _IFALIAS = 1, 3, 4, 10, 18, 20
_OPERSTATE = 16
_AF_SPEC, _GROUP, _NET_NS_FD, _TX_QUEUES, _RX_QUEUES = 26, 27, 28, 31, 32
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_PEER = 1
_BRPORT_STATE, _BRPORT_HAIRPIN, _BRPORT_ISOLATED = 1, 4, 33
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1

_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST, _IFA_FLAGS = 1, 2, 4, 8
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST = 254, 3, 0, 1

_AF_INET, _AF_INET6 = 2, 10
_IFF_UP = 1
_OPERATIONAL = (b"\0", b"\6")  # unknown (a link without the notion), up
_UP_TRIES, _UP_PAUSE_S = 500, 0.001

_LINK = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of flags to change
_ADDR = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst/src length, tos, table, protocol, scope, ..

_MAY_EXIST = frozenset({errno.EEXIST})
_MAY_BE_GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.ESRCH, errno.EADDRNOTAVAIL})
_MAY_BE_NO_PORT = _MAY_BE_GONE | {errno.EOPNOTSUPP}

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Link:
    """What a dump says of a link."""

    index: int
    name: str
    alias: str
    kind: str
    mtu: int


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(0, 0, index, flags, change)


def _mac(mac: str) -> bytes:
    return attribute(_ADDRESS, bytes.fromhex(mac.replace(":", "")))


def new_bridge(name: str, mac: str) -> NetlinkRequest:
    body = _link() + text(_IFNAME, name) + _mac(mac) + nested(_LINKINFO, text(_INFO_KIND, "bridge"))
    return NetlinkRequest(
        _NEWLINK, body, f"create bridge {name}", NLM_F_CREATE | NLM_F_EXCL, _MAY_EXIST
    )


def change_link(name: str, *, alias: str = "", mtu: int = 0) -> NetlinkRequest:
    """Set the alias and MTU of a link and switch it on."""
    body = _link(0, _IFF_UP, _IFF_UP) + text(_IFNAME, name)
    if alias:
        body += text(_IFALIAS, alias)
    if mtu:
        body += u32(_MTU, mtu)
    return NetlinkRequest(_NEWLINK, body, f"configure link {name}")


def new_veth(
    host_name: str, *, bridge_index: int, netns_fd: int, ifname: str, mac: str, mtu: int
) -> NetlinkRequest:
    """A pair: one end on the bridge, the other born inside the namespace.

    Neither can be switched on before both exist. One queue each: the kernel's default is one per
    CPU, which costs and buys nothing here.
    """
    queues = u32(_TX_QUEUES, 1) + u32(_RX_QUEUES, 1)
    peer = (
        _link()
        + text(_IFNAME, ifname)
        + _mac(mac)
        + u32(_MTU, mtu)
        + u32(_NET_NS_FD, netns_fd)
        + queues
    )
    kind = text(_INFO_KIND, "veth") + nested(_INFO_DATA, attribute(_VETH_PEER, peer))
    body = (
        _link()
        + text(_IFNAME, host_name)
        + u32(_MTU, mtu)
        + u32(_MASTER, bridge_index)
        + queues
        + nested(_LINKINFO, kind)
    )
    return NetlinkRequest(_NEWLINK, body, f"create {ifname}", NLM_F_CREATE | NLM_F_EXCL)


def open_port(host_name: str, *, alias: str, isolated: bool) -> NetlinkRequest:
    """Switch a bridge port on, without an IPv6 address of its own, which nobody would use.

    Hairpin: a member may meet itself through a published port (with bridge-nf-call-iptables the
    frame turns round inside the bridge).
    """
    port = u8(_BRPORT_ISOLATED, isolated) + u8(_BRPORT_HAIRPIN, 1)
    body = (
        _link(0, _IFF_UP, _IFF_UP)
        + text(_IFNAME, host_name)
        + text(_IFALIAS, alias)
        + nested(_AF_SPEC, nested(_AF_INET6, u8(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)))
        + _slave(port)
    )
    return NetlinkRequest(_NEWLINK, body, f"open bridge port {host_name}")


def doom_port(host_name: str, group: int) -> tuple[NetlinkRequest, NetlinkRequest]:
    """Let nothing pass a bridge port any longer and mark it for `delete_group`.

    A link whose bridge was deleted is no port, and is marked all the same.
    """
    closed = _link() + text(_IFNAME, host_name) + _slave(u8(_BRPORT_STATE, 0))
    marked = _link() + text(_IFNAME, host_name) + u32(_GROUP, group)
    return (
        NetlinkRequest(
            _NEWLINK, closed, f"close bridge port {host_name}", tolerated=_MAY_BE_NO_PORT
        ),
        NetlinkRequest(_NEWLINK, marked, f"mark link {host_name}", tolerated=_MAY_BE_GONE),
    )


def _slave(port: bytes) -> bytes:
    return nested(_LINKINFO, text(_INFO_SLAVE_KIND, "bridge") + nested(_INFO_SLAVE_DATA, port))


def delete_link(name: str) -> NetlinkRequest:
    return NetlinkRequest(
        _DELLINK, _link() + text(_IFNAME, name), f"delete link {name}", tolerated=_MAY_BE_GONE
    )


def delete_group(group: int) -> NetlinkRequest:
    """Delete all links of a group with a single wait of the kernel for its readers."""
    body = _link() + u32(_GROUP, group)
    return NetlinkRequest(_DELLINK, body, "delete links", tolerated=_MAY_BE_GONE)


def link_up(index: int) -> NetlinkRequest:
    return NetlinkRequest(_NEWLINK, _link(index, _IFF_UP, _IFF_UP), f"switch on link {index}")


def set_master(name: str, bridge_index: int) -> NetlinkRequest:
    """Make a link a port of that bridge; of none with 0."""
    body = _link() + text(_IFNAME, name) + u32(_MASTER, bridge_index)
    return NetlinkRequest(_NEWLINK, body, f"connect link {name}")


def add_address(index: int, interface: Interface, where: str) -> NetlinkRequest:
    """An address; IPv6 ones are usable at once (the allocator knows that nobody has them)."""
    return NetlinkRequest(
        _NEWADDR,
        _address(index, interface),
        f"add {interface} to {where}",
        NLM_F_CREATE | NLM_F_REPLACE,
    )


def delete_address(index: int, interface: Interface, where: str) -> NetlinkRequest:
    return NetlinkRequest(
        _DELADDR,
        _address(index, interface),
        f"remove {interface} from {where}",
        tolerated=_MAY_BE_GONE,
    )


def _address(index: int, interface: Interface) -> bytes:
    address, network = interface.ip, interface.network
    family = _AF_INET if interface.version == 4 else _AF_INET6
    body = (
        _ADDR.pack(family, network.prefixlen, 0, 0, index)
        + attribute(_IFA_LOCAL, address.packed)
        + attribute(_IFA_ADDRESS, address.packed)
    )
    if interface.version == 4 and network.prefixlen < 31:
        body += attribute(_IFA_BROADCAST, network.broadcast_address.packed)
    if interface.version == 6:
        body += u32(_IFA_FLAGS, _IFA_F_NODAD)
    return body


def default_route(index: int, gateway: str) -> NetlinkRequest:
    """The way out, replacing what was the default route."""
    body = _route(gateway) + attribute(_RTA_GATEWAY, _packed(gateway)) + u32(_RTA_OIF, index)
    doing = f"set the default route via {gateway}"
    return NetlinkRequest(_NEWROUTE, body, doing, NLM_F_CREATE | NLM_F_REPLACE)


def _route(family_of: str) -> bytes:
    family = _AF_INET6 if ":" in family_of else _AF_INET
    return _ROUTE.pack(
        family, 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, _RT_SCOPE_UNIVERSE, _RTN_UNICAST, 0
    )


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def index_of(netlink: Netlink, name: str) -> int | None:
    """A link's index by its name; None when there is no such link."""
    asked = NetlinkRequest(
        _GETLINK, _link() + text(_IFNAME, name), f"look up link {name}", tolerated=_MAY_BE_GONE
    )
    body = netlink.get(asked)
    return None if body is None else _parse_link(body).index


def wait_until_up(netlink: Netlink, name: str) -> None:
    """Until a link really carries packets: switched on, it drops some until the kernel's link watch
    has run, and a lost first packet costs its sender a second. Asking hurries it (Linux 6.8)."""
    asked = NetlinkRequest(_GETLINK, _link() + text(_IFNAME, name), f"look up link {name}")
    for _ in range(_UP_TRIES):
        body = netlink.get(asked)
        state = attributes((body or b"")[_LINK.size :]).get(_OPERSTATE)
        if state in _OPERATIONAL:
            return
        time.sleep(_UP_PAUSE_S)


def all_links(netlink: Netlink) -> list[Link]:
    return [
        _parse_link(body) for body in netlink.dump(NetlinkRequest(_GETLINK, _link(), "list links"))
    ]


def _parse_link(body: bytes) -> Link:
    found = attributes(body[_LINK.size :])
    info = attributes(found.get(_LINKINFO, b""))
    return Link(
        index=_LINK.unpack_from(body)[2],
        name=_string(found.get(_IFNAME)),
        alias=_string(found.get(_IFALIAS)),
        kind=_string(info.get(_INFO_KIND)),
        mtu=struct.unpack("=I", found.get(_MTU, bytes(4)))[0],
    )


def _string(data: bytes | None) -> str:
    return (data or b"").rstrip(b"\0").decode(errors="replace")


def addresses_of(netlink: Netlink, index: int) -> list[Interface]:
    """The addresses of one link, IPv6 link-local ones left out."""
    found = []
    for body in netlink.dump(NetlinkRequest(_GETADDR, _ADDR.pack(0, 0, 0, 0, 0), "list addresses")):
        _family, prefix, _flags, _scope, owner = _ADDR.unpack_from(body)
        data = attributes(body[_ADDR.size :])
        packed = data.get(_IFA_LOCAL) or data.get(_IFA_ADDRESS)
        if owner == index and packed:
            interface = ipaddress.ip_interface((packed, prefix))
            if not interface.is_link_local:
                found.append(interface)
    return found


def all_routes(netlink: Netlink) -> dict[Network, int]:
    """Destination -> index of the link, in the main table; default routes left out."""
    found: dict[Network, int] = {}
    for body in netlink.dump(NetlinkRequest(_GETROUTE, _ROUTE.pack(*[0] * 9), "list routes")):
        family, length, _src, _tos, table = struct.unpack_from("=BBBBB", body)
        data = attributes(body[_ROUTE.size :])
        table = struct.unpack("=I", data[_RTA_TABLE])[0] if _RTA_TABLE in data else table
        if table != _RT_TABLE_MAIN or length == 0 or family not in {_AF_INET, _AF_INET6}:
            continue
        destination = ipaddress.ip_network((data[_RTA_DST], length))
        if not destination.is_link_local and not destination.is_multicast:
            found[destination] = struct.unpack("=i", data.get(_RTA_OIF, bytes(4)))[0]
    return found
