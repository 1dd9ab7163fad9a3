"""Ports of the host that are ours: claimed with sockets, so that others see us, and we them.

Nothing ever talks to these sockets: the rules lead every packet to such a port elsewhere.
"""

from __future__ import annotations

import errno
import os
import random
import socket
from collections.abc import Collection, Iterable
from contextlib import ExitStack

from skep.kit.errors import Conflict, Internal
from skep.model.service import Transport
from skep.network import netns, words
from skep.network.values import PublishedPort

_SOCKETS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, getattr(socket, "IPPROTO_SCTP", 132)),
}
_NO_SCTP = {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}
_EPHEMERAL = range(32768, 61000)  # the kernel's own default, and docker's
_EPHEMERAL_TRIES = 100

Claim = tuple[Transport, str, int]
"""Protocol, host address ("" is all), port."""


class HostPorts:
    """Who has which port of the host. `home` is the host's network namespace."""

    def __init__(self, home: int) -> None:
        self._home = home
        self._held: dict[str, dict[Claim, list[socket.socket]]] = {}

    def reserve(self, owner: str, ports: Iterable[PublishedPort]) -> tuple[PublishedPort, ...]:
        """Hold `ports` for `owner` beside what it holds; returns them with the ports chosen.

        Raises Conflict when one is taken, by whomever; then nothing new is held.
        """
        held = self._held.get(owner, {})
        chosen: list[PublishedPort] = []
        new: dict[Claim, list[socket.socket]] = {}
        with netns.inside(self._home), ExitStack() as undo:
            for port in ports:
                decided, sockets = self._choose(port, {*held, *new})
                for each in sockets:
                    undo.callback(each.close)
                if (claim := _claim(decided)) not in held:
                    new[claim] = sockets
                chosen.append(decided)
            undo.pop_all()
        self._held[owner] = held | new
        return tuple(chosen)

    def keep_only(self, owner: str, ports: Iterable[PublishedPort]) -> None:
        """Let go of what `owner` holds beside `ports`."""
        held = self._held.pop(owner, {})
        wanted = {_claim(port) for port in ports}
        for claim in held.keys() - wanted:
            for each in held[claim]:
                each.close()
        if kept := {claim: held[claim] for claim in held.keys() & wanted}:
            self._held[owner] = kept

    def release_others(self, owners: Collection[str]) -> None:
        """Let go of what anybody but `owners` holds."""
        for owner in self._held.keys() - set(owners):
            self.keep_only(owner, ())

    def _choose(
        self, port: PublishedPort, own: set[Claim]
    ) -> tuple[PublishedPort, list[socket.socket]]:
        """The first candidate that is free or the owner's already, and the sockets that hold it."""
        for candidate in _candidates(port):
            claim = _claim(candidate)
            if claim in own:
                if candidate.host_port != port.host_port or port.host_port_end:
                    continue  # another container port of this owner got it
                return candidate, []
            try:
                self._check_others(claim)
                return candidate, _bind(candidate)
            except Conflict:
                continue
        if port.host_port_end > port.host_port:
            span = f"{port.host_port}-{port.host_port_end}"
            raise Conflict(f"Bind for {_shown(port)}:{span} failed: all ports are allocated")
        raise _taken(port)

    def _check_others(self, claim: Claim) -> None:
        """What sockets cannot see: protocols that this kernel has no sockets for."""
        if claim[0] == "sctp" and any(claim in held for held in self._held.values()):
            raise Conflict("port is already allocated")


def _candidates(port: PublishedPort) -> Iterable[PublishedPort]:
    if port.host_port == 0:
        return (_with_port(port, n) for n in random.sample(_EPHEMERAL, _EPHEMERAL_TRIES))
    last = max(port.host_port, port.host_port_end)
    return (_with_port(port, n) for n in range(port.host_port, last + 1))


def _with_port(port: PublishedPort, number: int) -> PublishedPort:
    return PublishedPort(
        host_port=number, backends=port.backends, protocol=port.protocol, host_ip=port.host_ip
    )


def _claim(port: PublishedPort) -> Claim:
    return (port.protocol, port.host_ip, port.host_port)


def _bind(port: PublishedPort) -> list[socket.socket]:
    """Sockets at the port, one per IP version that it is for."""
    with ExitStack() as undo:
        sockets = []
        for address in _addresses(port):
            if (bound := _bound(port, address)) is not None:
                undo.callback(bound.close)
                sockets.append(bound)
        undo.pop_all()
    return sockets


def _addresses(port: PublishedPort) -> list[str]:
    if port.host_ip:
        return [words.address(port.host_ip)]  # a name would be looked up, here and now
    versions = {":" in backend.address for backend in port.backends} or {False}
    return ["::" if version6 else "0.0.0.0" for version6 in sorted(versions)]


def _bound(port: PublishedPort, address: str) -> socket.socket | None:
    """A socket that keeps the port; None when the kernel has no such sockets (SCTP).

    TCP listens: only that keeps out who binds with SO_REUSEADDR, as every server does; and we
    bind so ourselves, or connections long closed would keep us out.
    """
    kind, protocol = _SOCKETS[port.protocol]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        held = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    except OSError as error:
        if port.protocol == "sctp" and error.errno in _NO_SCTP:
            return None
        raise Internal(f"cannot reserve a {port.protocol} port: {error.strerror}") from None
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        held.bind((address, port.host_port))
        if kind == socket.SOCK_STREAM:
            held.listen(0)
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            raise _taken(port) from None
        reason = os.strerror(error.errno or 0).lower()
        where = f"{address}:{port.host_port}/{port.protocol}"
        raise Internal(f"failed to bind host port for {where}: {reason}") from None
    return held


def _taken(port: PublishedPort) -> Conflict:
    return Conflict(f"Bind for {_shown(port)}:{port.host_port} failed: port is already allocated")


def _shown(port: PublishedPort) -> str:
    return port.host_ip or "0.0.0.0"
