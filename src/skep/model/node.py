"""Nodes: the machines of a cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from skep.model.base import Specified, Strict, Value
from skep.model.bounds import Moment, Name, Text
from skep.model.service import Platform, Resources

Role = Literal["worker", "manager"]
Availability = Literal["active", "pause", "drain"]
NodeState = Literal["unknown", "down", "ready", "disconnected"]


class NodeSpec(Strict, frozen=True, omit_defaults=False):
    """What the user wants of a node: POST /nodes/{id}/update."""

    name: str = ""
    labels: dict[str, str] = {}
    role: Role = "worker"
    availability: Availability = "active"


class Plugin(Value, frozen=True):
    type: Name
    name: Name


_EngineLabels = Annotated[dict[Name, Text], Meta(max_length=512)]
_Plugins = Annotated[list[Plugin], Meta(max_length=256)]
_PEM = Annotated[str, Meta(max_length=65_536, pattern=r"^[A-Za-z0-9+/= \r\n-]*\Z")]
_DER = Annotated[bytes, Meta(max_length=4_096)]


class EngineDescription(Value, frozen=True):
    engine_version: Name = ""
    labels: _EngineLabels = {}
    plugins: _Plugins = []


class TLSInfo(Value, frozen=True):
    """The root certificate (PEM) and its subject and public key (DER), as the API shows them."""

    trust_root: _PEM = ""
    cert_issuer_subject: _DER = b""
    cert_issuer_public_key: _DER = b""


class NodeDescription(Value, frozen=True):
    """What a node says of itself when its agent opens a session."""

    hostname: Name = ""
    platform: Platform = Platform()
    resources: Resources = Resources()
    engine: EngineDescription = EngineDescription()
    tls_info: TLSInfo = field(name="TLSInfo", default=TLSInfo())


class NodeStatus(Value, frozen=True, omit_defaults=False):
    state: NodeState = "unknown"
    message: str = ""
    addr: str = ""


class ManagerStatus(Value, frozen=True, omit_defaults=False):
    leader: bool = False
    reachability: Literal["unknown", "unreachable", "reachable"] = "unknown"
    addr: str = ""


class Node(Specified, frozen=True, kw_only=True):
    """A node as stored and as GET /nodes shows it. `spec.role` is the wish, `certificate_role` the
    fact."""

    id: str
    spec: NodeSpec
    description: NodeDescription = NodeDescription()
    status: NodeStatus = NodeStatus()
    manager_status: ManagerStatus | None = None
    certificate_role: Role = "worker"
    down_since: Moment | None = None


def eligible(node: Node) -> bool:
    """The node may be given new tasks."""
    return node.status.state == "ready" and node.spec.availability == "active"


def alive(node: Node) -> bool:
    """Tasks on the node may be counted on: it is neither lost nor being emptied."""
    return node.status.state != "down" and node.spec.availability != "drain"
