"""What doors ask of the node that they are the doors of. The daemon fulfils it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Protocol

from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.system import Facts, SwarmInfo, SwarmInit, SwarmJoin

if TYPE_CHECKING:
    from skep.engine import Engine
    from skep.manager.control import Control


class Membership(Protocol):
    """A node's place in a cluster: none, or a member."""

    def info(self) -> SwarmInfo:
        """The truth about this node and its cluster, from memory."""

    async def init(self, request: SwarmInit) -> str:
        """Start a cluster with this node as its first manager; returns the node's id.

        Raises Unavailable when the node is in a cluster, InvalidArgument for a bad address or pool.
        """

    async def join(self, request: SwarmJoin) -> None:
        """Join the cluster that listens at `remote_addrs[0]`; ends with an answer or in time."""

    async def leave(self, force: bool) -> None:
        """Leave the cluster; a manager leaves only with `force` (Unavailable otherwise)."""


class Node(Protocol):
    """One node: its engine, its place in a cluster, and on managers the cluster itself."""

    @property
    def facts(self) -> Facts: ...

    @property
    def engine(self) -> Engine: ...

    @property
    def swarm(self) -> Membership: ...

    @property
    def control(self) -> Control | None:
        """The cluster; None where this node is no manager, or cannot act as one now."""

    def service_logs(
        self, selector: LogSelector, options: LogOptions
    ) -> AsyncGenerator[ServiceLogLine, None]:
        """Lines of many tasks as they arrive; closing the iterator ends it everywhere.

        Raises SkepError after the lines that could be had when some could not, saying why.
        """
