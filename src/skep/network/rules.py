"""Every rule of ours on the host, as text for nft: a function of what is wanted.

One table per IP version, ours alone, of a shape that never changes (`host_table`). What changes
are elements: which bridges there are (`bridge_elements`), and one chain with one rule per
published port (`port_changes`). So a change costs its own size, not that of the table, and the
first packet of a connection costs two or three look-ups, however many ports are published.

How a packet goes through (`ip`; `ip6` is the same without what concerns 127.0.0.0/8):

    raw         from a bridge to 127.0.0.0/8: dropped, since route_localnet lets the host accept it
    nat in      to an address of the host and a published port: DNAT to the next backend.
                The source stays: backends see who called.
    nat out     the same for what the host itself sends, also to 127.0.0.1
    forward     established: on. Inside one bridge whose members may talk to each other: on. Into
                or out of an internal network: dropped. Came through a published port: on. Between
                bridges, or back into the same: dropped. Out: on. In: dropped.
                Neither from nor to a bridge of ours: dropped, if only we made the host a router.
    nat post    hairpins (a caller on the backend's own bridge) and callers at 127.0.0.1 take the
                bridge's address, as no answer would find back otherwise; what leaves a
                masqueraded subnet takes the host's
    input       to a published port without backends: refused
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skep.network import words
from skep.network.names import BRIDGE_MARK
from skep.network.values import Backend, Bridge, PublishedPort, Subnet

HOST_TABLE = """\
table {ip} {table} {{
\tset bridges {{ type ifname; }}
\tset internal {{ type ifname; }}
\tset same {{ type ifname . ifname; }}
\tset home {{ type ifname . {addr}; flags interval; }}
\tset masqueraded {{ type {addr}; flags interval; }}
\tset refused {{ type inet_proto . inet_service; }}
\tset refused_at {{ type {addr} . inet_proto . inet_service; }}
\tmap published {{ type inet_proto . inet_service : verdict; }}
\tmap published_at {{ type {addr} . inet_proto . inet_service : verdict; }}
\tchain publish {{
\t\t{ip} daddr . meta l4proto . th dport vmap @published_at
\t\tmeta l4proto . th dport vmap @published
\t}}
\tchain prerouting {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
{no_loopback}\t\tfib daddr type local jump publish
\t}}
\tchain output {{
\t\ttype nat hook output priority -100; policy accept;
\t\tfib daddr type local jump publish
\t}}
\tchain postrouting {{
\t\ttype nat hook postrouting priority srcnat; policy accept;
{from_loopback}\t\toifname . {ip} saddr @home ct status dnat masquerade
\t\toifname . {ip} saddr @home return
\t\t{ip} saddr @masqueraded oifname != "lo" masquerade
\t}}
\tchain forward {{
\t\ttype filter hook forward priority filter; policy accept;
\t\tiifname @bridges jump ours
\t\toifname @bridges jump ours
\t\tjump strangers
\t}}
\tchain strangers {{
\t}}
\tchain ours {{
\t\tct state established,related accept
\t\tiifname . oifname @same accept
\t\tiifname @internal drop
\t\toifname @internal drop
\t\tct status dnat accept
\t\toifname @bridges drop
\t\taccept
\t}}
\tchain input {{
\t\ttype filter hook input priority filter; policy accept;
\t\t{ip} daddr . meta l4proto . th dport @refused_at jump refuse
\t\tmeta l4proto . th dport @refused fib daddr type local jump refuse
\t}}
\tchain refuse {{
\t\tct state established,related accept
\t\tmeta l4proto tcp reject with tcp reset
\t\treject
\t}}
{guard}}}
"""
_NO_LOOPBACK = '\t\tip daddr 127.0.0.0/8 iifname != "lo" return\n'
_FROM_LOOPBACK = "\t\toifname @bridges ip saddr 127.0.0.0/8 masquerade\n"
_GUARD = """\
\tchain guard {
\t\ttype filter hook prerouting priority raw; policy accept;
\t\tiifname @bridges ip daddr 127.0.0.0/8 drop
\t}
"""


@dataclass(frozen=True, slots=True)
class Family:
    """An IP version as nft spells it."""

    version: int
    ip: str
    addr: str

    def owns(self, address: str) -> bool:
        return (":" in address) == (self.version == 6)


IPV4 = Family(4, "ip", "ipv4_addr")
IPV6 = Family(6, "ip6", "ipv6_addr")


def host_table(family: Family, table: str) -> str:
    """Commands that replace the table, whatever was there, by an empty one."""
    v4 = family is IPV4
    body = HOST_TABLE.format(
        ip=family.ip,
        addr=family.addr,
        table=table,
        no_loopback=_NO_LOOPBACK if v4 else "",
        from_loopback=_FROM_LOOPBACK if v4 else "",
        guard=_GUARD if v4 else "",
    )
    return f"{no_table(family, table)}{body}"


def no_table(family: Family, table: str) -> str:
    """Commands that remove a table, also one that is not there."""
    return f"table {family.ip} {table}\ndelete table {family.ip} {table}\n"


@dataclass(frozen=True, slots=True)
class BridgeRules:
    """What the rules must know of a bridge: its link's name and its subnets."""

    link: str
    subnets: tuple[str, ...]
    internal: bool
    masquerade: bool
    icc: bool = True


def bridge_rules(bridge: Bridge, link: str) -> BridgeRules:
    subnets: Sequence[Subnet] = bridge.subnets
    return BridgeRules(
        link=link,
        subnets=tuple(s.subnet for s in subnets),
        internal=bridge.internal,
        masquerade=bridge.masquerade and not bridge.internal,
        icc=bridge.icc,
    )


def bridge_elements(family: Family, table: str, bridges: Iterable[BridgeRules]) -> str:
    """Commands that make `bridges` all the bridges that the table knows."""
    known = sorted(bridges, key=lambda bridge: bridge.link)
    own = [(bridge, s) for bridge in known for s in bridge.subnets if family.owns(s)]
    elements = {
        "bridges": [words.link(b.link) for b in known],
        "internal": [words.link(b.link) for b in known if b.internal],
        "same": [f"{words.link(b.link)} . {words.link(b.link)}" for b in known if b.icc],
        "home": [f"{words.link(b.link)} . {words.subnet(s)}" for b, s in own],
        "masqueraded": [words.subnet(s) for b, s in own if b.masquerade],
    }
    lines = []
    for name, members in elements.items():
        lines.append(f"flush set {family.ip} {table} {name}\n")
        if members:
            joined = ", ".join(members)
            lines.append(f"add element {family.ip} {table} {name} {{ {joined} }}\n")
    return "".join(lines)


def strangers(family: Family, table: str, *, our_router: bool, drops: bool) -> str:
    """Commands that say what becomes of forwarded packets that are none of ours.

    our_router   the host forwards only because we asked it to. That there are rules says so, also
                 to the next process of ours.
    drops        then, such packets are dropped; but for those of other instances of skep on the
                 host, which look after themselves.
    """
    chain = f"{family.ip} {table} strangers"
    rules = ["accept"]
    if drops:
        rules = [f'iifname "{BRIDGE_MARK}*" accept', f'oifname "{BRIDGE_MARK}*" accept', "drop"]
    added = [f"add rule {chain} {rule}\n" for rule in rules if our_router]
    return "".join([f"flush chain {chain}\n", *added])


@dataclass(frozen=True, slots=True, order=True)
class PortKey:
    """What one published port claims of one IP version; an empty address is all of them."""

    protocol: str
    port: int
    address: str = ""

    @property
    def chain(self) -> str:
        at = f"-{self.address.replace(':', '_')}" if self.address else ""
        return f"{self.protocol}-{self.port}{at}"

    @property
    def element(self) -> str:
        at = f"{self.address} . " if self.address else ""
        return f"{at}{self.protocol} . {self.port}"


Ports = Mapping[PortKey, tuple[Backend, ...]]


def ports_of(family: Family, ports: Iterable[PublishedPort]) -> dict[PortKey, tuple[Backend, ...]]:
    """What `ports` (with chosen host ports) mean for one IP version."""
    found = {}
    for port in ports:
        own = tuple(b for b in port.backends if family.owns(b.address))
        host = ipaddress.ip_address(words.address(port.host_ip)) if port.host_ip else None
        if host is None and port.backends and not own:
            continue
        if host is not None and host.version != family.version:
            continue
        address = "" if host is None or host.is_unspecified else str(host)
        found[PortKey(port.protocol, port.host_port, address)] = own
    return found


def port_changes(family: Family, table: str, before: Ports, after: Ports) -> str:
    """Commands that lead from the ports that the table has to those that it shall have."""
    where = f"{family.ip} {table}"
    lines = []
    for key in before.keys() - after.keys():
        lines += _without(where, key, before[key])
    for key, backends in after.items():
        if key not in before:
            lines += _with(where, key, backends)
        elif bool(backends) != bool(before[key]):
            lines += _without(where, key, before[key])
            lines += _with(where, key, backends)
        elif backends != before[key]:
            lines += [f"flush chain {where} {key.chain}\n", _rule(where, key, backends)]
    return "".join(lines)


def _with(where: str, key: PortKey, backends: tuple[Backend, ...]) -> list[str]:
    at = "_at" if key.address else ""
    if not backends:
        return [f"add element {where} refused{at} {{ {key.element} }}\n"]
    return [
        f"add chain {where} {key.chain}\n",
        _rule(where, key, backends),
        f"add element {where} published{at} {{ {key.element} : goto {key.chain} }}\n",
    ]


def _without(where: str, key: PortKey, backends: tuple[Backend, ...]) -> list[str]:
    at = "_at" if key.address else ""
    if not backends:
        return [f"delete element {where} refused{at} {{ {key.element} }}\n"]
    return [
        f"delete element {where} published{at} {{ {key.element} }}\n",
        f"delete chain {where} {key.chain}\n",
    ]


def _rule(where: str, key: PortKey, backends: tuple[Backend, ...]) -> str:
    start = f"add rule {where} {key.chain} meta l4proto {key.protocol} dnat to"
    if len(backends) == 1:
        (only,) = backends
        address = words.address(only.address)
        return f"{start} {f'[{address}]' if ':' in address else address}:{only.port}\n"
    choices = ", ".join(
        f"{n} : {words.address(b.address)} . {b.port}" for n, b in enumerate(backends)
    )
    return f"{start} numgen inc mod {len(backends)} map {{ {choices} }}\n"
