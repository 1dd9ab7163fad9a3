"""Registry credentials, as clients put them into the X-Registry-Auth header."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.image import AuthConfig, decode_registry_auth


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_both_alphabets_of_base64_are_read_padded_or_not(name: str) -> None:
    content = json.dumps({"username": name, "email": "?>~"}).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(content).decode()
        for header in (text, text.rstrip("=")):
            assert decode_registry_auth(header) == AuthConfig(username=name)


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"username": ""}'])
def test_a_header_that_names_nobody_is_anonymous(content: bytes) -> None:
    assert decode_registry_auth(base64.b64encode(content).decode()) is None


@pytest.mark.parametrize("header", ["A", "e30=e30=", "***", base64.b64encode(b"[]").decode()])
def test_a_header_that_cannot_be_read_is_refused_by_its_name(header: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid X-Registry-Auth header"):
        decode_registry_auth(header)


def test_a_registry_token_is_refused_by_name() -> None:
    header = base64.b64encode(b'{"registrytoken": "secret"}').decode()
    with pytest.raises(Unimplemented, match=r"^registrytoken is not supported"):
        decode_registry_auth(header)
