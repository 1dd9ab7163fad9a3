"""The few words that somebody without a certificate may say on the managers' port.

    stranger  RootRequest()
    manager   Root(certificate)           compared with the digest in the join token
    stranger  JoinRequest(token, signing request)      on a new line that now trusts the root
    manager   Joined(node id, certificate, …)  or  Refused(reason)

One question for each connection; the manager answers and hangs up.
"""

from __future__ import annotations

from typing import TypeAlias

from skep.model.bounds import Int64
from skep.model.node import Availability, Role
from skep.protocol.messages import PROTOCOL_VERSION, Certificate, Message


class RootRequest(Message, frozen=True):
    """Which cluster is this?"""

    version: Int64 = PROTOCOL_VERSION


class Root(Message, frozen=True):
    """The root certificate, PEM, and the manager's clock, in seconds since 1970."""

    certificate: str
    now_s: float


class JoinRequest(Message, frozen=True):
    """Let me in: the whole join token, and a signing request (PEM) for the node's own key.

    `now_s` is the node's clock, seconds since 1970: a certificate is worth nothing where the clock
    is far off.
    """

    token: str
    signing_request: str
    now_s: float
    availability: Availability = "active"
    version: Int64 = PROTOCOL_VERSION


class Joined(Message, frozen=True):
    """A member now. `roots` are the certificates (PEM) to trust."""

    node_id: str
    cluster_id: str
    role: Role
    certificate: Certificate
    roots: str


class Refused(Message, frozen=True):
    """The answer is no, and why, for the person who asked."""

    reason: str


CLOCK_TOLERANCE_S = 3600.0
"""Certificates are valid from an hour before they are made, for at least an hour."""


def clock_complaint(node_s: float, manager_s: float) -> str:
    """What is wrong between the two clocks; "" when they agree well enough."""
    ahead = node_s - manager_s
    if abs(ahead) <= CLOCK_TOLERANCE_S:
        return ""
    side = "ahead of" if ahead > 0 else "behind"
    return (
        f"the node's clock is {abs(ahead):.0f} s {side} the manager's: set both right "
        "(certificates depend on it)"
    )


FromStranger: TypeAlias = RootRequest | JoinRequest
ToStranger: TypeAlias = Root | Joined | Refused
