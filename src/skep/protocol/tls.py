"""Who is at the other end: TLS 1.3 with the cluster's own certificates.

A certificate says: CN node id, OU swarm-worker or swarm-manager, O cluster id. A caller without
one is a stranger, who may only ask to join.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import msgspec

from skep.kit.addresses import split_host_port
from skep.kit.errors import Unavailable
from skep.model.node import Role
from skep.protocol.wire import WireLink

MANAGER_NAME = "swarm-manager"
"""The name in every manager's certificate: who connects checks it, whatever the address."""

CONNECT_S = 10.0
_UNHEARD_S = 10
"""A line on which nothing of ours arrived for so long is broken. Without this the kernel tries
less and less often for a quarter of an hour: a node cut off for a minute would stay away two."""
_DEFAULT_PORT = 2377


class Peer(msgspec.Struct, frozen=True):
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
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    reload(context, files)
    return context


def member_context(files: CertificateFiles) -> ssl.SSLContext:
    """A member that connects to a manager."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    reload(context, files)
    return context


def reload(context: ssl.SSLContext, files: CertificateFiles) -> None:
    """Use renewed certificates for the connections to come; those that stand go on."""
    context.load_cert_chain(files.key_and_certificate)
    context.load_verify_locations(files.roots)


def stranger_context(root: str | None) -> ssl.SSLContext:
    """One that has no certificate yet: with the root it knows whom it speaks to, without it asks
    for the root, and believes nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if root is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=root)
    return context


async def connect(address: str, context: ssl.SSLContext, incoming: Any) -> WireLink[Any, Any]:
    """A line to the manager at `address` (host:port). Raises Unavailable, saying what went wrong,
    at the latest after CONNECT_S."""
    host, port = split_host_port(address, _DEFAULT_PORT)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            _, link = await loop.create_connection(
                lambda: WireLink[Any, Any](incoming),
                host,
                port,
                ssl=context,
                server_hostname=MANAGER_NAME,
            )
    except TimeoutError:
        raise Unavailable(
            f"the manager at {host}:{port} did not answer within {CONNECT_S:g} s: check the "
            "address, and that its port is open for this machine"
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise Unavailable(
            f"the manager at {host}:{port} cannot be trusted: {error.verify_message}. Is it of "
            "the same cluster, and are the clocks of both machines right?"
        ) from None
    except OSError as error:
        raise Unavailable(
            f"cannot connect to the manager at {host}:{port}: {error.strerror or error}"
        ) from None
    connection: socket.socket = link.transport.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD_S * 1000)
    return link


def peer_of(link: WireLink[Any, Any]) -> Peer | None:
    """The member at the other end; None for a stranger. The handshake verified the signature."""
    certificate = link.transport.get_extra_info("peercert")
    if not certificate:
        return None
    subject = {key: value for part in certificate.get("subject", ()) for key, value in part}
    role: Role = "manager" if subject.get("organizationalUnitName") == MANAGER_NAME else "worker"
    return Peer(
        node_id=subject.get("commonName", ""),
        role=role,
        cluster_id=subject.get("organizationName", ""),
    )
