"""Image names are read by docker's grammar, and shown as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skep.kit.errors import InvalidArgument
from skep.model.reference import Reference, parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("nginx", "docker.io/library/nginx", "nginx"),
        ("nginx:1.25", "docker.io/library/nginx:1.25", "nginx:1.25"),
        ("bitnami/redis", "docker.io/bitnami/redis", "bitnami/redis"),
        ("docker.io/nginx", "docker.io/library/nginx", "nginx"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c", "a/b:c"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1"),
        ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
        ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x"),
        ("Registry/x", "Registry/x", "Registry/x"),
        (f"x@{DIGEST}", f"docker.io/library/x@{DIGEST}", f"x@{DIGEST}"),
        (f"x:1@{DIGEST}", f"docker.io/library/x:1@{DIGEST}", f"x:1@{DIGEST}"),
        ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f", "a__b/c-d.e_f"),
    ],
)
def test_a_name_has_a_full_and_a_familiar_form(text: str, canonical: str, familiar: str) -> None:
    parsed = parse_reference(text)
    assert (str(parsed), parsed.familiar) == (canonical, familiar)


@pytest.mark.parametrize(
    "text",
    [
        "", ":tag", "a:", "a@", "a b", "a//b", "/a", "a/", "-a", "a-", "a_", "a___b", "a..b",
        "x:" + "t" * 129, "x:.tag", "x@sha256:abc", "x@md5:" + "a" * 32, f"@{DIGEST}",
        "x:1:2", "host:port/x", "x\n", "é", "https://host/x",
    ],
)  # fmt: skip
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        parse_reference(text)


def test_capitals_in_a_repository_are_named_as_the_fault() -> None:
    with pytest.raises(InvalidArgument) as refused:
        parse_reference("library/Nginx")
    assert str(refused.value) == (
        "invalid reference format: repository name (library/Nginx) must be lowercase"
    )


def test_a_bare_image_id_is_no_name() -> None:
    with pytest.raises(InvalidArgument, match="cannot specify 64-byte hexadecimal strings"):
        parse_reference("b" * 64)


def test_a_name_may_have_255_characters() -> None:
    assert parse_reference("x/" + "a" * 253).path == "x/" + "a" * 253
    with pytest.raises(InvalidArgument, match="must not be more than 255 characters"):
        parse_reference("x/" + "a" * 254)


def test_latest_is_the_default_only_without_tag_and_digest() -> None:
    tags = [parse_reference(t).with_default_tag().tag for t in ("x", "x:1", f"x@{DIGEST}")]
    assert tags == ["latest", "1", ""]


_PARTS = st.from_regex(r"[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?", fullmatch=True)
_DOMAINS = st.sampled_from(["docker.io", "localhost", "r.example", "127.0.0.1:5000", "[::1]:80"])
_REFERENCES = st.builds(
    Reference,
    domain=_DOMAINS,
    path=st.lists(_PARTS, min_size=2, max_size=4).map("/".join),
    tag=st.just("") | st.from_regex(r"[\w][\w.-]{0,20}", fullmatch=True).filter(str.isascii),
    digest=st.sampled_from(["", DIGEST]),
)


@given(_REFERENCES)
def test_both_forms_read_back_as_the_same_name(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference
    assert parse_reference(reference.familiar) == reference
