"""Sandboxes in the kernel: a namespace, its interfaces, addresses and routes.

Everything here blocks and moves its thread between namespaces: it runs in KernelNetwork's one
worker thread, which is at home in the host's namespace between two calls.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from skep.kit.errors import Conflict
from skep.network import links, netns, sysctl
from skep.network.names import Names, attachment_mac
from skep.network.netlink import Netlink, NetlinkError, NetlinkRequest
from skep.network.values import Attachment, Sandbox

_DOCKER_SYSCTLS = {
    # As docker: a container's programs need no privilege for low ports or for ping.
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}
_LOOPBACK = 1  # its index in every namespace
_NO_IPV6 = "net.ipv6.conf.default.disable_ipv6"


@dataclass(frozen=True, slots=True)
class BridgePort:
    """A bridge as its ports need it."""

    link: str
    index: int
    mtu: int
    icc: bool


def default_routes(attachments: Iterable[Attachment]) -> dict[int, tuple[str, str]]:
    """IP version -> (ifname, gateway) of a sandbox's default routes (see Attachment.gateways)."""
    chosen: dict[int, tuple[str, str]] = {}
    for attachment in sorted(attachments, key=_precedence):
        for gateway in attachment.gateways:
            chosen.setdefault(6 if ":" in gateway else 4, (attachment.ifname, gateway))
    return chosen


def _precedence(attachment: Attachment) -> tuple[int, int, str]:
    """The highest priority first; eth2 before eth10."""
    return (-attachment.gateway_priority, len(attachment.ifname), attachment.ifname)


class SandboxMaker:
    """Makes and changes sandboxes on one host.

    home   the host's network namespace; `host` is a netlink socket in it.
    """

    def __init__(self, home: int, host: Netlink, names: Names) -> None:
        self._home = home
        self._host = host
        self._names = names
        self._has_ipv6 = sysctl.read(_NO_IPV6) is not None

    def create(self, path: Path, sandbox: Sandbox, ports: dict[str, BridgePort]) -> bool:
        """Make the namespace at `path` unless it is there, and plug in what it lacks.

        ports   network id -> its bridge, for each of the sandbox's attachments.
        Returns whether the namespace is new.
        """
        existed = netns.is_bound(path)
        try:
            if existed:
                fd = netns.open_at(path)
                netns.enter(fd)
            else:
                netns.make(path, self._home)
                fd = netns.open_own()
            try:
                if not existed:
                    self._usual_settings()
                with closing(Netlink()) as inside:
                    self._plug_all(fd, inside, sandbox, ports, fresh=not existed)
                if not existed:
                    for name, value in sandbox.sysctls.items():
                        sysctl.write(name, value)
            finally:
                os.close(fd)
        finally:
            netns.enter(self._home)
        return not existed

    def unplug(self, path: Path, sandbox: Sandbox, network_id: str) -> None:
        """Delete the interface on one network; `sandbox` is without it."""
        self._host.apply(links.delete_link(self._names.veth(sandbox.id, network_id)))
        fd = netns.open_at(path)
        try:
            with netns.inside(fd), closing(Netlink()) as inside:
                inside.apply(*self._routes(inside, sandbox.attachments))
        finally:
            os.close(fd)

    def remove(self, sandboxes: Iterable[tuple[Path, Iterable[str]]]) -> None:
        """Remove many at once: paths, each with the names of its links on the host.

        The links go with one wait for the kernel, and before the namespaces: from then on nobody
        answers at these addresses.
        """
        gone = list(sandboxes)
        doomed = [
            request
            for _, names in gone
            for name in names
            for request in links.doom_port(name, self._names.doomed_group)
        ]
        if doomed:
            self._host.apply(*doomed)
            self._host.apply(links.delete_group(self._names.doomed_group))
        for path, _ in gone:
            netns.release(path)

    def _usual_settings(self) -> None:
        for name, value in _DOCKER_SYSCTLS.items():
            sysctl.write(name, value)
        if self._has_ipv6:
            sysctl.write(_NO_IPV6, "1")  # until an interface has an IPv6 address

    def _plug_all(
        self,
        fd: int,
        inside: Netlink,
        sandbox: Sandbox,
        ports: dict[str, BridgePort],
        *,
        fresh: bool,
    ) -> None:
        requests = [links.link_up(_LOOPBACK)]
        indexes: dict[str, int] = {}
        for attachment in sandbox.attachments:
            index = None if fresh else links.index_of(inside, attachment.ifname)
            if index is None:
                self._make_veth(fd, sandbox.id, attachment, ports[attachment.network_id])
                index = links.index_of(inside, attachment.ifname)
            if index is None:
                raise Conflict(f"interface {attachment.ifname} vanished while it was set up")
            indexes[attachment.ifname] = index
            self._interface_settings(attachment)
            requests += _addresses(index, attachment)
        inside.apply(*requests, *self._routes(inside, sandbox.attachments, indexes))
        for attachment in sandbox.attachments:
            links.wait_until_up(inside, attachment.ifname)
            links.wait_until_up(self._host, self._names.veth(sandbox.id, attachment.network_id))
            links.wait_until_up(self._host, ports[attachment.network_id].link)

    def _make_veth(
        self, fd: int, sandbox_id: str, attachment: Attachment, port: BridgePort
    ) -> None:
        name = self._names.veth(sandbox_id, attachment.network_id)
        create = links.new_veth(
            name,
            bridge_index=port.index,
            netns_fd=fd,
            ifname=attachment.ifname,
            mac=attachment_mac(attachment),
            mtu=port.mtu,
        )
        alias = self._names.alias_prefix + sandbox_id
        opened = links.open_port(name, alias=alias, isolated=not port.icc)
        try:
            self._host.apply(create, opened)
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise
            # Left over from a namespace that was lost with this id.
            self._host.apply(links.delete_link(name), create, opened)

    def _interface_settings(self, attachment: Attachment) -> None:
        name = attachment.ifname
        if self._has_ipv6 and any(":" in each for each in attachment.interface_addresses):
            sysctl.write(f"net.ipv6.conf.{name}.accept_dad", "0")  # or the first second is mute
            sysctl.write(f"net.ipv6.conf.{name}.disable_ipv6", "0")
        for key, value in attachment.sysctls.items():
            sysctl.write(key.replace("IFNAME", name), value)

    def _routes(
        self,
        inside: Netlink,
        attachments: Iterable[Attachment],
        indexes: dict[str, int] | None = None,
    ) -> list[NetlinkRequest]:
        """Make the default routes what they shall be; an interface that is gone took its own."""
        requests = []
        for ifname, gateway in default_routes(attachments).values():
            index = indexes[ifname] if indexes else links.index_of(inside, ifname)
            if index is not None:
                requests.append(links.default_route(index, gateway))
        return requests


def _addresses(index: int, attachment: Attachment) -> list[NetlinkRequest]:
    interfaces = [ipaddress.ip_interface(each) for each in attachment.interface_addresses]
    return [
        links.link_up(index),
        *(links.add_address(index, interface, attachment.ifname) for interface in interfaces),
    ]
