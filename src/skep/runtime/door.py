"""What the engine may ask of the host about one container's process, and the values that come back.

Two parts fulfil `Runtime`: `skep.runtime.conmon.ConmonRuntime` on real Linux and
`skep.testing.runtime.FakeRuntime` in memory; one test suite runs on both.

The life of a container at this door:

    create --> created --start--> running --(process ends, signal, oom)--> exited --delete--> absent
                   |                 |  ^
                   |               pause resume
                   +--delete(force)--+----------------------------------------------> absent

All calls name a container by the engine's id. Whatever the Runtime must remember lies in files
below its exec_root, named from that id: after a restart of skep, `discover()` says what is there.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from skep.kit.errors import InvalidArgument
from skep.runtime.bundle import Bundle, Limits, User, Value
from skep.runtime.cgroups import Stats

STDOUT = 1
STDERR = 2


class Io(Value, frozen=True):
    """Where a container's standard streams go."""

    log_path: Path | None = None
    """conmon's log file (k8s-file format, see logs.py); None keeps nothing. Its folder exists."""
    stdin: bool = False
    """Keep a pipe open for stdin; without it the process reads /dev/null."""
    stdin_once: bool = False
    """Close the process's stdin when the first attached client hangs up or half-closes."""


class Created(Value, frozen=True):
    """A container that waits for `start`: pid of its init and of its conmon, in the host's view."""

    pid: int
    conmon_pid: int


class Exit(Value, frozen=True):
    """How a process ended. `code` is 128 + signal when a signal killed it.

    `lost` tells that conmon was gone before it could write the code: the code is then 255 and the
    cause unknown (when the container's process still lives it was not killed by us: see `Found`).
    """

    code: int
    finished_at: datetime
    oom_killed: bool = False
    lost: bool = False


class ProcessState(Value, frozen=True):
    """What the host knows of one container.

    created   made and not started
    running   (or paused: `paused`)
    exited    ended; `exit` says how
    orphaned  its process lives, its conmon does not: no log, no exit code. Kill it, mark it lost.
    partial   a create that did not finish, or the rest of a delete: `repair` removes it
    absent    nothing is there
    """

    id: str
    state: Literal["created", "running", "exited", "orphaned", "partial", "absent"]
    pid: int = 0
    conmon_pid: int = 0
    paused: bool = False
    exit: Exit | None = None


class Chunk(Value, frozen=True):
    """Bytes that a process wrote; `stream` is STDOUT or STDERR (always STDOUT with a terminal)."""

    stream: int
    data: bytes


class Stream(Protocol):
    """An attached client's two-way line to a process.

    Who attaches must read on or close: the process's output waits for its slowest client.
    """

    async def read(self) -> Chunk | None:
        """The next output; None at its end (the process ended, or we closed)."""

    async def write(self, data: bytes) -> None:
        """To the process's stdin. Raises BrokenPipeError when nobody reads it any more."""

    def close_stdin(self) -> None:
        """Half-close: the process sees the end of its stdin (when `stdin_once`); output goes on."""

    def close(self) -> None:
        """Hang up; the process is not touched. Idempotent."""


class ExecSpec(Value, frozen=True):
    """A second process in a running container. Unsaid things are the container's own."""

    exec_id: str
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    terminal: bool = False
    stdin: bool = False
    attach: bool = False
    """Give back a `Stream`; without it the output is dropped."""
    capabilities: frozenset[str] | None = None
    """The final set; None is that of the container's own process."""
    no_new_privileges: bool = False
    apparmor_profile: str | None = None
    console_size: tuple[int, int] | None = None
    """Rows and columns of the terminal at birth."""


class Exec(Protocol):
    """A running exec. `stream` is there when the spec said attach."""

    pid: int
    stream: Stream | None

    async def wait(self) -> Exit:
        """Ends with the process. Many may wait; each gets the same answer."""

    async def resize(self, rows: int, cols: int) -> None:
        """Set the terminal's size; nothing happens without a terminal or after the end."""

    async def kill(self, signum: int) -> None:
        """Signal the exec's process; nothing happens after its end."""


class CannotRun(InvalidArgument):
    """The bundle cannot be run as described; `exit_code` is what docker gives its container: 127
    for a program that is not there, 126 for one that may not be run, 128 for all else."""

    def __init__(self, message: str, exit_code: int = 128) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Runtime(Protocol):
    """Containers' processes on this host.

    Errors: NotFound for an id that is not here, Conflict when its state does not allow the call,
    CannotRun with runc's reason when the bundle cannot be run as described, Internal when runc or
    conmon fail themselves.
    """

    async def probe(self) -> None:
        """Run one real container; raises Unavailable that names the program and the remedy."""

    async def create(self, bundle: Bundle, io: Io) -> Created:
        """Make the container, its init waiting for `start`. On failure nothing of it is left."""

    async def start(self, container_id: str) -> None:
        """Let the init run the program. Raises CannotRun."""

    async def signal(self, container_id: str, signum: int, *, everyone: bool = False) -> None:
        """Signal the init, or every process of the container. Conflict when it is not running."""

    async def pause(self, container_id: str) -> None:
        """Freeze all its processes."""

    async def resume(self, container_id: str) -> None:
        """Thaw them."""

    async def wait(self, container_id: str) -> Exit:
        """Ends when the container's process has ended. Many may wait; answers at once after it."""

    async def delete(self, container_id: str, *, force: bool = False) -> None:
        """Remove all traces but the log; idempotent. Conflict while it runs; `force` kills it."""

    async def attach(self, container_id: str) -> Stream:
        """A line to a created or running container. Attach before `start` to miss nothing."""

    async def resize(self, container_id: str, rows: int, cols: int) -> None:
        """Set its terminal's size; nothing happens when it has none."""

    async def exec(self, container_id: str, spec: ExecSpec) -> Exec:
        """Start a process in a running container. CannotRun: its program."""

    async def reopen_log(self, container_id: str) -> None:
        """After the log file was renamed: conmon goes on in a new file. See logs.rotate."""

    async def find(self, container_id: str) -> ProcessState:
        """What is there of one container; after a restart of skep, also takes up waiting for it."""

    async def discover(self) -> list[ProcessState]:
        """`find` for every container below this exec_root."""

    async def repair(self, container_id: str) -> None:
        """Remove whatever is left of a half-made or half-removed container; idempotent, kills."""

    async def stats(self, container_id: str) -> Stats:
        """One reading of the container's cgroups. NotFound when they are gone."""

    async def processes(self, container_id: str) -> list[int]:
        """The pids of all its processes, in the host's view."""

    async def update(self, container_id: str, resources: Limits) -> None:
        """Change limits of a created or running container; None fields stay as they are."""

    async def close(self) -> None:
        """Stop watching; containers run on."""
