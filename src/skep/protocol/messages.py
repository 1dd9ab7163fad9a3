"""The words between a manager and an agent. Each is a value; on the wire, tagged msgpack.

A session, as a transcript:

    agent    Hello(description)
    manager  Welcome(session, standing)
    manager  Assignments(applies_to=0, results_in=1, more)   everything, in as many parts
    manager  Assignments(applies_to=1, results_in=2)         as it takes
    agent    Statuses(accepted …)
    agent    Heartbeat(0.9)
    manager  Assignments(applies_to=2, results_in=3)         only what changed
    manager  Call(7, ReadLogs(…)), Credit(7, 524288)         a call to the node's engine:
    agent    Chunk(7, bytes), Chunk(7, bytes), End(7)        bytes, both ways, and an end

Assignments are numbered: an agent that sees a gap ends the session and asks for everything anew.
Nothing here is answered one by one; a new session begins with all that each side knows. Whatever
can be long goes in parts, so that a frame stays small and a slow reader can be waited for. What
an agent says has bounds of value and size: a manager keeps it, and shows it to people.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from skep.model.bounds import Int64, Name, Text
from skep.model.node import Node, NodeDescription, TLSInfo
from skep.model.system import Peer
from skep.model.task import TaskStatus

PROTOCOL_VERSION = 2

LONGEST_SILENCE_S = 3600.0
"""No agent may promise to be silent for longer."""


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of everything that crosses the line."""


class Hello(Message, frozen=True):
    """Opens a session: who speaks is known from the line itself, this is what the node is."""

    description: NodeDescription
    version: Int64 = PROTOCOL_VERSION


class Standing(msgspec.Struct, frozen=True):
    """What a node must know of its cluster beside its tasks.

    The agent speaks every `heartbeat_s`. `roots` are the certificates (PEM) to trust from now on,
    and no others. `issuer` is the public key (DER) of the root that the node's certificate should
    be of: a node whose certificate is another's renews it now.
    """

    node: Node
    heartbeat_s: float
    managers: list[Peer] = []
    roots: str = ""
    issuer: bytes = b""


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

    signing_request: Annotated[str, Meta(max_length=16_384)]


class Renewed(Message, frozen=True):
    """The answer to Renew."""

    certificate: Certificate
    roots: str


class NotRenewed(Message, frozen=True):
    """The other answer to Renew: not now, and why. The agent asks again later."""

    reason: str


class Heartbeat(Message, frozen=True):
    """The agent lives, and speaks again within `next_s` seconds."""

    next_s: Annotated[float, Meta(gt=0, le=LONGEST_SILENCE_S)]


class Farewell(Message, frozen=True):
    """The node leaves the cluster: nobody needs to wait for its silence."""


class Described(Message, frozen=True):
    """The node is not what it was: labels, resources or engine changed."""

    description: NodeDescription


class TaskReport(msgspec.Struct, frozen=True):
    task_id: Name
    status: TaskStatus


class Statuses(Message, frozen=True):
    """What the agent observed, the newest of each task."""

    reports: Annotated[list[TaskReport], Meta(max_length=1_024)]


class Reference(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """Which thing: its kind ("task", "network", "registry-auth"), and its id within the kind."""

    kind: Name
    id: Name


class Assigned(msgspec.Struct, frozen=True, array_like=True):
    """One thing that a node must know: a task, or what tasks need.

    `body` is the thing in msgpack, in its kind's form (a task is a `Task`), and is another one when
    `version` is. A task cannot be made before all that it `needs` is known. What is `volatile` is
    never written to the node's disk.
    """

    kind: Name
    id: Name
    version: Int64
    body: bytes
    needs: tuple[Reference, ...] = ()
    volatile: bool = False


class Assignments(Message, frozen=True):
    """Tasks this node must make true, and what they need; each thing after those that it needs.

    The first of a session (`applies_to` 0), with those that follow while there is `more`, is the
    complete set: what it does not mention, the node must end. Later ones say what changed;
    `removed` names what the node may forget.
    """

    applies_to: Int64 = 0
    results_in: Int64 = 0
    more: bool = False
    assigned: list[Assigned] = []
    removed: list[Reference] = []


class ReadLogs(msgspec.Struct, frozen=True, tag=True):
    """A request: the log of one task's container, as `LogFrame`s (protocol/log_frames.py). `tail`
    None = all; times in ns since 1970, None = open."""

    task_id: str
    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since_ns: Int64 | None = None
    until_ns: Int64 | None = None
    tail: Int64 | None = None


class LogFrame(msgspec.Struct, frozen=True, array_like=True):
    """One line of a log, without its newline: `stream` is 1 for stdout, 2 for stderr."""

    time_ns: Int64
    stream: Annotated[int, Meta(ge=0, le=2)]
    line: Annotated[bytes, Meta(max_length=1_048_576)]


class Call(Message, frozen=True):
    """A call to the node's engine. `request` is a tagged struct in msgpack, such as `ReadLogs`:
    what the node does not know fails this call and nothing else."""

    call_id: Int64
    request: bytes


CHUNK_BYTES = 64 * 1024
"""At most in one chunk, so that it holds up nothing else on the line for long."""
LONGEST_ERROR = 4_096
"""Of a call, in characters, as people get to read it."""


class Chunk(Message, frozen=True):
    """Bytes of a call, from either end; no more than the other end gave credit for."""

    call_id: Int64
    data: Annotated[bytes, Meta(min_length=1, max_length=CHUNK_BYTES)]


class Credit(Message, frozen=True):
    """This end takes so many more bytes of the call."""

    call_id: Int64
    size: Annotated[int, Meta(ge=1, le=2**24)]


class End(Message, frozen=True):
    """No more bytes of the call from this end.

    From the end that answers it is the last word. From the one that called it leaves the answer
    to be read, unless there is an `error`: then it went away.
    """

    call_id: Int64
    error: Text = ""


class Goodbye(Message, frozen=True):
    """The session ends, and why: another manager leads, a newer session is there.

    `removed` says that the node is no member any more: what it runs, it must end.
    """

    reason: str
    removed: bool = False


FromAgent: TypeAlias = (
    Hello | Heartbeat | Described | Statuses | Renew | Farewell | Chunk | Credit | End
)
FromManager: TypeAlias = (
    Welcome
    | StandingChanged
    | Renewed
    | NotRenewed
    | Assignments
    | Call
    | Chunk
    | Credit
    | End
    | Goodbye
)
