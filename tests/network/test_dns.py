"""DNS messages: what goes in comes out, and no bytes whatever do harm."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.network import dns

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=63)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)


def query(name: str, kind: int = dns.TYPE_A, id_: int = 7) -> bytes:
    head = struct.pack("!HHHHHH", id_, 0x0100, 1, 0, 0, 0)
    return head + dns.encode_name(name) + struct.pack("!HH", kind, 1)


@given(NAME, st.integers(0, 65535), st.sampled_from([dns.TYPE_A, dns.TYPE_AAAA, 33]))
def test_a_question_is_read_back(name: str, id_: int, kind: int) -> None:
    question = dns.parse_question(query(name, kind, id_))
    assert (question.id, question.name, question.type) == (id_, name, kind)
    assert question.recursion_desired
    assert not question.edns


@given(st.binary(max_size=80))
def test_no_bytes_do_harm(data: bytes) -> None:
    try:
        dns.parse_question(data)
    except dns.FormatError as error:
        reply = dns.refusal(error)
        assert reply is None or reply[:2] == data[:2]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (query("a")[:-1], dns.FORMAT_ERROR),
        (struct.pack("!HHHHHH", 7, 0x0100, 2, 0, 0, 0), dns.FORMAT_ERROR),
        (struct.pack("!HHHHHH", 7, 0x2800, 1, 0, 0, 0), dns.NOT_IMPLEMENTED),
        (query("a")[:-2] + b"\0\3", dns.NOT_IMPLEMENTED),
    ],
    ids=["cut off", "two questions", "an update", "another class"],
)
def test_what_is_no_plain_question_is_refused_with_its_code(data: bytes, code: int) -> None:
    with pytest.raises(dns.FormatError) as caught:
        dns.parse_question(data)
    assert (caught.value.asked_id, caught.value.code) == (7, code)


@pytest.mark.parametrize("data", [b"", b"short", struct.pack("!HHHHHH", 7, 0x8000, 1, 0, 0, 0)])
def test_answers_and_rubbish_are_met_with_silence(data: bytes) -> None:
    with pytest.raises(dns.FormatError) as caught:
        dns.parse_question(data)
    assert dns.refusal(caught.value) is None


def test_an_answer_repeats_the_question_as_it_was_spelt() -> None:
    question = dns.parse_question(query("WeB"))
    record = dns.address_record(bytes([172, 17, 0, 2]), 5)
    reply = dns.answer(question, [record], dns.NO_ERROR, udp=True)
    assert question.name == "web"
    assert reply == (
        struct.pack("!HHHHHH", 7, 0x8180, 1, 1, 0, 0)
        + b"\3WeB\0\0\1\0\1"
        + b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xac\x11\0\2"
    )


@given(NAME)
def test_an_answer_is_recognized_by_id_and_question(name: str) -> None:
    asked = query(name)
    reply = dns.answer(dns.parse_question(asked), [], dns.NAME_ERROR, udp=True)
    assert dns.answers_to(reply, asked)
    assert not dns.answers_to(dns.with_id(reply, 8), asked)
    assert not dns.answers_to(asked, asked), "a question is no answer"
    other = dns.answer(dns.parse_question(query("x" + name[1:63] + "y")), [], 0, udp=True)
    assert not dns.answers_to(other, asked)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_reverse_names_lead_to_their_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert dns.reverse_address(address.reverse_pointer) == str(address)


@pytest.mark.parametrize("name", ["web", "1.2.in-addr.arpa", "x.y.z.w.in-addr.arpa", "1.ip6.arpa"])
def test_other_names_are_no_reverse_names(name: str) -> None:
    assert dns.reverse_address(name) is None


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64])
def test_labels_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no DNS name"):
        dns.encode_name(name)
