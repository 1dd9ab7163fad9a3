"""Who is at the other end: TLS 1.3 with the cluster's own certificates.

A certificate says: CN node id, OU swarm-worker or swarm-manager, O cluster id. A caller without
one is a stranger, who may only ask to join.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import msgspec

from skep.kit.addresses import join_host_port, split_host_port
from skep.kit.errors import Unavailable
from skep.model.node import Role
from skep.protocol.wire import MAX_AGENT_FRAME_BYTES, WireLink

PORT = 2377
"""Where managers listen unless told otherwise."""
MANAGER_NAME = "swarm-manager"
"""The name in every manager's certificate: who connects checks it, whatever the address."""

CONNECT_S = 10.0
BUSY_S = 30.0
"""A manager whose machine answers, while 5,000 agents come back to it at once, may need so long."""
SHUTDOWN_S = 3.0
"""A line that is closed may take this long to say its last words."""


class Caller(msgspec.Struct, frozen=True):
    """A member of the cluster, as its certificate says."""

    node_id: str
    role: Role
    cluster_id: str


class CertificateFiles(msgspec.Struct, frozen=True):
    """Where a node keeps its identity, as PEM. The second file's mode is 0600."""

    roots: Path
    key_and_certificate: Path


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """A manager's: strangers may come without a certificate, but never with a wrong one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    return _member(context, files)


def member_context(files: CertificateFiles) -> ssl.SSLContext:
    """A member that connects to a manager."""
    return _member(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)


def stranger_context(root: str | None) -> ssl.SSLContext:
    """One that has no certificate yet: with the root it knows whom it speaks to, without it asks
    for the root, and believes nothing else."""
    context = _strict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if root is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=root)
    return context


async def connect(
    address: str, context: ssl.SSLContext, incoming: Any, patience_s: float = CONNECT_S
) -> WireLink[Any, Any]:
    """A line to the manager at `address` (host:port). Raises Unavailable, saying what went wrong:
    after CONNECT_S when there is no answer at all, after `patience_s` more when no TLS came of it.
    """
    host, port = split_host_port(address, PORT)
    where = join_host_port(host, port)
    try:
        async with asyncio.timeout(CONNECT_S):
            line = await _dial(host, port)
    except TimeoutError:
        raise Unavailable(
            f"the manager at {where} did not answer within {CONNECT_S:g} s: check the "
            "address, and that its port is open for this machine"
        ) from None
    except OSError as error:
        raise Unavailable(_what_went_wrong(where, error)) from None
    try:
        async with asyncio.timeout(patience_s):
            return await _secure(line, context, incoming)
    except TimeoutError:
        raise Unavailable(
            f"{where} took the call and said nothing for {patience_s:g} s: is that a manager's "
            f"port ({PORT} by default), or is the manager overloaded?"
        ) from None
    except OSError as error:
        raise Unavailable(_what_went_wrong(where, error)) from None


def caller_of(link: WireLink[Any, Any]) -> Caller | None:
    """The member at the other end; None for a stranger. The handshake verified the signature."""
    certificate = link.transport.get_extra_info("peercert")
    if not certificate:
        return None
    subject = {key: value for part in certificate.get("subject", ()) for key, value in part}
    role: Role = "manager" if subject.get("organizationalUnitName") == MANAGER_NAME else "worker"
    return Caller(
        node_id=subject.get("commonName", ""),
        role=role,
        cluster_id=subject.get("organizationName", ""),
    )


def _member(context: ssl.SSLContext, files: CertificateFiles) -> ssl.SSLContext:
    context.load_cert_chain(files.key_and_certificate)
    context.load_verify_locations(files.roots)
    return _strict(context)


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.3 only. Whoever is named as a root is one, even if others vouch for it."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _dial(host: str, port: int) -> socket.socket:
    """Raises OSError: the last of the host's addresses says why."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, target in found:
        line = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
        try:
            await loop.sock_connect(line, target)
        except BaseException as error:
            line.close()
            if not isinstance(error, OSError) or target == found[-1][4]:
                raise
        else:
            return line
    raise socket.gaierror(socket.EAI_NONAME, "it has no address")


async def _secure(
    line: socket.socket, context: ssl.SSLContext, incoming: Any
) -> WireLink[Any, Any]:
    """TLS on a connected socket, which is ours no more from here on. Raises OSError."""
    link: WireLink[Any, Any]
    _, link = await asyncio.get_running_loop().create_connection(
        lambda: WireLink[Any, Any](incoming, max_sent_bytes=MAX_AGENT_FRAME_BYTES),
        sock=line,
        ssl=context,
        server_hostname=MANAGER_NAME,
        ssl_shutdown_timeout=SHUTDOWN_S,
    )
    return link


def _what_went_wrong(where: str, error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"the manager at {where} cannot be trusted: {error.verify_message}. Is it a "
                "manager of the same cluster, and are the clocks of both machines right?"
            )
        case ssl.SSLError():
            reason = (error.reason or str(error)).lower().replace("_", " ")
            return (
                f"no TLS 1.3 with {where} ({reason}): is that a manager's port ({PORT} by default)?"
            )
        case ConnectionAbortedError() | ConnectionResetError():
            return (
                f"{where} hung up before it said who it is: is that a manager's port "
                f"({PORT} by default)?"
            )
        case socket.gaierror():
            return f"cannot find the manager {where}: {error.strerror}"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot connect to the manager at {where}: {reason}"
