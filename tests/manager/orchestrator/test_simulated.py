"""The whole control plane in the simulator: what people see of it, with its faults."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skep.model.service import RestartPolicy, UpdateConfig
from skep.testing.builders import at, node, seconds, service
from skep.testing.simulated_agent import Behaviour
from skep.testing.simulator import GRACE_S, SimulatedCluster

BEHAVIOURS = {
    "rejected": Behaviour(rejected=True),
    "crashing": Behaviour(exits_after_s=0.3),
    "finishing": Behaviour(exits_after_s=2, exit_code=0),
    "slow": Behaviour(prepare_s=1, start_s=1, stop_s=3),
}
SEEDS = range(5)


def running_cluster(seed: int, replicas: int = 10, **words: Any) -> SimulatedCluster:
    """A cluster of three nodes on which "web" runs."""
    cluster = SimulatedCluster(seed=seed, behaviours=BEHAVIOURS)
    cluster.create(service(replicas, **words))
    cluster.converge()
    cluster.invariants.fewest.clear()
    return cluster


def images(cluster: SimulatedCluster) -> set[str]:
    return {
        task.spec.container_spec.image
        for agent in cluster.agents.values()
        for task in agent.serving
        if task.spec.container_spec is not None
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drain_of_a_third_is_over_in_a_moment(seed: int) -> None:
    cluster = running_cluster(seed, replicas=30)
    cluster.set_availability("n1", "drain")
    assert cluster.converge() < 1.0
    assert cluster.invariants.fewest["web"] >= 20


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drain_of_everything_leaves_half_of_it(seed: int) -> None:
    cluster = SimulatedCluster(seed=seed, nodes=1)
    cluster.create(service(8))
    cluster.converge()
    cluster.join(node("n2"))
    cluster.invariants.fewest.clear()
    cluster.set_availability("n1", "drain")
    cluster.converge()
    assert cluster.invariants.fewest["web"] >= 4


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("order", "fewest"), [("stop-first", 8), ("start-first", 10)])
def test_drains_and_updates_never_fall_below_the_update_settings(
    seed: int, order: Literal["stop-first", "start-first"], fewest: int
) -> None:
    words = UpdateConfig(parallelism=2, order=order)
    cluster = running_cluster(seed, update=words)
    cluster.set_availability("n1", "drain")
    cluster.converge()
    cluster.set_image("web", "slow")
    cluster.converge()
    assert images(cluster) == {"slow"}
    assert cluster.invariants.fewest["web"] >= fewest


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_dead_node_ran_runs_elsewhere_as_soon_as_it_is_known(seed: int) -> None:
    cluster = running_cluster(seed)
    cluster.kill("n2")
    cluster.run(GRACE_S)
    assert cluster.converge() < 0.5
    cluster.heal("n2")
    cluster.run(1)
    cluster.converge()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_short_silence_moves_nothing(seed: int) -> None:
    cluster = running_cluster(seed)
    before = {task.id for task in cluster.view.tasks()}
    cluster.partition("n2")
    cluster.run(GRACE_S - 0.5)
    cluster.heal("n2")
    cluster.run(5)
    assert {task.id for task in cluster.view.tasks()} == before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_update_is_rolled_back_by_itself(seed: int) -> None:
    order = UpdateConfig(parallelism=1, order="start-first", failure_action="rollback")
    cluster = running_cluster(seed, update=order)
    cluster.set_image("web", "rejected")
    cluster.converge()
    status = cluster.service("web").update_status
    assert status is not None
    assert status.state == "rollback_completed"
    assert images(cluster) == {"app:1"}
    assert cluster.invariants.fewest["web"] == 10


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bad_update_stops_at_its_first_slots(seed: int) -> None:
    cluster = running_cluster(seed)
    cluster.set_image("web", "rejected")
    cluster.run(10)
    status = cluster.service("web").update_status
    assert status is not None
    assert status.state == "paused"
    assert cluster.invariants.fewest["web"] == 9


@pytest.mark.parametrize("seed", SEEDS)
def test_a_new_manager_goes_on_with_an_update(seed: int) -> None:
    """Nothing about it was in the old one's mind."""
    settings = UpdateConfig(parallelism=1, delay=seconds(1))
    cluster = running_cluster(seed, update=settings)
    cluster.set_image("web", "app:2")
    for _ in range(20):
        cluster.run(0.7)
        cluster.restart_manager()
    cluster.converge()
    assert images(cluster) == {"app:2"}
    assert cluster.invariants.fewest["web"] == 9
    assert cluster.now > at(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scale_survives_any_change_of_manager(seed: int) -> None:
    cluster = running_cluster(seed, replicas=0)
    cluster.scale("web", 100)
    for _ in range(10):
        cluster.run(0.02)
        cluster.restart_manager()
    cluster.converge()
    assert len(cluster.view.tasks()) == 100


@pytest.mark.parametrize("seed", SEEDS)
def test_restarts_end_with_the_last_attempt(seed: int) -> None:
    """Three attempts after the first try, in each slot, whoever leads."""
    cluster = SimulatedCluster(seed=seed, behaviours=BEHAVIOURS, history=0)
    policy = RestartPolicy(max_attempts=3, delay=seconds(0.1))
    cluster.create(service(2, image="crashing", restart=policy))
    for _ in range(20):
        cluster.run(0.5)
        cluster.restart_manager()
    cluster.converge()
    assert len(cluster.view.tasks()) == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rebalance_fills_a_node_that_joins_and_never_dips(seed: int) -> None:
    cluster = running_cluster(seed, replicas=12, labels={"skep.rebalance": "true"})
    cluster.join(node("n4"))
    cluster.run(30)
    cluster.converge()
    assert [len(agent.serving) for agent in cluster.agents.values()] == [3, 3, 3, 3]
    assert cluster.invariants.fewest["web"] == 12


@pytest.mark.parametrize("seed", SEEDS)
def test_a_removed_node_leaves_nothing_behind(seed: int) -> None:
    cluster = running_cluster(seed)
    cluster.remove_node("n1")
    cluster.run(1)
    cluster.converge()
    cluster.remove("web")
    cluster.converge()
    assert cluster.view.tasks() == []


IMAGES = ["app:1", "app:2", *BEHAVIOURS]
NODES = ["n1", "n2", "n3", "n4"]
STEPS = st.one_of(
    st.tuples(st.just("scale"), st.just("web"), st.integers(0, 12)),
    st.tuples(
        st.just("set_image"), st.sampled_from(["web", "everywhere"]), st.sampled_from(IMAGES)
    ),
    st.tuples(
        st.just("set_availability"),
        st.sampled_from(NODES),
        st.sampled_from(["active", "pause", "drain"]),
    ),
    st.tuples(st.sampled_from(["kill", "partition", "heal", "heal"]), st.sampled_from(NODES)),
    st.tuples(st.just("restart_manager")),
    st.tuples(st.just("run"), st.sampled_from([0.01, 0.05, 0.3, 1.0, 5.0])),
)
NS = st.sampled_from([0, seconds(0.2), seconds(1)])
UPDATES = st.none() | st.builds(
    UpdateConfig,
    parallelism=st.integers(0, 3),
    delay=NS,
    order=st.sampled_from(["", "stop-first", "start-first"]),
    failure_action=st.sampled_from(["", "pause", "continue", "rollback"]),
    max_failure_ratio=st.sampled_from([0, 0.3]),
    monitor=st.just(seconds(1)),
)
RESTARTS = st.none() | st.builds(
    RestartPolicy,
    condition=st.sampled_from(["none", "on-failure", "any"]),
    delay=NS,
    max_attempts=st.none() | st.integers(1, 3),
    window=st.none() | st.just(seconds(20)),
)


@given(
    seed=st.integers(0, 1_000_000),
    steps=st.lists(STEPS, max_size=40),
    update=UPDATES,
    restart=RESTARTS,
    rebalance=st.sampled_from(["", "true"]),
    history=st.sampled_from([-1, 0, 1, 5]),
)
@example(  # a task that its node never got was kept for ever, and the next waited for its end
    seed=425330,
    steps=[("restart_manager",), ("set_image", "everywhere", "app:2")],
    update=None,
    restart=None,
    rebalance="",
    history=0,
)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_it_ends_as_wanted(
    seed: int,
    steps: list[tuple[str, ...]],
    update: UpdateConfig | None,
    restart: RestartPolicy | None,
    rebalance: str,
    history: int,
) -> None:
    """After any faults and wishes, once machines are back and a good image is wanted, everything
    runs that image; and no invariant was broken on the way."""
    cluster = SimulatedCluster(seed=seed, nodes=4, behaviours=BEHAVIOURS, history=history)
    labels = {"skep.rebalance": rebalance}
    cluster.create(service(5, labels=labels, update=update, restart=restart))
    cluster.create(service(None, name="everywhere", update=update, restart=restart))
    for name, *arguments in steps:
        getattr(cluster, name)(*arguments)
        cluster.run(0.02)
    for node_id in NODES:
        cluster.heal(node_id)
        cluster.set_availability(node_id, "active")
    cluster.run(1)
    cluster.set_image("web", "app:9")
    cluster.set_image("everywhere", "app:9")
    cluster.scale("web", 6)
    cluster.run(0.1)
    cluster.converge(within_s=300)
    assert images(cluster) == {"app:9"}
