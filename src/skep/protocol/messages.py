"""The words between a manager and an agent. Each is a value; on the wire, tagged msgpack.

A session, as a transcript:

    agent    Hello(description)
    manager  Welcome(session, standing)
    manager  Assignments(complete, results_in=1)
    agent    Statuses(accepted …)
    agent    Heartbeat()
    manager  Assignments(applies_to=1, results_in=2)     only what changed
    manager  Call(7, ReadLogs(…)), Credit(7, 64)         a call to the node's engine
    agent    Chunk(7, frames), Chunk(7, frames), Done(7)

Assignments are numbered: an agent that sees a gap ends the session and asks for everything anew.
Nothing here is answered one by one; a new session begins with all that each side knows.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from skep.model.network import Network
from skep.model.node import Node, NodeDescription, TLSInfo
from skep.model.task import Task, TaskStatus

PROTOCOL_VERSION = 1


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of everything that crosses the line."""


class Hello(Message, frozen=True):
    """Opens a session: who speaks is known from the line itself, this is what the node is."""

    description: NodeDescription
    version: int = PROTOCOL_VERSION


class Standing(msgspec.Struct, frozen=True):
    """What a node must know of its cluster beside its tasks.

    The agent speaks at least every `heartbeat_s`. `managers` are addresses (host:port). `roots` are
    the certificates (PEM) that it may trust from now on; `renew` asks it to renew its own now.
    """

    node: Node
    heartbeat_s: float
    managers: list[str] = []
    roots: str = ""
    renew: bool = False


class Welcome(Message, frozen=True):
    """The session is open."""

    session_id: str
    standing: Standing


class StandingChanged(Message, frozen=True):
    """Something of what the Welcome said is different now."""

    standing: Standing


class Certificate(msgspec.Struct, frozen=True):
    """A node's certificate and what links it to the root (PEM), and when it is valid, in seconds
    since 1970. `issuer` is what the API shows of the root that signed it."""

    pem: str
    valid_from_s: float
    valid_until_s: float
    issuer: TLSInfo


class Renew(Message, frozen=True):
    """A signing request (PEM) for a new key of the node that the line belongs to."""

    signing_request: str


class Renewed(Message, frozen=True):
    """The answer to Renew."""

    certificate: Certificate
    roots: str


class Heartbeat(Message, frozen=True):
    """The agent lives."""


class Described(Message, frozen=True):
    """The node is not what it was: labels, resources or engine changed."""

    description: NodeDescription


class TaskReport(msgspec.Struct, frozen=True):
    task_id: str
    status: TaskStatus


class Statuses(Message, frozen=True):
    """What the agent observed, the newest of each task."""

    reports: list[TaskReport]


class Assignments(Message, frozen=True):
    """Tasks this node must make true, and what they need. Complete when `applies_to` is 0.

    `removed_*` name what the node may forget. `registry_auths` maps service ids to the
    credentials (as in X-Registry-Auth) that its image is pulled with.
    """

    applies_to: int
    results_in: int
    tasks: list[Task] = []
    removed_tasks: list[str] = []
    networks: list[Network] = []
    removed_networks: list[str] = []
    registry_auths: dict[str, str] = {}


class ReadLogs(msgspec.Struct, frozen=True, tag=True):
    """The log of one task's container. `tail` None = all; times in ns since 1970, None = open."""

    task_id: str
    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since_ns: int | None = None
    until_ns: int | None = None
    tail: int | None = None


Request: TypeAlias = ReadLogs


class Call(Message, frozen=True):
    """A call to the node's engine, answered with chunks as far as there is credit."""

    call_id: int
    request: Request


class Credit(Message, frozen=True):
    """The caller can take so many further chunks."""

    call_id: int
    chunks: int


class Cancel(Message, frozen=True):
    """The caller went away."""

    call_id: int


class LogFrame(msgspec.Struct, frozen=True, array_like=True):
    """One line of a log, without its newline: `stream` is 1 for stdout, 2 for stderr."""

    time_ns: int
    stream: int
    line: bytes


class Chunk(Message, frozen=True):
    call_id: int
    frames: list[LogFrame]


class Done(Message, frozen=True):
    """The last word of a call; `error` is empty when all went well."""

    call_id: int
    error: str = ""


class Goodbye(Message, frozen=True):
    """The session ends, and why: another manager leads, the node was removed, a newer session."""

    reason: str


FromAgent: TypeAlias = Hello | Heartbeat | Described | Statuses | Renew | Chunk | Done
FromManager: TypeAlias = (
    Welcome | StandingChanged | Renewed | Assignments | Call | Credit | Cancel | Goodbye
)
