"""A task that finds no node says why, filter by filter, the most frequent reason first."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from skep.model.node import EngineDescription, Node, Plugin
from skep.model.service import (
    ContainerSpec,
    Driver,
    Mount,
    Placement,
    Platform,
    PortConfig,
    ResourceRequirements,
    Resources,
    Service,
    TaskSpec,
    VolumeOptions,
)
from skep.model.states import TaskState
from skep.model.task import Task
from skep.testing.builders import GIB, node, nodes, service, task, view
from tests.manager.scheduler.conftest import Placed, Reasons

PENDING = TaskState.PENDING
WEB = service(1)


def waiting(
    task_id: str = "a", slot: int = 1, *, of: Service = WEB, on: str = "", **fields: Any
) -> Task:
    return task(task_id, of, slot, on=on, state=PENDING, **fields)


def asking(**template: Any) -> Service:
    """A service with that in its task template."""
    spec = TaskSpec(container_spec=ContainerSpec(image="app:1"), **template)
    return replace(WEB, spec=replace(WEB.spec, task_template=spec))


def reserving(cpus: int = 0, memory: int = 0) -> Service:
    wish = Resources(nano_cpus=cpus * 10**9, memory_bytes=memory)
    return asking(resources=ResourceRequirements(reservations=wish))


def test_no_node_at_all_leaves_nothing_to_explain(reasons: Reasons) -> None:
    assert reasons(view(WEB, waiting())) == {"a": "no suitable node"}


def test_nodes_that_are_down_paused_or_drained_take_nothing(reasons: Reasons) -> None:
    bad = [node("n1", state="down"), node("n2", availability="pause")]
    told = reasons(view(WEB, waiting(), bad, node("n3", availability="drain")))
    assert told == {"a": "no suitable node (3 nodes not available for new tasks)"}


def test_reservations_of_the_tasks_there_count_their_limits_do_not(
    reasons: Reasons, placed: Placed
) -> None:
    greedy = reserving(cpus=5)
    held = task("old", greedy, 1, state=TaskState.RUNNING)
    told = reasons(view(greedy, node("n1", cpus=8), held, waiting(of=greedy)))
    assert told == {"a": "no suitable node (insufficient resources on 1 node)"}
    assert placed(view(WEB, node("n1", cpus=0), waiting())) == {"n1": 1}


def test_a_task_that_is_to_stop_holds_its_share_until_it_is_dead(
    reasons: Reasons, placed: Placed
) -> None:
    big = reserving(memory=10 * GIB)
    stopping = task("old", big, 1, desired=TaskState.SHUTDOWN)
    assert "insufficient" in reasons(view(big, node(), stopping, waiting(of=big)))["a"]
    dead = replace(stopping, status=replace(stopping.status, state=TaskState.SHUTDOWN))
    assert placed(view(big, node(), dead, waiting(of=big))) == {"n1": 1}


def test_volume_and_log_drivers_must_be_on_the_node(reasons: Reasons, placed: Placed) -> None:
    options = VolumeOptions(driver_config=Driver(name="nfs"))
    container = ContainerSpec(image="a", mounts=[Mount(target="/d", volume_options=options)])
    stored = replace(WEB, spec=replace(WEB.spec, task_template=TaskSpec(container_spec=container)))
    told = reasons(view(stored, node(), waiting(of=stored)))
    assert told == {"a": "no suitable node (missing plugin on 1 node)"}

    logged = asking(log_driver=Driver(name="gelf"))
    assert placed(view(logged, node(), waiting(of=logged))) == {"n1": 1}
    engine = EngineDescription(plugins=[Plugin(type="Log", name="json-file")])
    known = replace(node(), description=replace(node().description, engine=engine))
    told = reasons(view(logged, known, waiting(of=logged)))
    assert told == {"a": "no suitable node (missing plugin on 1 node)"}


def test_constraints_choose_nodes(reasons: Reasons, placed: Placed) -> None:
    east = service(1, constraints=["node.labels.zone==east"])
    both = [node("n1"), node("n2", labels={"zone": "east"})]
    assert placed(view(east, both, waiting(of=east))) == {"n2": 1}
    told = reasons(view(east, both[0], waiting(of=east)))
    assert told == {"a": "no suitable node (scheduling constraints not satisfied on 1 node)"}


def test_platforms_are_known_by_both_of_their_names(reasons: Reasons, placed: Placed) -> None:
    def on(architecture: str) -> Node:
        platform = Platform(architecture=architecture, os="linux")
        return replace(node(), description=replace(node().description, platform=platform))

    def built_for(*architectures: str) -> Service:
        wishes = [Platform(architecture=name, os="linux") for name in architectures]
        return asking(placement=Placement(platforms=wishes))

    for wish, machine in (
        ("amd64", "x86_64"),
        ("arm64", "aarch64"),
        ("x86_64", "amd64"),
        ("", "s390x"),
    ):
        of = built_for("riscv64", wish)
        assert placed(view(of, on(machine), waiting(of=of))) == {"n1": 1}
    of = built_for("arm64")
    told = reasons(view(of, on("x86_64"), waiting(of=of)))
    assert told == {"a": "no suitable node (unsupported platform on 1 node)"}


def test_a_host_port_is_one_tasks_on_each_node(placed: Placed, reasons: Reasons) -> None:
    port = PortConfig(target_port=80, published_port=80, publish_mode="host")
    tasks = [waiting("a", 1, ports=[port]), waiting("b", 2, ports=[port])]
    told = reasons(view(WEB, nodes(1), tasks))
    assert told == {"b": "no suitable node (host-mode port already in use on 1 node)"}
    other = service(1, name="dns")
    udp = waiting("b", of=other, ports=[replace(port, protocol="udp")])
    assert placed(view(WEB, other, nodes(1), tasks[0], udp)) == {"n1": 2}


def test_the_limit_of_replicas_on_one_node_holds(placed: Placed, reasons: Reasons) -> None:
    limited = asking(placement=Placement(max_replicas=2))
    tasks = [waiting(f"t{slot}", slot, of=limited) for slot in range(1, 6)]
    assert placed(view(limited, nodes(2), tasks)) == {"n1": 2, "n2": 2}
    told = reasons(view(limited, nodes(2), tasks))
    assert told == {"t5": "no suitable node (max replicas per node limit exceed)"}


def test_the_most_frequent_reason_comes_first(reasons: Reasons) -> None:
    greedy = reserving(cpus=4)
    small = [node("n1", state="down"), node("n2", cpus=1), node("n3", cpus=2)]
    told = reasons(view(greedy, small, waiting(of=greedy)))
    assert told == {
        "a": "no suitable node (insufficient resources on 2 nodes; "
        "1 node not available for new tasks)"
    }


def test_the_filters_keep_their_order_where_reasons_are_equally_frequent(reasons: Reasons) -> None:
    greedy = reserving(cpus=4)
    told = reasons(view(greedy, node("n1", cpus=1), node("n2", state="down"), waiting(of=greedy)))
    assert told == {
        "a": "no suitable node (1 node not available for new tasks; "
        "insufficient resources on 1 node)"
    }
