"""A container as the engine has it in memory: for those who ask at every step. Pure."""

from __future__ import annotations

import msgspec

from skep.engine.containers.container import Container
from skep.engine.containers.links import addresses_of
from skep.model.container import ContainerState, HealthStatus
from skep.network.values import PublishedPort


class ContainerView(msgspec.Struct, frozen=True, kw_only=True):
    """How a container is now.

    pid         of its process while it runs, else 0.
    exit_code   of its last run; 0 before its first end.
    error       why it could not be started, or cannot be read; "" otherwise.
    health      None: nobody asks how it is.
    addresses   on its networks, in their order, without prefix lengths, while it is started.
    ports       of the host that lead to it while it runs, with the numbers that were chosen.
    """

    id: str
    state: ContainerState
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    health: HealthStatus | None = None
    addresses: tuple[str, ...] = ()
    ports: tuple[PublishedPort, ...] = ()

    @property
    def running(self) -> bool:
        """Its process lives (paused or not)."""
        return self.pid != 0


def view_of(container: Container) -> ContainerView:
    record = container.record
    return ContainerView(
        id=record.id,
        state=container.state,
        pid=container.pid,
        exit_code=record.exit_code,
        oom_killed=record.oom_killed,
        error=record.error,
        health=container.health.status if container.health else None,
        addresses=addresses_of(record),
        ports=record.ports if container.running else (),
    )
