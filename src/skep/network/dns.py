"""DNS messages, as far as a resolver for containers needs them (RFC 1035, 6891): bytes <-> values.

An own codec because it is small and answers are ten to a hundred times cheaper than with the
general libraries. Nothing here does I/O.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

TYPE_A, TYPE_PTR, TYPE_AAAA, TYPE_OPT = 1, 12, 28, 41
_CLASS_IN = 1

NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED = 0, 1, 2, 3, 4

_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE_MASK = 0x7800

_HEADER = struct.Struct("!HHHHHH")
_QUESTION_TAIL = struct.Struct("!HH")
_RECORD = struct.Struct("!HHHIH")  # name pointer, type, class, TTL, length of the data
_SAME_NAME = 0xC00C  # a pointer to the question's name
_PLAIN_UDP_BYTES = 512
_OUR_UDP_BYTES = 1232  # what passes everywhere without fragments (DNS flag day 2020)
_OPT_RECORD = struct.pack("!BHHIH", 0, TYPE_OPT, _OUR_UDP_BYTES, 0, 0)
_LARGEST_MESSAGE = 65535
_LONGEST_NAME = 255


class FormatError(ValueError):
    """The bytes are no question that we can answer; `asked_id` is its id, if there is one."""

    def __init__(self, asked_id: int | None = None, code: int = FORMAT_ERROR) -> None:
        super().__init__("malformed DNS message")
        self.asked_id = asked_id
        self.code = code


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    name        in lower case, without the last dot.
    raw         name, type and class as they came, to be echoed (with the case they came in).
    udp_bytes   how long an answer by UDP may be.
    """

    id: int
    recursion_desired: bool
    name: str
    type: int
    raw: bytes
    edns: bool
    udp_bytes: int


def parse_question(data: bytes) -> Question:
    """Raises FormatError for what is no ordinary question."""
    if len(data) < _HEADER.size:
        raise FormatError
    id_, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & _QR:
        raise FormatError
    if flags & _OPCODE_MASK:
        raise FormatError(id_, NOT_IMPLEMENTED)
    if questions != 1 or answers or authorities:
        raise FormatError(id_)
    try:
        name, end = _name(data, _HEADER.size)
        kind, class_ = _QUESTION_TAIL.unpack_from(data, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise FormatError(id_) from None
    if class_ != _CLASS_IN:
        raise FormatError(id_, NOT_IMPLEMENTED)
    end += _QUESTION_TAIL.size
    payload = _edns_payload(data, end) if additional else None
    return Question(
        id=id_,
        recursion_desired=bool(flags & _RD),
        name=name.lower(),
        type=kind,
        raw=data[_HEADER.size : end],
        edns=payload is not None,
        udp_bytes=max(_PLAIN_UDP_BYTES, min(payload or 0, _OUR_UDP_BYTES)),
    )


def _name(data: bytes, offset: int) -> tuple[str, int]:
    """The name at `offset` and where it ends; a question's name has no pointers."""
    labels = []
    while length := data[offset]:
        if length > 63 or offset + 1 + length > len(data):
            raise IndexError
        labels.append(data[offset + 1 : offset + 1 + length].decode("latin-1"))
        offset += 1 + length
    return ".".join(labels), offset + 1


def _edns_payload(data: bytes, offset: int) -> int | None:
    """The UDP size in an OPT record that follows the question; None when it is another record."""
    try:
        root, kind, size = struct.unpack_from("!BHH", data, offset)
    except struct.error:
        return None
    return size if root == 0 and kind == TYPE_OPT else None


def address_record(packed: bytes, ttl_s: int) -> bytes:
    """An A or AAAA record of the question's name."""
    kind = TYPE_A if len(packed) == 4 else TYPE_AAAA
    return _RECORD.pack(_SAME_NAME, kind, _CLASS_IN, ttl_s, len(packed)) + packed


def pointer_record(name: str, ttl_s: int) -> bytes:
    """A PTR record of the question's name."""
    data = encode_name(name)
    return _RECORD.pack(_SAME_NAME, TYPE_PTR, _CLASS_IN, ttl_s, len(data)) + data


def encode_name(name: str) -> bytes:
    """Raises ValueError for what DNS cannot carry: labels of none or more than 63 bytes, names of
    more than 255."""
    parts = []
    for label in name.rstrip(".").split("."):
        data = label.encode("latin-1")
        if not 0 < len(data) < 64:
            raise ValueError(f'"{name}" is no DNS name')
        parts.append(bytes([len(data)]) + data)
    encoded = b"".join(parts) + b"\0"
    if len(encoded) > _LONGEST_NAME:
        raise ValueError(f'"{name}" is no DNS name')
    return encoded


def is_name(text: str) -> bool:
    """Whether DNS can carry it."""
    try:
        encode_name(text)
    except ValueError:
        return False
    return True


def answer(question: Question, records: list[bytes], code: int, *, udp: bool) -> bytes:
    """The whole message; by UDP with as many records as fit, and the rest by TCP."""
    limit = question.udp_bytes if udp else _LARGEST_MESSAGE
    tail = _OPT_RECORD if question.edns else b""
    room = limit - _HEADER.size - len(question.raw) - len(tail)
    body, count = b"", 0
    for record in records:
        if len(body) + len(record) > room:
            break
        body += record
        count += 1
    flags = _QR | _RA | code
    if question.recursion_desired:
        flags |= _RD
    if count < len(records):
        flags |= _TC
    header = _HEADER.pack(question.id, flags, 1, count, 0, 1 if tail else 0)
    return header + question.raw + body + tail


def refusal(error: FormatError) -> bytes | None:
    """What to answer to something malformed; None: nothing."""
    if error.asked_id is None:
        return None
    return _HEADER.pack(error.asked_id, _QR | _RA | error.code, 0, 0, 0, 0)


def id_of(message: bytes) -> int:
    return int.from_bytes(message[:2], "big")


def with_id(message: bytes, id_: int) -> bytes:
    return struct.pack("!H", id_) + message[2:]


def answers_to(message: bytes, query: bytes) -> bool:
    """Whether `message` is an answer to just this query: its id, and its question (0x20 case)."""
    if len(message) < _HEADER.size or message[:2] != query[:2] or not message[2] & 0x80:
        return False
    try:
        _, end = _name(query, _HEADER.size)
    except IndexError:
        return False
    end += _QUESTION_TAIL.size
    empty = message[4:6] == b"\0\0"  # a server may fail without repeating the question
    return empty or message[_HEADER.size : end] == query[_HEADER.size : end]


def response_code(message: bytes) -> int:
    return message[3] & 0x0F


def reverse_address(name: str) -> str | None:
    """`2.0.17.172.in-addr.arpa` -> `172.17.0.2`; None for what is no such name."""
    if name.endswith(".in-addr.arpa"):
        text = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        text = ":".join(digits[n : n + 4] for n in range(0, len(digits), 4))
    else:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
