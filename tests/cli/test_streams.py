"""Frames, detach keys and the HTTP wire: bytes in pieces of any size come out whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.cli.client.client import (
    encode_query,
    error_message,
    filters_query,
    json_stream,
    negotiate,
)
from skep.cli.client.wire import Response, Wire, quote, send
from skep.cli.errors import Unreachable
from skep.cli.streams.keys import DetachKeys, parse_keys
from skep.cli.streams.stdcopy import Frames, frames


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def pieces(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    at = 0
    for cut in cuts:
        yield content[at : at + cut]
        at += cut
    yield content[at:]


@given(
    st.lists(st.tuples(st.integers(1, 2), st.binary(max_size=20))),
    st.lists(st.integers(1, 9)),
    st.booleans(),
)
def test_frames_come_out_as_they_were_put_in(
    sent: list[tuple[int, bytes]], cuts: list[int], whole: bool
) -> None:
    content = b"".join(frame(stream, payload) for stream, payload in sent)
    received = list(frames(pieces(content, cuts), whole=whole))
    if whole:
        assert received == [each for each in sent if each[1]]
    for wanted in (1, 2):
        assert b"".join(p for s, p in received if s == wanted) == b"".join(
            p for s, p in sent if s == wanted
        )


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="unrecognized stream: 72"):
        list(Frames().feed(b"HTTP/1.1 400"))


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a", b"\x01"), ("ctrl-],x", b"\x1dx"), ("a,b", b"ab")],
)
def test_detach_keys_are_letters_or_control_keys(text: str, keys: bytes) -> None:
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-ab", "shift-a", "a,,b"])
def test_other_detach_keys_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid detach keys"):
        parse_keys(text)


@given(st.binary().filter(lambda typed: b"\x10\x11" not in typed), st.binary(), st.integers(1, 5))
def test_typing_goes_through_until_the_detach_keys(before: bytes, after: bytes, size: int) -> None:
    typed = before + b"\x10\x11" + after
    if before.endswith(b"\x10"):
        return  # ctrl-p ctrl-p ctrl-q is a matter of its own, below.
    keys = DetachKeys(b"\x10\x11")
    sent, detached = b"", False
    for at in range(0, len(typed), size):
        more, detached = keys.feed(typed[at : at + size])
        sent += more
        if detached:
            break
    assert (sent, detached) == (before, True)


def test_a_key_that_was_held_back_is_sent_when_it_meant_nothing() -> None:
    keys = DetachKeys(b"\x10\x11")
    assert keys.feed(b"a\x10") == (b"a", False)
    assert keys.feed(b"b") == (b"\x10b", False)
    assert keys.feed(b"\x10\x10") == (b"\x10", False)
    assert keys.feed(b"\x11") == (b"", True)


def answered(content: bytes, method: str = "GET") -> Response:
    """A response read from a peer that sends `content` and hangs up."""
    ours, theirs = socket.socketpair()
    theirs.sendall(content)
    theirs.close()
    return Response(Wire(ours), method)


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
         b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\nContent-Length: 0\n\n", b""),
    ],
)  # fmt: skip
def test_a_body_is_read_however_it_is_sent(content: bytes, body: bytes) -> None:
    response = answered(content)
    assert response.read() == body
    response.wire.close()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "closed the connection before it answered"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", "in the middle of an answer"),
        (b"x" * 70_000, "not HTTP"),
    ],
)
def test_a_peer_that_is_no_daemon_is_named_as_such(content: bytes, complaint: str) -> None:
    with pytest.raises(Unreachable, match=complaint):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(content)
            theirs.shutdown(socket.SHUT_WR)
            Response(Wire(ours), "GET").read()


def test_a_body_of_pieces_is_sent_chunked() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(Wire(ours), "POST", "/x", {"Host": "h"}, [b"ab", b"", b"c"])
        assert theirs.recv(1000) == (
            b"POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )


def test_json_values_come_one_after_the_other_also_cut_inside_a_letter() -> None:
    content = '{"a": "é"}\n{"b": [1]}'.encode()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in content) + b"0\r\n\r\n"
    response = answered(head + chunks)
    assert list(json_stream(response)) == [{"a": "é"}, {"b": [1]}]
    response.wire.close()


def test_queries_are_written_as_the_api_reads_them() -> None:
    query = {"a": True, "b": False, "c": None, "d": ["x", "y&z"], "f": {"id": ["1"]}}
    assert encode_query(query) == "?a=1&b=0&d=x&d=y%26z&f=%7B%22id%22%3A%5B%221%22%5D%7D"
    assert encode_query({}) == ""
    assert quote("é/ ", safe="/") == "%C3%A9/%20"
    assert filters_query([("name", "a"), ("name", "b"), ("id", "c")]) == {
        "name": ["a", "b"],
        "id": ["c"],
    }


def test_the_newest_common_version_is_spoken() -> None:
    assert [negotiate(offered) for offered in ("1.41", "1.50", "1.99", "")] == [
        (1, 41), (1, 50), (1, 50), (1, 41),
    ]  # fmt: skip
    with pytest.raises(Unreachable, match=r"older than this client's oldest \(1.41\)"):
        negotiate("1.24")


def test_an_error_is_the_daemons_sentence() -> None:
    assert error_message(b'{"message": "no such thing "}', "x") == "no such thing"
    assert error_message(b"plain words\n", "x") == "plain words"
    assert error_message(b"", "Not Found") == "Not Found"
