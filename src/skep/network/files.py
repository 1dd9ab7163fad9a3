"""What stands in a container's /etc/hosts and /etc/resolv.conf: functions of values."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skep.network.values import RESOLVER_ADDRESS

_LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_DEFAULT_SERVERS = ("8.8.8.8", "8.8.4.4")
"""Docker's, when the host has none that a container could reach."""


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The parts of a resolv.conf(5) that matter here."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def hosts_file(
    hostname: str,
    addresses: Sequence[str],
    *,
    domainname: str = "",
    extra: Iterable[tuple[str, str]] = (),
) -> str:
    """The text of /etc/hosts.

    addresses   the container's own, without prefix length: its names stand beside each.
    extra       (address, name) of `--add-host` and links, in order.
    """
    own = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    lines = [f"{address}\t{name}\n" for address, name in extra]
    lines += [f"{address}\t{own}\n" for address in addresses]
    return _LOCAL_HOSTS + "".join(lines)


def parse_resolv_conf(text: str) -> ResolvConf:
    """As the C library reads it: the last `search` (or `domain`) counts, options add up."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *domains]:
                search = tuple(domains)
            case ["options", *more]:
                options += more
    return ResolvConf(tuple(servers), search, tuple(options))


def nameservers(text: str) -> tuple[str, ...]:
    """The servers in a resolv.conf."""
    return parse_resolv_conf(text).nameservers


def resolv_conf(
    host: str,
    *,
    own_resolver: bool,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """The text of a container's /etc/resolv.conf.

    host           the text of the host's file.
    own_resolver   the sandbox has a resolver at 127.0.0.11: it alone is named, the others are its
                   upstreams (see `Resolver.upstreams`).
    servers, search, options   `--dns`, `--dns-search`, `--dns-option`: each replaces the host's;
                   a search of "." means none.
    Of the host's servers, those at loopback addresses are left out, as they are other machines'
    loopback to a container; if that leaves none, docker's public ones stand in.
    """
    given = parse_resolv_conf(host)
    chosen_options = list(options or given.options)
    if own_resolver:
        chosen_servers: tuple[str, ...] = (RESOLVER_ADDRESS,)
        if not any(option.startswith("ndots:") for option in chosen_options):
            chosen_options.append("ndots:0")
    else:
        reachable = tuple(each for each in given.nameservers if not _is_loopback(each))
        chosen_servers = tuple(servers) or reachable or _DEFAULT_SERVERS
    domains = [each for each in (search or given.search) if each != "."]
    lines = [f"nameserver {server}\n" for server in chosen_servers]
    if domains:
        lines.append(f"search {' '.join(domains)}\n")
    if chosen_options:
        lines.append(f"options {' '.join(chosen_options)}\n")
    return "".join(lines)


def host_network_resolv_conf(
    host: str,
    *,
    servers: Sequence[str] = (),
    search: Sequence[str] = (),
    options: Sequence[str] = (),
) -> str:
    """The same for `--network host`: the host's file as it is, unless something was asked for."""
    if not (servers or search or options):
        return host
    given = parse_resolv_conf(host)
    with_host_servers = tuple(servers) or given.nameservers
    return resolv_conf(
        host, own_resolver=False, servers=with_host_servers, search=search, options=options
    )


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False
