"""Join tokens: `SWMTKN-1-<digest of the root certificate>-<secret>`, in Swarm's form.

The digest lets a joining node know the right cluster before it trusts anybody; the secret tells
the cluster which role it may have. Both are numbers in base 36: 50 and 25 characters.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal

import msgspec

from skep.kit.errors import InvalidArgument
from skep.kit.ids import base36, new_id
from skep.model.cluster import ClusterSecrets, JoinTokens
from skep.model.node import Role

_PREFIX = "SWMTKN-1-"
_DIGEST_LENGTH = 50
_SECRET_LENGTH = 25
_TOKEN = re.compile(rf"{_PREFIX}([0-9a-z]{{{_DIGEST_LENGTH}}})-([0-9a-z]{{{_SECRET_LENGTH}}})")


class ParsedToken(msgspec.Struct, frozen=True):
    """What a join token says."""

    root_digest: str
    secret: str


def root_digest(root_certificate: str) -> str:
    """SHA-256 of the root's PEM text, as 50 characters of base 36."""
    digest = hashlib.sha256(root_certificate.encode()).digest()
    return base36(int.from_bytes(digest), _DIGEST_LENGTH)


def new_secret() -> str:
    return new_id()


def parse(token: str) -> ParsedToken:
    """Raises InvalidArgument for what is not a join token at all."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise InvalidArgument(
            "invalid join token: it looks like SWMTKN-1-…-…; "
            "`skep swarm join-token worker` on a manager prints the right one"
        )
    return ParsedToken(root_digest=found[1], secret=found[2])


def join_tokens(secrets: ClusterSecrets) -> JoinTokens:
    digest = root_digest(secrets.root_certificate)
    return JoinTokens(
        worker=f"{_PREFIX}{digest}-{secrets.worker_secret}",
        manager=f"{_PREFIX}{digest}-{secrets.manager_secret}",
    )


def role_of(token: ParsedToken, secrets: ClusterSecrets) -> Role | None:
    """The role that the token's secret gives, or None. Takes equal time right or wrong."""
    role: Literal["worker", "manager"] | None = None
    if hmac.compare_digest(token.secret, secrets.worker_secret):
        role = "worker"
    if hmac.compare_digest(token.secret, secrets.manager_secret):
        role = "manager"
    return role
