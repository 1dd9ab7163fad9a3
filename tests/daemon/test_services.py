"""What a service's spec asks for is what its containers do."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from skep.testing.daemon import DaemonHost, until

HOSTNAME = socket.gethostname()


@pytest.fixture(scope="module", autouse=True)
def _images(swarm: DaemonHost) -> None:
    swarm.load_image("crash:1", cmd=("sh", "-c", "echo no; exit 3"))


QUICK_STOP = ("--stop-grace-period", "1s")


def create(host: DaemonHost, *words: str, image: str = "web:1", command: str = "") -> None:
    """The service `web`; `command` for a shell instead of the image's own. A container that is
    stopped before it can hear a signal need not wait long."""
    shell = ("sh", "-c", command) if command else ()
    host.ok("service", "create", "-d", "--name", "web", *QUICK_STOP, *words, image, *shell)


def update(host: DaemonHost, *words: str) -> None:
    host.ok("service", "update", "-d", *words, "web")


def service(host: DaemonHost) -> dict[str, Any]:
    found: dict[str, Any] = host.api("GET", "/services/web").body
    return found


def until_updated(host: DaemonHost, state: str = "completed") -> dict[str, Any]:
    """The update's status once it is in that state."""
    until(
        lambda: service(host).get("UpdateStatus", {}).get("State") == state,
        on_timeout=lambda: str(service(host).get("UpdateStatus")),
    )
    status: dict[str, Any] = service(host)["UpdateStatus"]
    return status


def states(host: DaemonHost) -> Counter[str]:
    return Counter(task["Status"]["State"] for task in host.tasks("web"))


def errors(host: DaemonHost) -> set[str]:
    return {err for task in host.tasks("web") if (err := task["Status"].get("Err"))}


def output(host: DaemonHost, *words: str) -> str:
    return host.ok("service", "logs", "--raw", *words, "web")


def until_output(host: DaemonHost, text: str) -> None:
    until(lambda: output(host) == text, on_timeout=lambda: output(host))


def at(moment: str) -> float:
    """A time of the API in seconds."""
    return datetime.fromisoformat(moment).timestamp()


def container_of(task: dict[str, Any]) -> str:
    return str(task["Status"]["ContainerStatus"]["ContainerID"])


def refuses(host: DaemonHost, port: int) -> bool:
    """Nobody serves at the port, and callers are told so at once."""
    try:
        host.who(port)
    except ConnectionRefusedError:
        return True
    except OSError:
        pass  # cut off in the middle
    return False


# -- published ports --------------------------------------------------------------------------


def test_a_published_port_is_answered_by_every_replica_in_turn(host: DaemonHost) -> None:
    create(host, "-p", "4000:5000", "--replicas", "3")
    host.until_running("web", 3)
    host.until_served(4000, 3)
    asked = [host.who(4000).hostname for _ in range(9)]
    assert sorted(Counter(asked).values()) == [3, 3, 3]
    assert asked[:3] == asked[3:6] == asked[6:]


def test_replicas_see_who_asks(host: DaemonHost) -> None:
    create(host, "-p", "4000:5000", "--replicas", "2")
    host.until_running("web", 2)
    host.until_served(4000, 2)
    with host.at_neighbour():
        answers = [host.who(4000, "10.77.0.1") for _ in range(4)]
    assert {answer.address for answer in answers} == {"10.77.0.2"}
    assert len({answer.hostname for answer in answers}) == 2


def test_a_port_follows_the_number_of_replicas(host: DaemonHost) -> None:
    create(host, "-p", "4000:5000", "--replicas", "2")
    host.until_running("web", 2)  # before, the allocator may write between a client's two words
    for replicas in (4, 1):
        host.ok("service", "scale", "-d", f"web={replicas}")
        host.until_running("web", replicas)
        host.until_served(4000, replicas)
    host.ok("service", "scale", "-d", "web=0")
    until(lambda: refuses(host, 4000))


def test_a_port_is_given_where_none_is_asked_for_and_kept(host: DaemonHost) -> None:
    create(host, "-p", "5000", "--update-monitor", "100ms")
    host.until_running("web", 1)
    (port,) = service(host)["Endpoint"]["Ports"]
    assert 30000 <= port["PublishedPort"] <= 32767
    update(host, "--env-add", "A=b")
    until_updated(host)
    assert service(host)["Endpoint"]["Ports"] == [port]
    host.until_served(port["PublishedPort"], 1)


def test_a_published_port_can_be_added_and_taken_away(host: DaemonHost) -> None:
    create(host, "--update-monitor", "100ms")
    host.until_running("web", 1)
    update(host, "--publish-add", "4001:5000")
    until_updated(host)
    host.until_served(4001, 1)
    update(host, "--publish-rm", "5000")
    until(lambda: refuses(host, 4001))


def test_a_port_in_host_mode_is_the_one_task_s(host: DaemonHost) -> None:
    """A second replica has no node with that port to run on."""
    create(host, "-p", "mode=host,target=5000,published=4002", "--replicas", "2")
    until(lambda: host.running("web"))
    host.until_served(4002, 1)
    until(lambda: "no suitable node (host-mode port already in use on 1 node)" in errors(host))
    (ports,) = [task["Status"]["PortStatus"]["Ports"] for task in host.running("web")]
    assert [(port["PublishedPort"], port["TargetPort"]) for port in ports] == [(4002, 5000)]
    assert "*:4002->5000/tcp" in host.ok("service", "ps", "web")


# -- updates ----------------------------------------------------------------------------------


def test_an_update_goes_as_many_at_a_time_as_it_may(host: DaemonHost) -> None:
    """Two of four; the next two when the delay is over."""
    create(
        host, "--replicas", "4", "--update-parallelism", "2", "--update-delay", "1s",
        "--update-monitor", "100ms",
    )  # fmt: skip
    host.until_running("web", 4)
    update(host, "--image", "web:2")
    until_updated(host)
    starts = sorted(at(task["CreatedAt"]) for task in host.running("web"))
    first, second, third = (b - a for a, b in pairwise(starts))
    assert (first < 0.5, second >= 1, third < 0.5) == (True, True, True)


def _image(task: dict[str, Any]) -> str:
    return str(task["Spec"]["ContainerSpec"]["Image"])


def test_start_first_never_stops_answering(host: DaemonHost) -> None:
    """A task runs when it is healthy, and is stopped when nobody is sent to it any more."""
    create(
        host, "-p", "4000:5000", "--update-order", "start-first", "--update-monitor", "100ms",
        "--health-cmd", "wget -qO /dev/null 127.0.0.1:5000/cgi-bin/who", "--health-interval",
        "100ms", "--health-retries", "100",
    )  # fmt: skip
    host.until_running("web", 1)
    with asking_all_the_time(host, 4000) as answers:
        update(host, "--image", "web:2")
        until_updated(host)
        until(lambda: answers[-1] == "two")
    assert set(answers) == {"one", "two"}


def test_scaling_down_never_stops_answering(host: DaemonHost) -> None:
    create(host, "-p", "4000:5000", "--replicas", "4")
    host.until_running("web", 4)
    host.until_served(4000, 4)
    with asking_all_the_time(host, 4000) as answers:
        host.ok("service", "scale", "-d", "web=1")
        until(lambda: len(host.tasks("web")) == 1)
    assert set(answers) == {"one"}


@contextmanager
def asking_all_the_time(host: DaemonHost, port: int) -> Iterator[list[str]]:
    """Versions that answered, one request after the other; what failed, by its reason."""
    answers: list[str] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            try:
                answers.append(host.who(port).version)
            except OSError as error:
                answers.append(repr(error))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        until(lambda: answers)
        yield answers
    finally:
        enough.set()
        asking.join()


def test_an_update_that_fails_is_paused(host: DaemonHost) -> None:
    create(host, "--replicas", "3", "--restart-delay", "0s", "--update-monitor", "2s")
    host.until_running("web", 3)
    update(host, "--image", "crash:1")
    message = until_updated(host, "paused")["Message"]
    assert re.fullmatch(
        r"update paused due to failure or early termination of task \w{25}", message
    )
    assert "web:1" in map(_image, host.running("web"))
    assert "task: non-zero exit (3)" in errors(host)


def test_an_update_that_fails_can_roll_itself_back(host: DaemonHost) -> None:
    create(
        host, "--replicas", "2", "--update-failure-action", "rollback", "--restart-delay", "0s",
        "--update-monitor", "1s", "--rollback-monitor", "100ms",
    )  # fmt: skip
    host.until_running("web", 2)
    update(host, "--image", "crash:1")
    assert until_updated(host, "rollback_completed")["Message"] == "rollback completed"
    host.until_running("web", 2)
    assert set(map(_image, host.running("web"))) == {"web:1"}


def test_a_forced_update_replaces_every_task(host: DaemonHost) -> None:
    create(host, "--replicas", "2", "--update-monitor", "100ms", "--update-parallelism", "0")
    host.until_running("web", 2)
    before = {task["ID"] for task in host.running("web")}
    update(host, "--force")
    until_updated(host)
    host.until_running("web", 2)
    assert before.isdisjoint(task["ID"] for task in host.running("web"))


def test_a_label_of_the_service_replaces_nothing(host: DaemonHost) -> None:
    create(host)
    host.until_running("web", 1)
    before = [task["ID"] for task in host.tasks("web")]
    update(host, "--label-add", "tier=front")
    assert service(host)["Spec"]["Labels"] == {"tier": "front"}
    assert [task["ID"] for task in host.tasks("web")] == before
    assert host.ok("service", "ls", "-q", "--filter", "label=tier=front") != ""


def test_a_stale_writer_is_refused(host: DaemonHost) -> None:
    create(host)
    old = service(host)
    update(host, "--label-add", "a=b")
    answer = host.api(
        "POST", f"/services/web/update?version={old['Version']['Index']}", old["Spec"]
    )
    assert (answer.status, answer.message) == (
        500, "rpc error: code = Unknown desc = update out of sequence",
    )  # fmt: skip


# -- restarts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "code", "restarts"),
    [("none", 3, False), ("on-failure", 0, False), ("on-failure", 3, True), ("any", 0, True)],
)
def test_the_restart_condition(host: DaemonHost, condition: str, code: int, restarts: bool) -> None:
    create(
        host, "--restart-condition", condition, "--restart-delay", "100ms",
        command=f"sleep 0.05; exit {code}",
    )  # fmt: skip
    if restarts:
        until(lambda: len(host.tasks("web")) > 2)
    else:
        ended = "complete" if code == 0 else "failed"
        until(lambda: states(host) == {ended: 1})
        assert host.ok("service", "ls", "--format", "{{.Replicas}}") == "0/1"
        assert [task["DesiredState"] for task in host.tasks("web")] == ["shutdown"]


def test_attempts_to_restart_are_counted(host: DaemonHost) -> None:
    create(host, "--restart-max-attempts", "2", "--restart-delay", "0s", image="crash:1")
    until(lambda: states(host) == {"failed": 3})
    until(lambda: all(task["DesiredState"] == "shutdown" for task in host.tasks("web")))


def test_a_restart_waits_for_its_delay(host: DaemonHost) -> None:
    create(host, "--restart-delay", "1s", "--restart-max-attempts", "1", image="crash:1")
    until(lambda: states(host) == {"failed": 2})
    second, first = (at(task["Status"]["Timestamp"]) for task in host.tasks("web"))
    assert 1.0 <= second - first < 4


def test_the_history_of_a_slot_is_limited(host: DaemonHost) -> None:
    """Five dead tasks are kept, and none of their containers beyond that."""
    create(host, "--restart-delay", "0s", image="crash:1")
    host.ok("swarm", "update", "--task-history-limit", "2")
    try:
        seen: set[str] = set()

        def enough() -> bool:
            seen.update(task["ID"] for task in host.tasks("web"))
            return len(seen) > 8

        until(enough)
        host.ok("service", "update", "-d", "--restart-condition", "none", "web")
        until(lambda: not host.tasks("web", **{"desired-state": "running"}))
        until(lambda: len(host.tasks("web")) <= 3, on_timeout=lambda: str(states(host)))
        until(lambda: len(host.ok("ps", "-aq").split()) <= 3)
    finally:
        host.ok("swarm", "update", "--task-history-limit", "5")


def test_a_killed_container_is_replaced(host: DaemonHost) -> None:
    create(host, "--restart-delay", "0s")
    host.until_running("web", 1)
    (task,) = host.running("web")
    host.ok("kill", container_of(task))
    until(lambda: len(host.tasks("web")) == 2)
    host.until_running("web", 1)
    assert errors(host) == {"task: non-zero exit (137)"}


@pytest.mark.parametrize("after_s", [0, 0.03, 0.06, 0.1, 0.15, 0.2])
def test_a_service_that_is_removed_while_its_tasks_are_made_leaves_nothing(
    host: DaemonHost, after_s: float
) -> None:
    """At whatever step of theirs: an arbitrary moment is what the sleep is for."""
    host.ok("network", "create", "-d", "overlay", "back")
    create(
        host, "--replicas", "3", "-p", "4000:5000", "--network", "back", "--mount",
        "type=volume,dst=/data", "--stop-grace-period", "0s",
    )  # fmt: skip
    time.sleep(after_s)
    host.ok("service", "rm", "web")
    until(lambda: host.docker("network", "rm", "back").code == 0)
    host.until_clean()
    assert host.ok("volume", "ls", "-q") == ""


# -- placement --------------------------------------------------------------------------------


def test_a_global_service_has_one_task_on_the_node(host: DaemonHost) -> None:
    create(host, "--mode", "global", "-p", "4000:5000")
    host.until_running("web", 1)
    node_id = host.ok("node", "ls", "-q")
    (name,) = host.ok("ps", "--format", "{{.Names}}").split()
    assert name.startswith(f"web.{node_id}.")
    assert host.ok("service", "ls", "--format", "{{.Mode}} {{.Replicas}}") == "global 1/1"
    assert host.docker("service", "scale", "web=2") == (
        1, "", "web: scale can only be used with replicated or replicated-job mode\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--constraint", "node.role==worker"), "scheduling constraints not satisfied on 1 node"),
        (("--reserve-cpu", "99"), "insufficient resources on 1 node"),
        (("--reserve-memory", "9000g"), "insufficient resources on 1 node"),
        (("--replicas-max-per-node", "1", "--replicas", "2"), "max replicas per node limit exceed"),
    ],
)
def test_what_no_node_can_take_waits_and_says_why(
    host: DaemonHost, words: tuple[str, ...], reason: str
) -> None:
    create(host, *words)
    until(
        lambda: f"no suitable node ({reason})" in errors(host), on_timeout=lambda: str(errors(host))
    )
    waiting = [task for task in host.tasks("web") if task["Status"].get("Err")]
    assert [task["Status"]["State"] for task in waiting] == ["pending"]
    assert "no suitable node" in host.ok("service", "ps", "web")


def test_a_task_that_waits_is_placed_when_the_node_changes(host: DaemonHost) -> None:
    create(host, "--constraint", "node.labels.disk==ssd")
    until(lambda: errors(host))
    host.ok("node", "update", "--label-add", "disk=ssd", HOSTNAME)
    try:
        host.until_running("web", 1)
    finally:
        host.ok("node", "update", "--label-rm", "disk", HOSTNAME)


def test_a_node_is_drained_and_taken_into_use_again(host: DaemonHost) -> None:
    create(host, "--replicas", "2")
    host.until_running("web", 2)
    host.ok("node", "update", "--availability", "drain", HOSTNAME)
    until(lambda: host.ok("ps", "-q") == "")
    assert "no suitable node (1 node not available for new tasks)" in errors(host)
    host.ok("node", "update", "--availability", "active", HOSTNAME)
    host.until_running("web", 2)


# -- health -----------------------------------------------------------------------------------

HEALTH = ("--health-interval", "100ms", "--health-retries", "1", "--health-timeout", "5s")


def test_a_task_is_starting_until_it_is_healthy(host: DaemonHost, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create(
        host, *HEALTH, "--health-retries", "1000", "--health-cmd", "test -e /data/well",
        "--mount", f"type=bind,src={tmp_path},dst=/data", "-p", "4000:5000",
    )  # fmt: skip
    until(lambda: states(host) == {"starting": 1})
    until(lambda: "health: starting" in host.ok("ps"))
    assert refuses(host, 4000)
    (tmp_path / "well").touch()
    host.until_running("web", 1)
    host.until_served(4000, 1)
    assert "(healthy)" in host.ok("ps")


def test_a_task_that_falls_ill_is_replaced(host: DaemonHost) -> None:
    create(host, *HEALTH, "--restart-delay", "0s", "--health-cmd", "test ! -e /ill")
    host.until_running("web", 1)
    (task,) = host.running("web")
    host.ok("exec", container_of(task), "touch", "/ill")
    until(lambda: len(host.tasks("web")) == 2)
    host.until_running("web", 1)
    assert errors(host) == {"task: non-zero exit (137): dockerexec: unhealthy container"}


def test_a_task_that_never_becomes_healthy_fails(host: DaemonHost) -> None:
    create(host, *HEALTH, "--restart-condition", "none", "--health-cmd", "false")
    until(lambda: states(host) == {"failed": 1}, on_timeout=lambda: str(states(host)))
    assert errors(host) == {"task: non-zero exit (137): dockerexec: unhealthy container"}


# -- files ------------------------------------------------------------------------------------


def test_a_bind_mount_must_be_there(host: DaemonHost) -> None:
    create(host, "--mount", "type=bind,src=/not/there,dst=/x", "--restart-delay", "60s")
    until(lambda: states(host)["rejected"] >= 1)
    assert errors(host) == {
        'invalid mount config for type "bind": bind source path does not exist: /not/there'
    }
    assert not Path("/not").exists()
    assert host.ok("ps", "-aq") == ""


def test_mounts_of_all_kinds(host: DaemonHost, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "given").write_text("bound\n")
    create(
        host, "--mount", f"type=bind,src={tmp_path},dst=/bound,readonly",
        "--mount", "type=volume,src=honey,dst=/kept", "--mount", "type=tmpfs,dst=/fleeting",
        "--read-only", "--restart-condition", "none",
        command="cat /bound/given; echo kept > /kept/file; touch /bound/x /x 2>&1; "
        "grep -c ' /fleeting tmpfs' /proc/mounts",
    )  # fmt: skip
    until(lambda: states(host) == {"complete": 1}, on_timeout=lambda: output(host))
    assert output(host).splitlines() == [
        "bound",
        "touch: /bound/x: Read-only file system",
        "touch: /x: Read-only file system",
        "1",
    ]
    host.ok("service", "rm", "web")
    kept = host.ok("run", "--rm", "-v", "honey:/kept", "web:1", "cat", "/kept/file")
    assert kept == "kept"


# -- the process ------------------------------------------------------------------------------


def test_templates_name_the_task(host: DaemonHost) -> None:
    create(
        host, "--replicas", "2", "--hostname", "{{.Service.Name}}-{{.Task.Slot}}",
        "--env", "NODE={{.Node.Hostname}}", "--restart-condition", "none",
        command='echo "$(hostname) $NODE"',
    )  # fmt: skip
    until(lambda: states(host) == {"complete": 2})
    assert sorted(output(host).split("\n")) == [f"web-1 {HOSTNAME}", f"web-2 {HOSTNAME}"]


def test_settings_of_the_process(host: DaemonHost) -> None:
    create(
        host, "-e", "A=b c", "-w", "/tmp", "-u", "nobody", "--cap-drop", "ALL", "--ulimit",
        "nofile=77:99", "--sysctl", "net.ipv4.ip_default_ttl=33", "--host", "hive:10.9.9.9",
        "--dns", "10.9.9.8", "--limit-pids", "55", "--limit-memory", "64m", "--limit-cpu", "0.5",
        "--oom-score-adj", "123", "--restart-condition", "none", "--container-label", "kind=bee",
        command="echo $A; pwd; id -un; ulimit -n; cat /proc/sys/net/ipv4/ip_default_ttl;"
        "grep -o 'CapBnd.*' /proc/self/status; grep hive /etc/hosts; cat /proc/self/oom_score_adj",
    )  # fmt: skip
    until(
        lambda: states(host) == {"complete": 1}, on_timeout=lambda: output(host) + str(errors(host))
    )
    assert output(host).splitlines() == [
        "b c", "/tmp", "nobody", "77", "33", "CapBnd:\t0000000000000000", "10.9.9.9\thive", "123",
    ]  # fmt: skip
    (id_,) = host.ok("ps", "-aq", "--filter", "label=kind=bee").split()
    shown = json.loads(host.ok("inspect", id_))[0]["HostConfig"]
    assert (shown["PidsLimit"], shown["Memory"], shown["NanoCpus"]) == (55, 64 << 20, 500_000_000)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--stop-grace-period", "5s"), "5"),
        (("--stop-grace-period", "5s", "--stop-signal", "USR1"), "6"),
        (("--stop-grace-period", "100ms"), "137"),
    ],
)
def test_how_a_task_is_stopped(host: DaemonHost, words: tuple[str, ...], code: str) -> None:
    deaf = "100ms" in words
    traps = "trap '' TERM" if deaf else "trap 'exit 5' TERM; trap 'exit 6' USR1"
    create(host, *words, command=f"{traps}; echo ready; while :; do sleep 0.02; done")
    until_output(host, "ready")
    (task,) = host.running("web")
    update(host, "--force")
    stopped = container_of(task)
    until(lambda: host.docker("inspect", "-f", "{{.State.Status}}", stopped).out == "exited\n")
    assert host.ok("inspect", "-f", "{{.State.ExitCode}}", stopped) == code
    until(lambda: output(host).split() == ["ready", "ready"])  # or the trap is not yet set


# -- logs -------------------------------------------------------------------------------------


def test_logs_can_be_cut_and_told_apart(host: DaemonHost) -> None:
    create(
        host, "--replicas", "2", "--restart-condition", "none", "--env", "A=b",
        command="echo one; sleep 0.01; echo two; echo three >&2",
    )  # fmt: skip
    until(lambda: states(host) == {"complete": 2})
    until(lambda: len(output(host).split()) == 4)
    assert Counter(output(host, "--tail", "1").split()) == {"two": 2} or (
        host.docker("service", "logs", "--raw", "--tail", "1", "web").err.split()
        == ["three", "three"]
    )
    whole = host.docker("service", "logs", "web")
    assert whole.err.count("three") == 2
    assert {line.split(".")[1] for line in whole.out.splitlines()} == {"1", "2"}
    stamped = host.ok("service", "logs", "-t", "--raw", "web").splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (one|two)$", s) for s in stamped)
    detailed = host.ok("service", "logs", "--details", "--no-task-ids", "web").splitlines()
    assert all(re.match(rf"web\.[12]@{HOSTNAME} +\| +(one|two)$", line) for line in detailed)
    (task_id, _) = host.ok("service", "ps", "-q", "web").split()
    assert host.ok("service", "logs", "--raw", task_id).split() == ["one", "two"]
    second = host.ok("service", "logs", "-t", "--raw", task_id).splitlines()[1].split()[0]
    assert host.ok("service", "logs", "--raw", "--since", second, task_id) == "two"


def test_followed_logs_end_with_the_last_task(host: DaemonHost) -> None:
    create(
        host,
        "--stop-grace-period",
        "0s",
        command="for n in 1 2 3; do echo $n; sleep 0.1; done; sleep 60",
    )
    following = host.begin("service", "logs", "-f", "--raw", "web")
    assert following.stdout is not None
    assert [following.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    host.ok("service", "rm", "web")
    following.communicate(timeout=20)


# -- networks ---------------------------------------------------------------------------------


def test_services_find_each_other_by_name(host: DaemonHost) -> None:
    """By their virtual address, by the addresses of their tasks, by an alias; on their network
    only."""
    host.ok("network", "create", "-d", "overlay", "back")
    host.ok("network", "create", "-d", "overlay", "other")
    host.ok(
        "service", "create", "-d", "--name", "db", "--network", "name=back,alias=store",
        "--replicas", "2", "web:2",
    )  # fmt: skip
    host.until_running("db", 2)
    script = """
        for name in db store; do
            touch /$name
            until test $(cut -d' ' -f1 /$name | sort -u | wc -l) = 2; do
                wget -qO- http://$name:5000/cgi-bin/who >> /$name; done; done
        nslookup tasks.db | grep -c 'Address.*10\\.'
    """
    create(host, "--network", "back", "--restart-condition", "none", command=script)
    until(lambda: states(host) == {"complete": 1}, on_timeout=lambda: output(host))
    assert output(host) == "2"
    host.ok(
        "service", "create", "-d", "--name", "stranger", "--network", "other",
        "--restart-condition", "none", "web:1", "sh", "-c", "nslookup db || echo unknown",
    )  # fmt: skip
    until(lambda: "unknown" in host.ok("service", "logs", "--raw", "stranger"))
    refused = host.docker("network", "rm", "back")
    assert refused.code == 1
    assert "is in use by service" in refused.err


def test_a_service_on_the_host_s_network(host: DaemonHost) -> None:
    create(host, "--network", "host", "--env", "PORT=4005")
    host.until_running("web", 1)
    until(lambda: not refuses(host, 4005))
    assert host.who(4005).hostname == HOSTNAME


# -- bad input --------------------------------------------------------------------------------

MINIMAL = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}}}


def spec(**changes: Any) -> dict[str, Any]:
    return MINIMAL | changes


def task(**changes: Any) -> dict[str, Any]:
    return spec(TaskTemplate=MINIMAL["TaskTemplate"] | changes)  # type: ignore[operator]


def container(**changes: Any) -> dict[str, Any]:
    return task(ContainerSpec={"Image": "web:1"} | changes)


def port(target: int, published: int, **changes: Any) -> dict[str, Any]:
    return {"TargetPort": target, "PublishedPort": published} | changes


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "invalid"),
        (b"[]", 400, "invalid"),
        (b"\xff\xfe", 400, "invalid"),
        ({}, 400, ""),
        (spec(Name=7), 400, "$.Name"),
        (spec(Name="a b"), 400, "must be valid as a DNS name component"),
        (spec(Name="x" * 64), 400, "name must be 63 characters or fewer"),
        (spec(Mode={"Replicated": {}, "Global": {}}), 400, "only one service mode"),
        (spec(Mode={"Replicated": {"Replicas": -1}}), 400, "$.Mode.Replicated.Replicas"),
        (spec(Mode={"Replicated": {"Replicas": "2"}}), 400, "$.Mode.Replicated.Replicas"),
        (spec(Mode={"Replicated": {"Replicas": 1}, "Global": {}}), 400, ""),
        (spec(EndpointSpec={"Ports": [port(1, 80), port(2, 80)]}), 400, "duplicate published"),
        (spec(EndpointSpec={"Ports": [port(0, 80)]}), 400, ""),
        (spec(EndpointSpec={"Ports": [port(70000, 80)]}), 400, "$.EndpointSpec.Ports"),
        (spec(EndpointSpec={"Ports": [port(1, 80, Protocol="icmp")]}), 400, "icmp"),
        (spec(EndpointSpec={"Mode": "dnsrr", "Ports": [port(1, 80)]}), 400, "dnsrr"),
        (spec(UpdateConfig={"MaxFailureRatio": 2}), 400, "MaxFailureRatio"),
        (spec(UpdateConfig={"Order": "both"}), 400, "both"),
        (spec(RollbackConfig={"FailureAction": "rollback"}), 400, "rollback is not possible"),
        (spec(Labels={"": "x"}), 400, "label"),
        (task(ContainerSpec=None), 400, "ContainerSpec"),
        (container(Image=""), 400, "image reference must be provided"),
        (container(Image="WEB:1"), 400, "must be lowercase"),
        (container(Image="a b"), 400, "invalid reference format"),
        (container(Env=["=x"]), 400, "invalid environment variable"),
        (container(Env=["A={{.Nope}}"]), 400, "expanding env failed"),
        (container(Hostname="{{.Task.Slot"), 400, "expanding hostname failed"),
        (container(Dir="relative"), 400, "absolute path"),
        (container(StopSignal="SIGNOPE"), 400, "invalid stop signal"),
        (container(Mounts=[{"Type": "bind", "Source": "a", "Target": "/x"}]), 400, "absolute path"),
        (container(Mounts=[{"Type": "bind", "Target": "/x"}]), 400, "must not be empty"),
        (container(Mounts=[{"Type": "sheaf", "Target": "/x"}]), 400, "sheaf"),
        (container(Mounts=[{"Target": "/x"}, {"Target": "/x"}]), 400, "duplicate mount point"),
        (container(Healthcheck={"Interval": 10}), 400, "cannot be less than 1ms"),
        (task(Resources={"Limits": {"MemoryBytes": 1 << 20}}), 400, "Must be at least 6MiB"),
        (task(Resources={"Limits": {"NanoCPUs": 1}}), 400, "Must be at least 0.001"),
        (task(Resources={"Limits": {"NanoCPUs": -1}}), 400, ""),
        (task(RestartPolicy={"Condition": "sometimes"}), 400, "sometimes"),
        (task(RestartPolicy={"Delay": -1}), 400, "Delay"),
        (task(Placement={"Constraints": ["node.role"]}), 400, "constraint"),
        (task(Networks=[{"Target": "nosuch"}]), 404, "network nosuch not found"),
        (task(Runtime="plugin"), 501, "plugin"),
        (task(LogDriver={"Name": "syslog"}), 501, "syslog"),
        (container(Privileges={"SELinuxContext": {"Type": "x"}}), 501, "SELinux"),
    ],
)  # fmt: skip
def test_a_spec_that_makes_no_sense_is_refused(
    host: DaemonHost, body: Any, status: int, words: str
) -> None:
    """One clear error, docker's status, nothing made."""
    answer = host.api("POST", "/services/create", body)
    assert (answer.status, words in answer.message) == (status, True), answer
    assert len(answer.message) < 400
    assert "Traceback" not in answer.message
    assert host.services() == []


def test_a_name_that_is_taken_is_refused(host: DaemonHost) -> None:
    create(host, "-p", "4000:5000")
    again = host.api("POST", "/services/create", MINIMAL)
    assert (again.status, again.message) == (
        409,
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: "
        "service web already exists",
    )
    taken = host.api("POST", "/services/create", spec(
        Name="other", EndpointSpec={"Ports": [port(80, 4000)]},
    ))  # fmt: skip
    assert taken.status == 400
    assert "port '4000' is already in use by service 'web'" in taken.message
    assert len(host.services()) == 1


def test_a_port_of_another_program_is_said_to_be_taken(host: DaemonHost) -> None:
    with socket.create_server(("127.0.0.1", 4007)):
        create(host, "-p", "mode=host,target=5000,published=4007", "--restart-delay", "60s")
        until(lambda: errors(host))
        (error,) = errors(host)
        assert "4007" in error
        assert "port is already allocated" in error or "address already in use" in error


def test_an_image_that_cannot_be_had_is_said_so(host: DaemonHost) -> None:
    create(host, "--restart-delay", "60s", image="nosuch:1")
    until(lambda: states(host)["rejected"] >= 1)
    assert all("nosuch" in error or "registry-1.docker.io" in error for error in errors(host))
    assert host.ok("ps", "-aq") == ""


def test_a_program_that_is_not_there_is_said_so(host: DaemonHost) -> None:
    host.ok("service", "create", "-d", "--name", "web", "--restart-delay", "60s", "web:1", "nosuch")
    until(lambda: errors(host))
    (error,) = errors(host)
    assert 'exec: "nosuch": executable file not found in $PATH' in error


def test_what_is_not_there_is_not_found(host: DaemonHost) -> None:
    create(host)
    host.until_running("web", 1)
    version = service(host)["Version"]["Index"]
    for method, path, body in (
        ("GET", "/services/nobody", None),
        ("DELETE", "/services/nobody", None),
        ("POST", "/services/nobody/update?version=1", MINIMAL),
        ("GET", "/tasks/nobody", None),
        ("GET", "/nodes/nobody", None),
        ("GET", "/services/nobody/logs?stdout=1", None),
    ):
        answer = host.api(method, path, body)
        assert (answer.status, answer.message) == (
            404, f"{path.split('/')[1].removesuffix('s')} nobody not found",
        )  # fmt: skip
    for query in ("", "?version=x", "?version=-1"):
        assert host.api("POST", f"/services/web/update{query}", MINIMAL).status == 400
    renamed = host.api("POST", f"/services/web/update?version={version}", spec(Name="other"))
    assert renamed.status == 501
    switched = host.api(
        "POST", f"/services/web/update?version={version}", spec(Mode={"Global": {}})
    )
    assert switched.status == 501
    assert host.api("GET", "/services?filters={").status == 400
    assert host.api("GET", '/services?filters={"color":["red"]}').status == 400
    assert host.api("GET", "/services/web/logs").status == 400
