"""Second processes in running containers (`docker exec`). Kept in memory, like docker's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from skep.engine.containers.attach import AttachedLine, PendingLine, parse_detach_keys
from skep.engine.containers.base import Base
from skep.engine.containers.bundle import console_size
from skep.engine.containers.config import merge_env, process_env, words
from skep.engine.containers.container import Container
from skep.engine.containers.rootfs import read_in_rootfs
from skep.engine.containers.security import parse_security
from skep.engine.containers.users import Identity, resolve_user
from skep.kit.errors import Conflict, InvalidArgument, NotFound, SkepError
from skep.kit.ids import new_container_id
from skep.model.container import ExecCreate, ExecInspect, ExecProcess, ExecStart
from skep.runtime.door import Exec, ExecSpec

Begin = Callable[[], Awaitable[None]]

_REMEMBERED = 1024
"""Execs that have ended and can still be inspected, on the whole node."""


async def nothing_to_begin() -> None:
    """For whoever only wants it run."""


class ExecSpecs:
    """What the runtime is asked for, from docker's words and the container's own."""

    def __init__(self, base: Base) -> None:
        self._base = base

    async def spec(
        self, container: Container, wish: ExecCreate, *, exec_id: str = "", attach: bool
    ) -> ExecSpec:
        """Raises InvalidArgument for a user that the container does not have."""
        record = container.record
        config = record.config
        identity = await asyncio.to_thread(self._identity, container, wish.user or config.user)
        env = process_env(config, config.hostname, identity.home)
        if wish.tty:
            env = tuple(merge_env(["TERM=xterm"], list(env)))
        return ExecSpec(
            exec_id=exec_id or new_container_id(),
            argv=tuple(words(wish.cmd) or ()),
            env=tuple(word for word in merge_env(env, wish.env) if "=" in word),
            cwd=wish.working_dir or config.working_dir or "/",
            user=identity.user,
            terminal=wish.tty,
            stdin=wish.attach_stdin,
            attach=attach,
            console_size=console_size(wish.console_size),
            capabilities=self._base.facts.capabilities if wish.privileged else None,
            no_new_privileges=parse_security(record.host_config.security_opt).no_new_privileges,
        )

    def _identity(self, container: Container, user: str) -> Identity:
        rootfs = self._base.places.rootfs(container.id)
        return resolve_user(
            user,
            read_in_rootfs(rootfs, "/etc/passwd"),
            read_in_rootfs(rootfs, "/etc/group"),
            container.record.host_config.group_add,
        )


class _Session:
    """One exec, from its creation to some time after its end."""

    def __init__(self, container: Container, exec_id: str, wish: ExecCreate) -> None:
        self.container = container
        self.id = exec_id
        self.wish = wish
        self.started = False
        self.process: Exec | None = None
        self.exit_code: int | None = None
        self.watch: asyncio.Task[None] | None = None


class Execs:
    def __init__(self, base: Base, specs: ExecSpecs) -> None:
        self._base = base
        self._specs = specs
        self._sessions: dict[str, _Session] = {}

    def create(self, name: str, wish: ExecCreate) -> str:
        """Returns the exec's id. Raises Conflict when the container does not run or is paused."""
        container = self._base.registry.find(name)
        container.require_running()
        if container.paused:
            raise Conflict(
                f"Container {container.name} is paused, unpause the container before exec"
            )
        if not words(wish.cmd):
            raise InvalidArgument("No exec command specified")
        parse_detach_keys(wish.detach_keys)
        session = _Session(container, new_container_id(), wish)
        self._sessions[session.id] = session
        container.exec_ids.append(session.id)
        self._forget_old()
        self._tell(session, f"exec_create: {' '.join(words(wish.cmd) or ())}")
        return session.id

    async def start(
        self, exec_id: str, wish: ExecStart, begin: Begin = nothing_to_begin
    ) -> AttachedLine | None:
        """Run it, once; None when detached. `begin` is awaited just before it runs."""
        session = self._find(exec_id)
        if session.started:
            raise Conflict(f"Error: Exec command {exec_id} has already run")
        container = session.container
        container.require_running()
        container.require_unpaused()
        session.started = True
        attached = not wish.detach
        try:
            await begin()
            spec = await self._specs.spec(container, session.wish, exec_id=exec_id, attach=attached)
            self._tell(session, f"exec_start: {' '.join(spec.argv)}")
            session.process = await self._base.runtime.exec(container.id, spec)
        except (SkepError, OSError) as error:
            session.exit_code = 127 if "not found" in str(error) else 126
            raise
        session.watch = asyncio.create_task(self._watch(session), name="exec-watch")
        if size := console_size(wish.console_size):
            await session.process.resize(*size)
        return self._line(session) if attached else None

    def _line(self, session: _Session) -> AttachedLine:
        wish = session.wish
        line = PendingLine()
        if session.process and session.process.stream:
            line.connect(session.process.stream)
        return AttachedLine(
            line,
            stdin=wish.attach_stdin,
            stdout=wish.attach_stdout or wish.tty,
            stderr=wish.attach_stderr,
            detach_keys=parse_detach_keys(wish.detach_keys) if wish.tty else b"",
            end=session.watch,
        )

    async def _watch(self, session: _Session) -> None:
        if session.process is not None:
            end = await session.process.wait()
            session.exit_code = end.code
            self._tell(session, "exec_die", exitCode=str(end.code))

    def inspect(self, exec_id: str) -> ExecInspect:
        session = self._find(exec_id)
        wish = session.wish
        argv = words(wish.cmd) or []
        running = session.process is not None and session.exit_code is None
        return ExecInspect(
            id=session.id,
            running=running,
            exit_code=session.exit_code,
            process_config=ExecProcess(
                tty=wish.tty,
                entrypoint=argv[0],
                arguments=argv[1:],
                privileged=wish.privileged,
                user=wish.user,
            ),
            open_stdin=wish.attach_stdin,
            open_stderr=wish.attach_stderr,
            open_stdout=wish.attach_stdout,
            can_remove=session.exit_code is not None,
            container_id=session.container.id,
            detach_keys=wish.detach_keys,
            pid=session.process.pid if running and session.process else 0,
        )

    async def resize(self, exec_id: str, rows: int, cols: int) -> None:
        session = self._find(exec_id)
        if session.process is None or session.exit_code is not None:
            raise Conflict(f"exec {exec_id} is not running")
        await session.process.resize(rows, cols)

    def live_ids(self, container: Container) -> list[str]:
        """Those of a container that can still run or do."""
        return [
            id_
            for id_ in container.exec_ids
            if id_ in self._sessions and self._sessions[id_].exit_code is None
        ]

    def _find(self, exec_id: str) -> _Session:
        try:
            return self._sessions[exec_id]
        except KeyError:
            raise NotFound(f"No such exec instance: {exec_id}") from None

    def _forget_old(self) -> None:
        """Bounded: the oldest that have ended go first, with those whose container is gone."""
        ended = [
            session
            for session in self._sessions.values()
            if session.exit_code is not None or not session.container.running
        ]
        for session in ended[: max(len(self._sessions) - _REMEMBERED, 0)]:
            del self._sessions[session.id]
            if session.id in session.container.exec_ids:
                session.container.exec_ids.remove(session.id)

    def _tell(self, session: _Session, action: str, **attributes: str) -> None:
        self._base.tell(session.container, action, execID=session.id, **attributes)

    async def close(self) -> None:
        """Stop watching; the processes run on."""
        watches = [s.watch for s in self._sessions.values() if s.watch and not s.watch.done()]
        for watch in watches:
            watch.cancel()
        if watches:
            await asyncio.wait(watches)
