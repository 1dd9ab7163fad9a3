"""What skopeo says, in docker's words and with docker's status."""

from __future__ import annotations

import pytest

from skep.engine.images.registry import RegistryError, explain, is_loopback
from skep.kit.errors import Forbidden, InvalidArgument, NotFound
from skep.model.reference import parse_reference

NAME = parse_reference("r.example/team/x:1")


def fatal(message: str) -> str:
    escaped = message.replace('"', '\\"')
    return f'time="2026-11-22T19:54:56Z" level=fatal msg="{escaped}"\n'


PARSING = 'Error parsing image name "docker://r.example/team/x:1": '
READING = PARSING + "reading manifest 1 in r.example/team/x: "


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            READING + "manifest unknown: manifest unknown",
            NotFound,
            "manifest for r.example/team/x:1 not found: manifest unknown: manifest unknown",
        ),
        (
            READING + "errors:\ndenied: requested access to the resource is denied\n",
            NotFound,
            "pull access denied for r.example/team/x, repository does not exist or may require "
            "'docker login': denied: requested access to the resource is denied",
        ),
        (
            READING + "name unknown: repository name not known to registry",
            NotFound,
            "repository r.example/team/x not found: name unknown: "
            "reading manifest 1 in r.example/team/x: name unknown: "
            "repository name not known to registry",
        ),
        (
            READING + "unauthorized: authentication required",
            Forbidden,
            "r.example/team/x:1: unauthorized: authentication required (log in to r.example)",
        ),
        (
            PARSING + 'pinging container registry r.example: Get "https://r.example/v2/": '
            "dial tcp: lookup r.example: no such host",
            RegistryError,
            'Get "https://r.example/v2/": dial tcp: lookup r.example: no such host',
        ),
        (
            PARSING + 'pinging container registry r.example: Get "https://r.example/v2/": '
            "http: server gave HTTP response to HTTPS client",
            RegistryError,
            'Get "https://r.example/v2/": http: server gave HTTP response to HTTPS client; '
            "list r.example as an insecure registry to allow it",
        ),
        (
            "writing blob: Digest did not match, expected sha256:aa, got sha256:bb",
            InvalidArgument,
            "filesystem layer verification failed for r.example/team/x:1: "
            "writing blob: Digest did not match, expected sha256:aa, got sha256:bb",
        ),
    ],
)
def test_a_registry_s_refusal_is_told_in_docker_s_words(
    said: str, kind: type[Exception], words: str
) -> None:
    error = explain(fatal(said), NAME, with_auth=False)
    assert (type(error), str(error)) == (kind, words)


def test_a_program_that_dies_silently_still_gives_a_sentence() -> None:
    assert str(explain("", NAME, with_auth=False)) == "skopeo failed without a word"


@pytest.mark.parametrize(
    ("domain", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.8.9.10", True),
        ("[::1]:5000", True),
        ("128.0.0.1:5000", False),
        ("docker.io", False),
        ("localhost.example:5000", False),
        ("127.0.0.1.example", False),
    ],
)
def test_plain_http_is_for_registries_on_this_machine(domain: str, loopback: bool) -> None:
    assert is_loopback(domain) is loopback
