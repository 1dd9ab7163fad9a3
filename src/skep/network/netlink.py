"""The door to the kernel's netlink: bytes out, answers or a clear error back.

An own encoder, because the general library costs 9 MB, a fifth of a second of start-up and 8 ms
per sandbox, and we say some twenty different messages (`links.py`). Layouts: linux/netlink.h,
rtnetlink.h and RFC 3549; everything is in the machine's byte order and padded to 4 bytes.

A `Netlink` belongs to the network namespace of the thread that made it, for ever, whoever uses it
later. It blocks, for microseconds: use it in a worker thread.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from skep.kit.errors import Internal

NLM_F_REQUEST, NLM_F_ACK, NLM_F_EXCL, NLM_F_CREATE, NLM_F_REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
NLM_F_DUMP = 0x300
NETLINK_NETFILTER = 12

_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK = 270, 10, 11
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_ACK_TLVS = 0x200
_NLMSGERR_ATTR_MSG = 1
_NLA_F_NESTED = 0x8000
_NLA_TYPE_MASK = 0x3FFF  # the two bits above say "nested" and "big endian"
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_RECEIVE_BYTES = 1 << 17
_LARGEST_BATCH = 100  # whose answers fit into the socket's buffer
_ANSWER_TIMEOUT_S = 10  # the kernel answers at once, or after a wait for the rtnl lock


class NetlinkError(Internal):
    """The kernel refused: what we were doing, its errno, and its own sentence when it gave one."""

    def __init__(self, doing: str, errno: int, said: str = "") -> None:
        super().__init__(f"{doing}: {os.strerror(errno)}" + (f" ({said})" if said else ""))
        self.errno = errno


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute: header, value, padding."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | _NLA_F_NESTED, b"".join(parts))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in `data` by kind; of a repeated kind, the last."""
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & _NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def messages(datagram: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, body) of the messages in `datagram`."""
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, flags, sequence, _port = _HEADER.unpack_from(datagram, offset)
        if length < _HEADER.size:
            break
        yield kind, flags, sequence, datagram[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


@dataclass(frozen=True, slots=True)
class NetlinkRequest:
    """One message: its type and flags, its fixed header with attributes, and words for errors.

    doing       "add 172.17.0.2/16 to eth0": how an error message begins.
    tolerated   errnos that are no error, such as EEXIST for what may be there already.
    """

    kind: int
    body: bytes
    doing: str
    flags: int = 0
    tolerated: frozenset[int] = frozenset()


class Netlink:
    """One netlink socket; not for two threads at once."""

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
        )
        self._socket.bind((0, 0))
        self._socket.settimeout(_ANSWER_TIMEOUT_S)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def apply(self, *requests: NetlinkRequest) -> None:
        """Send them, up to a hundred in one system call, and wait for every answer.

        The kernel carries out each of a batch, also after one that failed; raises the first
        NetlinkError whose errno is not tolerated.
        """
        for start in range(0, len(requests), _LARGEST_BATCH):
            self._apply(requests[start : start + _LARGEST_BATCH])

    def _apply(self, requests: Sequence[NetlinkRequest]) -> None:
        first = self._sequence + 1
        self._socket.send(b"".join(self._encode(r, NLM_F_ACK) for r in requests))
        waiting = len(requests)
        failure: NetlinkError | None = None
        while waiting:
            for kind, flags, sequence, body in self._receive():
                if kind != _NLMSG_ERROR or not first <= sequence <= self._sequence:
                    continue  # a late answer to a request that timed out
                waiting -= 1
                request = requests[sequence - first]
                errno = -struct.unpack_from("=i", body)[0]
                if errno and errno not in request.tolerated and failure is None:
                    failure = NetlinkError(request.doing, errno, _said(flags, body))
        if failure is not None:
            raise failure

    def dump(self, request: NetlinkRequest) -> list[bytes]:
        """The bodies of all messages that answer one dump."""
        self._socket.send(self._encode(request, NLM_F_DUMP))
        bodies: list[bytes] = []
        while True:
            for kind, _flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _NLMSG_DONE:
                    return bodies
                if kind == _NLMSG_ERROR:
                    raise NetlinkError(request.doing, -struct.unpack_from("=i", body)[0])
                bodies.append(body)

    def get(self, request: NetlinkRequest) -> bytes | None:
        """The body of the one message that answers; None when the errno is a tolerated one."""
        self._socket.send(self._encode(request, 0))
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind != _NLMSG_ERROR:
                    return body
                errno = -struct.unpack_from("=i", body)[0]
                if errno in request.tolerated:
                    return None
                raise NetlinkError(request.doing, errno, _said(flags, body))

    def _encode(self, request: NetlinkRequest, flags: int) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(request.body)
        flags |= NLM_F_REQUEST | request.flags
        return _HEADER.pack(length, request.kind, flags, self._sequence, 0) + request.body

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        """(type, flags, sequence, body) of the messages of one datagram."""
        return messages(self._socket.recv(_RECEIVE_BYTES))


def _said(flags: int, body: bytes) -> str:
    """The kernel's own words about a refusal, if it gave some (NETLINK_EXT_ACK)."""
    if not flags & _NLM_F_ACK_TLVS:
        return ""
    said = attributes(body[4 + _HEADER.size :]).get(_NLMSGERR_ATTR_MSG, b"")
    return said.rstrip(b"\0").decode(errors="replace")
