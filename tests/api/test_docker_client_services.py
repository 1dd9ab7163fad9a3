"""Services, seen by the unmodified docker client."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from skep.protocol.messages import LogFrame
from skep.testing.control_plane import ControlPlane

QUICK = ("--update-monitor", "100ms", "--rollback-monitor", "100ms")
"""Docker's client watches a converged service for as long as the update monitor."""


@pytest.fixture(autouse=True)
def _cluster(cluster: ControlPlane) -> None:
    """Every test here is on a manager."""


async def create(docker: Any, *words: str) -> str:
    made = await docker("service", "create", "--detach", *words, "app:1")
    assert made.code == 0, made.err
    return str(made.out.strip())


async def test_a_service_is_created_listed_scaled_and_removed(
    docker: Any, cluster: ControlPlane
) -> None:
    service_id = await create(docker, "--name", "web", "--replicas", "2", "-p", "4000:5000", *QUICK)
    services = cluster.manager.control.services
    await cluster.until(lambda: bool(services.get(service_id).endpoint.ports))
    listed = await docker("service", "ls")
    assert listed.rows[0] == ["ID", "NAME", "MODE", "REPLICAS", "IMAGE", "PORTS"]
    assert listed.rows[1][0] == service_id[:12]
    assert listed.rows[1][1:3] + listed.rows[1][4:] == [
        "web", "replicated", "app:1", "*:4000->5000/tcp",
    ]  # fmt: skip

    scaled = await docker("service", "scale", "web=3")
    assert (scaled.code, scaled.err) == (0, "")
    assert "web scaled to 3" in scaled.out
    assert "Service web converged" in scaled.out
    assert (await docker("service", "ls", "--format", "{{.Replicas}}")).out == "3/3\n"

    assert await docker("service", "rm", "web") == (0, "web\n", "")
    assert (await docker("service", "ls", "-q")).out == ""


async def test_creating_waits_until_the_service_has_converged(docker: Any) -> None:
    made = await docker("service", "create", *QUICK, "--name", "web", "--replicas", "3", "app:1")
    assert made.code == 0
    assert "overall progress: 3 out of 3 tasks" in made.out
    assert "Service web converged" in made.out or "verify: Service" in made.out
    assert "could not be accessed on a registry" in made.err


async def test_tasks_of_a_service_are_listed(docker: Any, cluster: ControlPlane) -> None:
    service_id = await create(docker, "--name", "web", "--replicas", "2")
    await cluster.until(lambda: len(cluster.running(service_id)) == 2)
    listed = await docker("service", "ps", "web")
    assert listed.rows[0] == [
        "ID", "NAME", "IMAGE", "NODE", "DESIRED STATE", "CURRENT STATE", "ERROR", "PORTS",
    ]  # fmt: skip
    assert [row[1] for row in listed.rows[1:]] == ["web.1", "web.2"]
    assert {row[3] for row in listed.rows[1:]} == {"drone-1", "drone-2"}
    assert all(row[4] == "Running" for row in listed.rows[1:])
    assert all(row[5].startswith("Running ") for row in listed.rows[1:])


async def test_a_service_is_inspected_in_words(docker: Any) -> None:
    await create(
        docker, "--name", "web", "--limit-memory", "64m", "--constraint", "node.role==worker",
        "--mount", "type=bind,src=/tmp,dst=/data", "--env", "A=b", "--update-delay", "3s",
    )  # fmt: skip
    pretty = await docker("service", "inspect", "--pretty", "web")
    assert pretty.code == 0, pretty.err
    for line in (
        "Service Mode:\tReplicated",
        " Replicas:\t1",
        " Constraints:\t[node.role==worker]",
        " Parallelism:\t1",
        " Delay:\t\t3s",
        " On failure:\tpause",
        " Image:\t\tapp:1",
        " Env:\t\tA=b ",
        "  Source:\t/tmp",
        "  Memory:\t64MiB",
    ):
        assert line in pretty.out.splitlines(), f"{line!r} not in {pretty.out}"


async def test_an_update_and_its_rollback_converge(docker: Any) -> None:
    await create(
        docker, "--name", "web", "--update-monitor", "100ms", "--rollback-monitor", "100ms"
    )
    updated = await docker("service", "update", "--image", "app:2", "web")
    assert updated.code == 0, updated.err
    assert (await docker("service", "ls", "--format", "{{.Image}}")).out == "app:2\n"
    forced = await docker("service", "update", "--force", "web")
    assert forced.code == 0, forced.err
    back = await docker("service", "rollback", "web")
    assert back.code == 0, back.err
    back = await docker("service", "rollback", "web")
    assert "rollback: manually requested rollback" in back.out
    state = await docker("service", "inspect", "--format", "{{.UpdateStatus.State}}", "web")
    assert state.out == "rollback_completed\n"


async def test_wrong_wishes_are_refused_with_exit_code_1(docker: Any) -> None:
    await create(docker, "--name", "web")
    for words, said in (
        (
            ("service", "create", "--detach", "--name", "web", "app:1"),
            "name conflicts with an existing object: service web already exists",
        ),
        (("service", "scale", "--detach", "nosuch=2"), "service nosuch not found"),
        (("service", "rm", "nosuch"), "service nosuch not found"),
        (("service", "inspect", "nosuch"), "no such service: nosuch"),
        (("service", "ls", "--filter", "colour=red"), "invalid filter 'colour'"),
        (("service", "logs", "nosuch"), "no such task or service: nosuch"),
    ):
        refused = await docker(*words)
        assert refused.code == 1
        assert said in refused.err + refused.out


async def test_logs_of_a_service_name_its_tasks(docker: Any, cluster: ControlPlane) -> None:
    service_id = await create(docker, "--name", "web", "--replicas", "1")
    await cluster.until(lambda: len(cluster.running(service_id)) == 1)
    (task_id,) = cluster.running(service_id)
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    for worker in cluster.nodes:
        worker.executor.lines[task_id] = [
            LogFrame(int(moment.timestamp()) * 10**9, 1, b"hello"),
            LogFrame(int(moment.timestamp()) * 10**9 + 1, 2, b"oops"),
        ]
    named = await docker("service", "logs", "web")
    assert named.code == 0, named.err
    assert named.out.split("|")[0].startswith("web.1.")
    assert named.out.endswith("| hello\n")
    assert named.err.endswith("| oops\n")
    raw = await docker("service", "logs", "--raw", "--timestamps", task_id)
    assert raw == (
        0,
        "2026-01-02T03:04:05.000000000Z hello\n",
        "2026-01-02T03:04:05.000000001Z oops\n",
    )


async def test_nodes_are_listed_inspected_and_updated(docker: Any) -> None:
    listed = await docker("node", "ls")
    assert listed.rows[0] == [
        "ID", "HOSTNAME", "STATUS", "AVAILABILITY", "MANAGER STATUS", "ENGINE VERSION",
    ]  # fmt: skip
    assert {row[1] for row in listed.rows[1:]} == {"manager", "drone-1", "drone-2"}
    leaders = await docker(
        "node", "ls", "--filter", "role=manager", "--format", "{{.ManagerStatus}} {{.Self}}"
    )
    assert leaders.out == "Leader true\n"
    updated = await docker(
        "node", "update", "--availability", "drain", "--label-add", "a=b", "drone-1"
    )
    assert updated == (0, "drone-1\n", "")
    pretty = await docker("node", "inspect", "--pretty", "drone-1")
    assert " Availability:         \tDrain" in pretty.out
    assert " - a=b" in pretty.out
    me = await docker("node", "inspect", "self", "--format", "{{.ManagerStatus.Leader}}")
    assert me.out == "true\n"


async def test_the_cluster_s_settings_and_tokens_are_shown(docker: Any) -> None:
    token = await docker("swarm", "join-token", "-q", "worker")
    assert token.out.startswith("SWMTKN-1-")
    rotated = await docker("swarm", "join-token", "-q", "--rotate", "worker")
    assert rotated.code == 0, rotated.err
    assert rotated.out.startswith("SWMTKN-1-")
    assert rotated.out != token.out
    updated = await docker("swarm", "update", "--task-history-limit", "2")
    assert updated == (0, "Swarm updated.\n", "")
    swarm = json.loads((await docker("system", "info", "--format", "{{json .Swarm}}")).out)
    assert swarm["ControlAvailable"] is True


async def test_what_the_cluster_has_none_of_is_an_empty_list(docker: Any) -> None:
    for noun in ("secret", "config", "stack"):
        listed = await docker(noun, "ls")
        assert (listed.code, len(listed.rows)) == (0, 1), listed.err
    refused = await docker("secret", "create", "key", "-", stdin=b"s")
    assert refused.code == 1
    assert "skep does not support secrets yet" in refused.err
