"""What docker ps, inspect and events say."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from skep.engine import ContainerQuery
from skep.engine.containers.top import parse_ps
from skep.engine.containers.words import human_duration
from skep.kit.errors import InvalidArgument
from skep.kit.labels import LabelQuery
from skep.model.base import encode_json
from skep.model.container import Port, PortBinding, TopResult
from skep.testing.engine_host import EngineHost

DURATIONS = [
    (0.4, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"),
    (125, "2 minutes"), (3600, "About an hour"), (7200, "2 hours"), (3 * 86400, "3 days"),
    (20 * 86400, "2 weeks"), (70 * 86400, "2 months"), (800 * 86400, "2 years"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "words"), DURATIONS)
def test_durations_are_dockers(seconds: float, words: str) -> None:
    assert human_duration(seconds) == words


async def test_a_row_of_ps(host: EngineHost) -> None:
    id_ = await host.run(
        "sleep", "600", name="web", labels={"a": "b"}, exposed_ports={"9/udp": {}},
        host={"port_bindings": {"80/tcp": [PortBinding(host_ip="127.0.0.1", host_port="8080")]}},
    )  # fmt: skip
    row = (await host.engine.containers.list(size=True))[0]
    assert (row.id, row.names, row.command, row.state) == (id_, ["/web"], "sleep 600", "running")
    assert row.labels == {"a": "b"}
    assert re.fullmatch(r"Up (Less than a second|\d+ seconds?)", row.status)
    assert row.ports == [
        Port(private_port=9, type="udp"),
        Port(ip="127.0.0.1", private_port=80, public_port=8080, type="tcp"),
    ]
    assert list(row.network_settings.networks) == ["bridge"]
    assert row.size_root_fs > row.size_rw >= 0  # type: ignore[operator]
    assert b'"PublicPort":8080' in encode_json(row)


async def test_filters_choose(host: EngineHost) -> None:
    first = await host.run(name="first", labels={"tier": "web", "x": "1"})
    second = await host.shell("exit 3", name="second", labels={"tier": "db"})
    await host.engine.containers.wait(second)

    async def chosen(**wanted: Any) -> list[str]:
        query = ContainerQuery(**wanted)
        rows = await host.engine.containers.list(all_containers=True, query=query)
        return [row.names[0] for row in rows]

    assert await chosen(labels=LabelQuery(["tier=web"])) == ["/first"]
    assert await chosen(labels=LabelQuery(["tier"])) == ["/second", "/first"]
    assert await chosen(labels=LabelQuery(lacking=["x"])) == ["/second"]
    assert await chosen(names=["^fir"]) == ["/first"]
    assert await chosen(states=["exited"]) == ["/second"]
    assert await chosen(exit_codes=[3]) == ["/second"]
    assert await chosen(exit_codes=[0]) == []
    assert await chosen(before=["second"]) == ["/first"]
    assert await chosen(since=[first[:12]]) == ["/second"]
    assert await chosen(ancestors=["busybox:1"]) == ["/second", "/first"]
    assert await chosen(ancestors=["nothing"]) == []
    assert await chosen(networks=["bridge"]) == ["/second", "/first"]
    assert await chosen(is_task=True) == []
    assert await chosen(health=["none"]) == ["/second", "/first"]


async def test_limit_gives_the_newest_of_all(host: EngineHost) -> None:
    for name in ("one", "two", "three"):
        await host.create(name=name)
    rows = await host.engine.containers.list(limit=2)
    assert [row.names[0] for row in rows] == ["/three", "/two"]


async def test_a_life_in_events(host: EngineHost) -> None:
    stream = host.engine.events.stream(lambda event: event.type == "container")
    id_ = await host.run(name="web", labels={"a": "b"})
    await host.engine.containers.stop(id_, timeout_s=0, signal="KILL")
    await host.engine.containers.remove(id_)
    actions = [(await anext(stream)) for _ in range(6)]
    assert [event.action for event in actions] == [
        "create", "start", "kill", "die", "stop", "destroy",
    ]  # fmt: skip
    die = actions[3]
    assert die.actor.id == die.id == id_
    assert die.from_ == "busybox:1"
    attributes = die.actor.attributes
    assert (attributes["name"], attributes["exitCode"], attributes["a"]) == ("web", "137", "b")


async def test_top_shows_the_containers_processes_only(host: EngineHost) -> None:
    id_ = await host.shell("sleep 601 & sleep 602")
    await asyncio.sleep(0.1)
    shown = await host.engine.containers.top(id_)
    column = shown.titles.index("CMD")
    assert sorted(row[column] for row in shown.processes)[-2:] == ["sleep 601", "sleep 602"]


def test_ps_rows_are_kept_whole() -> None:
    text = "PID USER COMMAND\n  1 root init\n 22 bee sh -c a b\n"
    assert parse_ps(text, {22}) == TopResult(
        titles=["PID", "USER", "COMMAND"], processes=[["22", "bee", "sh -c a b"]]
    )
    with pytest.raises(InvalidArgument, match="PID"):
        parse_ps("USER\nroot\n", {1})


async def test_stats_of_a_running_one_grow_and_of_an_idle_one_are_zero(host: EngineHost) -> None:
    busy = await host.shell("while :; do :; done")
    readings = await host.engine.containers.stats(busy, stream=False)
    reading = await anext(readings)
    used = reading.cpu_stats.cpu_usage.total_usage - reading.precpu_stats.cpu_usage.total_usage
    assert used > 0
    assert reading.cpu_stats.system_cpu_usage > reading.precpu_stats.system_cpu_usage
    idle = await host.create()
    zero = await anext(await host.engine.containers.stats(idle, stream=False, one_shot=True))
    assert zero.cpu_stats.cpu_usage.total_usage == 0
