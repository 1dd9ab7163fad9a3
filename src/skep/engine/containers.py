"""The containers of one node: every call that docker has for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Literal, Protocol

from skep.model.container import (
    ContainerCreate,
    ContainerCreated,
    ContainerInspect,
    ContainersPruned,
    ContainerStats,
    ContainerSummary,
    ContainerUpdate,
    ContainerUpdated,
    ExecCreate,
    ExecInspect,
    ExecStart,
    TopResult,
    WaitResult,
)
from skep.runtime.door import Chunk

Filters = Mapping[str, Collection[str]]
"""An API `filters` parameter, decoded: key -> wanted values."""

WaitCondition = Literal["", "not-running", "next-exit", "removed"]


class AttachedStream(Protocol):
    """A client's two-way line to a container or an exec."""

    async def read(self) -> Chunk | None:
        """The next output (`stream` 1 stdout, 2 stderr); None at the end."""

    async def write(self, data: bytes) -> None:
        """To stdin; dropped when nobody reads it. Waits while the process does not keep up."""

    def close_stdin(self) -> None:
        """The client has no more input; output goes on."""

    def close(self) -> None:
        """Hang up; the process is not touched. Idempotent."""


class Containers:
    """Every call names a container by its name, id or unique prefix of an id.

    Errors carry docker's words and status; NotFound is `No such container: x`.
    """

    # Life

    async def create(
        self,
        wish: ContainerCreate,
        name: str = "",
        *,
        managed_labels: Mapping[str, str] | None = None,
    ) -> ContainerCreated:
        """Make a container that does not run yet. An empty name is made up.

        `managed_labels` are the cluster's own (com.docker.swarm.…), laid over the caller's.
        When it raises, nothing was made: NotFound (image, network, volume), Conflict (name),
        InvalidArgument, Unimplemented (names the field that this engine does not do).
        """
        raise NotImplementedError

    async def start(self, name: str) -> None:
        """Raises NotModified when it runs already; InvalidArgument when its program cannot run
        (the container keeps exit code 126 or 127); Internal when a port or address is taken."""
        raise NotImplementedError

    async def stop(self, name: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        """Signal it, then kill it after `timeout_s` (-1: never; None: the container's own).

        Returns when it has ended and let go of its addresses. NotModified when it does not run.
        """
        raise NotImplementedError

    async def kill(self, name: str, signal: str = "KILL") -> None:
        """Signal it ("KILL", "SIGTERM", "9"). Returns at once. Conflict when it does not run."""
        raise NotImplementedError

    async def restart(self, name: str, *, signal: str = "", timeout_s: int | None = None) -> None:
        """Stop (when it runs) and start."""
        raise NotImplementedError

    async def pause(self, name: str) -> None:
        raise NotImplementedError

    async def unpause(self, name: str) -> None:
        raise NotImplementedError

    async def remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Raises Conflict when it runs and `force` is not given. `volumes`: anonymous ones too."""
        raise NotImplementedError

    async def rename(self, name: str, new_name: str) -> None:
        raise NotImplementedError

    async def update(self, name: str, wish: ContainerUpdate) -> ContainerUpdated:
        """Change limits and restart policy, of a running one at once."""
        raise NotImplementedError

    async def wait(self, name: str, condition: WaitCondition = "") -> WaitResult:
        """Until it does not run, ends next, or is removed. The container is looked up at once:
        the coroutine is waiting from its first step on."""
        raise NotImplementedError

    async def prune(self, filters: Filters | None = None) -> ContainersPruned:
        """Remove those that do not run. Filters: label, label!, until."""
        raise NotImplementedError

    # Looking

    def resolve(self, name: str) -> str:
        """The full id of a name, id or unique prefix. Raises NotFound, or InvalidArgument for a
        prefix of several."""
        raise NotImplementedError

    async def inspect(self, name: str, *, size: bool = False) -> ContainerInspect:
        raise NotImplementedError

    async def list(
        self,
        *,
        all: bool = False,
        filters: Filters | None = None,
        limit: int = 0,
        size: bool = False,
    ) -> list[ContainerSummary]:
        """Newest first. Filters: ancestor, before, exited, expose, health, id, is-task, label,
        name, network, publish, since, status, volume."""
        raise NotImplementedError

    async def top(self, name: str, ps_args: str = "") -> TopResult:
        raise NotImplementedError

    async def stats(
        self, name: str, *, stream: bool = True, one_shot: bool = False
    ) -> AsyncIterator[ContainerStats]:
        """A reading every second until the container is gone; without `stream` one reading (with
        a second's `precpu_stats` unless `one_shot`). Await gives the stream: NotFound comes first.
        """
        raise NotImplementedError

    async def logs(
        self,
        name: str,
        *,
        follow: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        since: float = 0,
        until: float = 0,
        tail: int | None = None,
        timestamps: bool = False,
        details: bool = False,
    ) -> AsyncIterator[Chunk]:
        """Lines with their newline (and time stamp), oldest first. Times in seconds since 1970, 0
        is not given; `tail` None is all. Ends with the container unless it starts again at once.
        """
        raise NotImplementedError

    # Terminals and other processes

    async def attach(
        self,
        name: str,
        *,
        stdin: bool = False,
        stdout: bool = True,
        stderr: bool = True,
        logs: bool = False,
        stream: bool = True,
        detach_keys: str = "",
    ) -> AttachedStream:
        """A line to a container. One that does not run yet is attached when it starts, before its
        first output. `logs`: what it wrote before comes first."""
        raise NotImplementedError

    async def resize(self, name: str, rows: int, cols: int) -> None:
        raise NotImplementedError

    async def exec_create(self, name: str, wish: ExecCreate) -> str:
        """Returns the exec's id. Conflict when the container does not run or is paused."""
        raise NotImplementedError

    async def exec_start(self, exec_id: str, wish: ExecStart) -> AttachedStream | None:
        """Run it, once; None when detached. The stream's end means that it ended."""
        raise NotImplementedError

    async def exec_inspect(self, exec_id: str) -> ExecInspect:
        raise NotImplementedError

    async def exec_resize(self, exec_id: str, rows: int, cols: int) -> None:
        raise NotImplementedError
