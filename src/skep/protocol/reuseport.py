"""Several sockets that listen at one address: each caller's address leads to one of them.

A listening socket has one queue of callers that nobody took yet, and when it is full the kernel
drops who comes, whoever that is. A flood fills it faster than any program empties it. So there are
several, and the kernel finds a caller's by where it calls from (SO_REUSEPORT with a filter of ours,
socket(7)): a flood that comes from one place shuts the door of that place, and of a few others.
"""

from __future__ import annotations

import ctypes
import socket
import struct

from skep.kit.addresses import split_host_port
from skep.kit.errors import Unavailable
from skep.protocol.tls import PORT

DOORS = 8
_BACKLOG = 2_048
_SO_ATTACH_REUSEPORT_CBPF = 51
_NETWORK_HEADER = 0xFFF00000
"""Offsets from here on are into the IP header (SKF_NET_OFF, linux/filter.h)."""

_LOAD_BYTE, _LOAD_WORD, _KEEP, _KEPT_TO_X = 0x30, 0x20, 0x02, 0x61
_COPY_TO_X, _XOR_X, _AND, _SHIFT_RIGHT = 0x07, 0xAC, 0x54, 0x74
_JUMP_IF_EQUAL, _JUMP, _RETURN = 0x15, 0x05, 0x16

_DOOR_OF_CALLER = [
    (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
    (_AND, 0, 0, 0xF0),
    (_JUMP_IF_EQUAL, 0, 2, 0x40),
    (_LOAD_WORD, 0, 0, _NETWORK_HEADER + 12),  # IPv4: the source address
    (_JUMP, 0, 0, 5),
    (_LOAD_WORD, 0, 0, _NETWORK_HEADER + 8),  # IPv6: the source's network, its first 64 bits
    (_KEEP, 0, 0, 0),
    (_LOAD_WORD, 0, 0, _NETWORK_HEADER + 12),
    (_KEPT_TO_X, 0, 0, 0),
    (_XOR_X, 0, 0, 0),
    (_COPY_TO_X, 0, 0, 0),  # now fold all bytes into the last
    (_SHIFT_RIGHT, 0, 0, 16),
    (_XOR_X, 0, 0, 0),
    (_COPY_TO_X, 0, 0, 0),
    (_SHIFT_RIGHT, 0, 0, 8),
    (_XOR_X, 0, 0, 0),
    (_AND, 0, 0, DOORS - 1),
    (_RETURN, 0, 0, 0),
]
"""Classic BPF: opcode, jumps when true and when false, operand. Returns the door's number."""


def open_doors(address: str) -> list[socket.socket]:
    """Listen at `address` (host:port). Raises Unavailable when somebody else does."""
    host, port = split_host_port(address, PORT)
    doors: list[socket.socket] = []
    try:
        for _ in range(DOORS):
            doors.append(_bound(host, port, beside=doors))
        for door in doors:
            door.listen(_BACKLOG)
        _choose_by_caller(doors[0])
    except OSError as error:
        for door in doors:
            door.close()
        raise Unavailable(
            f"cannot listen at {address}: {error.strerror}. Is another manager there? "
            "Choose another with --listen-addr"
        ) from None
    return doors


def _bound(host: str, port: int, beside: list[socket.socket]) -> socket.socket:
    """The first is bound as if it were the only one: an address that is taken is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        door.setblocking(False)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if beside:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        door.bind((host, port))
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        door.close()
        raise
    return door


def _choose_by_caller(door: socket.socket) -> None:
    """Holds for all doors beside this one."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in _DOOR_OF_CALLER)
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(_DOOR_OF_CALLER), ctypes.addressof(kept))
    door.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
