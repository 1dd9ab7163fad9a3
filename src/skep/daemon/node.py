"""One node, wired together: the engine, the place in a cluster, the API's door."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

from skep.api.server import Server
from skep.daemon.facts import describe_node, discover_facts, machine_goes_down
from skep.daemon.settings import DEFAULT_HOST, DaemonSettings, engine_settings
from skep.daemon.swarm import Swarm
from skep.engine import Engine
from skep.kit.errors import Unavailable
from skep.manager.control import Control
from skep.model.logs import LogOptions, LogSelector, ServiceLogLine
from skep.model.system import Facts, SwarmInfo, SwarmInit, SwarmJoin

log = logging.getLogger(__name__)

_LAST_S = 5.0
"""A thread may hang in the kernel (a dead file server), and nobody can cancel it. So long after the
shutdown timeout the process says where each thread is and ends: as safe as a kill -9."""

_GRACE_S = 8.0
"""For containers, when the machine goes down: part of the shutdown timeout."""


class NodeDaemon:
    """What the API speaks to (`skep.node.Node`). `start`, then `stop`."""

    def __init__(self, settings: DaemonSettings, facts: Facts, open_files: tuple[int, int]) -> None:
        self.facts = facts
        self.engine = Engine(engine_settings(settings, open_files))
        self.swarm = Swarm(
            self.engine, Path(settings.data_root), lambda: describe_node(facts, settings)
        )

    @property
    def control(self) -> Control | None:
        return self.swarm.manager.control if self.swarm.manager is not None else None

    def swarm_info(self) -> SwarmInfo:
        return self.swarm.info()

    async def swarm_init(self, request: SwarmInit) -> str:
        return await self.swarm.init(request)

    async def swarm_join(self, request: SwarmJoin) -> None:
        await self.swarm.join(request)

    async def swarm_leave(self, force: bool) -> None:
        await self.swarm.leave(force)

    def service_logs(
        self, selector: LogSelector, options: LogOptions
    ) -> AsyncGenerator[ServiceLogLine, None]:
        if self.swarm.manager is None:
            raise Unavailable("this node is no manager of a cluster")
        return self.swarm.manager.logs.read(selector, options)

    async def start(self) -> None:
        await self.engine.start()
        await self.swarm.start()

    async def stop(self) -> bool:
        """Let go; containers run on, unless the machine goes down. Returns whether there are none.

        systemd would wait a minute and a half for a container that is deaf to SIGTERM.
        """
        await self.swarm.stop()
        if await machine_goes_down():
            log.info("the machine goes down: containers end")
            await self.engine.power_off(_GRACE_S)
        idle = not await self.engine.containers.list()
        await self.engine.stop()
        return idle


async def serve(settings: DaemonSettings, open_files: tuple[int, int]) -> bool:
    """Run a node until SIGTERM or SIGINT. Containers run on; returns whether there are none.

    `open_files`: the soft and hard limit of containers that ask for none.
    """
    stopping = asyncio.Event()

    def stop() -> None:
        faulthandler.dump_traceback_later(settings.shutdown_timeout + _LAST_S, exit=True)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    node = NodeDaemon(settings, await discover_facts(settings), open_files)
    server = Server(node, settings.hosts or [DEFAULT_HOST])
    await node.start()
    await server.start()
    _ready(settings)
    await stopping.wait()
    log.info("stopping")
    try:
        async with asyncio.timeout(settings.shutdown_timeout):
            await server.stop()
            return await node.stop()
    except TimeoutError:
        log.warning(
            "not all work ended in %d s: the next start repairs what is half done",
            settings.shutdown_timeout,
        )
        return False


def _ready(settings: DaemonSettings) -> None:
    """Say that the socket answers: to the log, and to systemd when it asked (Type=notify)."""
    log.info("ready on %s", ", ".join(settings.hosts or [DEFAULT_HOST]))
    _notify_systemd("READY=1")


def _notify_systemd(state: str) -> None:
    """sd_notify(3): one datagram to the socket that systemd names, if it does."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        try:
            line.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError as error:
            log.warning("systemd cannot be told that the daemon is ready: %s", error)
