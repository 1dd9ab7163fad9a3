"""Every rule of ours inside a sandbox, as text for nft: a function of what is wanted.

One table, in sandboxes that have a resolver or reach virtual addresses: what a program sends to
127.0.0.11:53 goes to the resolver's own port, what it sends to a virtual address to one of the
backends. It happens where the packet begins, so backends see who called, and may be the caller.
"""

from __future__ import annotations

from collections.abc import Mapping

from skep.network import words


def sandbox_table(table: str, resolver_port: int) -> str:
    """Commands that make the table inside a sandbox be there, with the way to its resolver.

    Virtual addresses in it stay. Nothing is deleted from a table that is new: the kernel would let
    us wait 15 ms for its readers. A program in the sandbox may have port 53 for itself, so the
    resolver listens on another one; 0 is no resolver.
    """
    resolver = "".join(
        f"add rule ip {table} output ip daddr 127.0.0.11 {protocol} dport 53"
        f" dnat to 127.0.0.11:{resolver_port}\n"
        for protocol in ("udp", "tcp")
        if resolver_port
    )
    return f"""\
table ip {table} {{
\tset refused {{ type ipv4_addr; }}
\tmap virtual {{ type ipv4_addr : verdict; }}
\tchain output {{ type nat hook output priority -100; policy accept; }}
\tchain refuse {{ type filter hook output priority filter; policy accept; }}
}}
flush chain ip {table} output
flush chain ip {table} refuse
{resolver}\
add rule ip {table} output ip daddr vmap @virtual
add rule ip {table} refuse ip daddr @refused meta l4proto tcp reject with tcp reset
add rule ip {table} refuse ip daddr @refused reject
"""


Virtual = Mapping[str, tuple[str, ...]]
"""Virtual address -> its backends' addresses."""


def virtual_changes(table: str, before: Virtual, after: Virtual) -> str:
    """Commands that lead a sandbox from the virtual addresses it has to those it shall have."""
    where = f"ip {table}"
    lines = []
    for address, backends in before.items():
        if after.get(address) != backends:
            lines += _without_virtual(where, address, backends)
    for address, backends in after.items():
        if before.get(address) != backends:
            lines += _with_virtual(where, address, backends)
    return "".join(lines)


def _with_virtual(where: str, address: str, backends: tuple[str, ...]) -> list[str]:
    address = words.address(address)
    if not backends:
        return [f"add element {where} refused {{ {address} }}\n"]
    to = words.address(backends[0])
    if len(backends) > 1:
        choices = ", ".join(f"{n} : {words.address(b)}" for n, b in enumerate(backends))
        to = f"numgen inc mod {len(backends)} map {{ {choices} }}"
    return [
        f"add chain {where} v-{address}\n",
        f"add rule {where} v-{address} dnat to {to}\n",
        f"add element {where} virtual {{ {address} : goto v-{address} }}\n",
    ]


def _without_virtual(where: str, address: str, backends: tuple[str, ...]) -> list[str]:
    address = words.address(address)
    if not backends:
        return [f"delete element {where} refused {{ {address} }}\n"]
    return [
        f"delete element {where} virtual {{ {address} }}\n",
        f"delete chain {where} v-{address}\n",
    ]
