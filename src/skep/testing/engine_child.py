"""An engine in a process of its own that makes, starts, stops and removes containers until it is
killed: `python -m skep.testing.engine_child <data root> <exec root> <instance> <seed>`.

Each line of stdout is a promise: it is written after the engine answered.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from skep.engine import Engine, EngineSettings
from skep.model.container import ContainerCreate, HostConfig, PortBinding
from skep.testing.engine_host import BUSYBOX

_SIDE_BY_SIDE = 4


async def keep_busy(engine: Engine, dice: random.Random) -> None:
    """Several containers at a time, each through a whole life, for ever."""
    await asyncio.gather(*(_lives(engine, dice, number) for number in range(_SIDE_BY_SIDE)))


async def _lives(engine: Engine, dice: random.Random, number: int) -> None:
    for turn in range(1_000_000):
        await _life(engine, dice, f"box-{number}-{turn}")


async def _life(engine: Engine, dice: random.Random, name: str) -> None:
    containers = engine.containers
    host = HostConfig(
        binds=[f"{name}:/data"] if dice.random() < 0.5 else [],
        port_bindings={"80/tcp": [PortBinding()]} if dice.random() < 0.5 else {},
    )
    wish = ContainerCreate(image=BUSYBOX, cmd=["sleep", "600"], host_config=host)
    await containers.create(wish, name)
    _tell("created", name)
    await containers.start(name)
    _tell("started", name)
    if dice.random() < 0.4:
        return
    _tell("stopping", name)
    await containers.stop(name, timeout_s=0)
    _tell("stopped", name)
    if dice.random() < 0.4:
        return
    _tell("removing", name)
    await containers.remove(name)
    _tell("removed", name)


def _tell(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def _main(data_root: str, exec_root: str, instance: str, seed: str) -> None:
    engine = Engine(
        EngineSettings(data_root=Path(data_root), exec_root=Path(exec_root), instance=instance)
    )
    await engine.start()
    _tell("ready")
    await keep_busy(engine, random.Random(int(seed)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
