"""What stands in a container's /etc/hosts and /etc/resolv.conf: functions of values, and the host's
own files that they begin with."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from skep.network.values import RESOLVER_ADDRESS

_LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
RESOLV_CONF = Path("/etc/resolv.conf")
_RESOLVED_CONF = Path("/run/systemd/resolve/resolv.conf")
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


def resolv_conf(host: str, asked: ResolvConf, *, own_resolver: bool) -> str:
    """The text of a container's /etc/resolv.conf.

    host           the text of the host's file.
    asked          `--dns`, `--dns-search`, `--dns-option`: each replaces the host's; a search of
                   "." means none.
    own_resolver   the sandbox has a resolver at 127.0.0.11: it alone is named, the others are its
                   upstreams (see `Resolver.upstreams`).
    Of the host's servers, those at loopback addresses are left out, as they are other machines'
    loopback to a container; if that leaves none, docker's public ones stand in.
    """
    given = parse_resolv_conf(host)
    options = asked.options or given.options
    if own_resolver:
        servers: tuple[str, ...] = (RESOLVER_ADDRESS,)
        if not any(option.startswith("ndots:") for option in options):
            options = (*options, "ndots:0")
    else:
        servers = asked.nameservers or _reachable(given) or _DEFAULT_SERVERS
    return _as_text(ResolvConf(servers, asked.search or given.search, options))


def host_network_resolv_conf(host: str, asked: ResolvConf) -> str:
    """The same for `--network host`: the host's file as it is, unless something was asked for."""
    if asked == ResolvConf():
        return host
    given = parse_resolv_conf(host)
    return _as_text(
        ResolvConf(
            asked.nameservers or given.nameservers,
            asked.search or given.search,
            asked.options or given.options,
        )
    )


def _as_text(conf: ResolvConf) -> str:
    domains = [each for each in conf.search if each != "."]
    lines = [f"nameserver {server}\n" for server in conf.nameservers]
    if domains:
        lines.append(f"search {' '.join(domains)}\n")
    if conf.options:
        lines.append(f"options {' '.join(conf.options)}\n")
    return "".join(lines)


def _reachable(conf: ResolvConf) -> tuple[str, ...]:
    return tuple(server for server in conf.nameservers if not _is_loopback(server))


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return False


# The host's own. They block.


def hosts_of_host() -> str:
    return _read(Path("/etc/hosts"))


def resolv_conf_of_host() -> str:
    return _read(RESOLV_CONF)


def resolv_conf_for_others(paths: Sequence[Path] = (RESOLV_CONF, _RESOLVED_CONF)) -> str:
    """The host's file; when it names a stub at a loopback address alone, what stands behind that
    (systemd-resolved's list) if it is there."""
    texts = [_read(path) for path in paths]
    return next((text for text in texts if _reachable(parse_resolv_conf(text))), texts[0])


def _read(path: Path) -> str:
    """Nothing when there is none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
