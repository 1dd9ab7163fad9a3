"""The machine loses its power: no process, no mount, no link and nothing of the exec root stays."""

from __future__ import annotations

import pytest

from skep.testing.daemon import DaemonHost, until


def reboot(host: DaemonHost) -> None:
    host.power_off()
    host.power_on()
    host.start()


def test_everything_that_should_run_runs_again(host: DaemonHost) -> None:
    """Services, and what people run with a policy; other containers ended for unknown reasons."""
    host.ok("network", "create", "team")
    for name, *words in (
        ("always", "--restart", "always", "-p", "8080:5000", "-v", "honey:/data"),
        ("unless", "--restart", "unless-stopped", "--network", "team"),
        ("stopped", "--restart", "unless-stopped"),
        ("plain",),
        ("gone", "--rm"),
    ):
        host.ok("run", "-d", "--name", name, *words, "web:1")
    host.ok("exec", "always", "touch", "/data/kept", "/written")
    host.ok("stop", "-t", "0", "stopped")
    host.ok(
        "service", "create", "-d", "--name", "web", "-p", "4000:5000", "--replicas", "3", "web:1"
    )
    host.until_running("web", 3)
    before = {task["ID"] for task in host.running("web")}

    reboot(host)
    host.until_running("web", 3)
    host.until_served(4000, 3)
    assert before.isdisjoint(task["ID"] for task in host.running("web"))
    names = ("always", "unless", "stopped", "plain")
    wanted = ["running", "running", "exited", "exited"]
    until(lambda: host.ok("inspect", "-f", "{{.State.Status}}", *names).split() == wanted)
    assert host.docker("inspect", "gone").code == 1
    host.until_served(8080, 1)
    assert host.ok("exec", "always", "ls", "/data/kept", "/written").split() == [
        "/data/kept", "/written",
    ]  # fmt: skip
    assert host.ok("exec", "always", "wget", "-qO-", "127.0.0.1:5000/cgi-bin/who") != ""
    assert "serving one" in host.ok("logs", "plain")


def test_settings_outlive_it(host: DaemonHost) -> None:
    node_id = host.ok("node", "ls", "-q")
    token = host.ok("swarm", "join-token", "-q", "worker")
    host.ok("node", "update", "--label-add", "disk=ssd", node_id)
    host.ok("network", "create", "-d", "overlay", "--subnet", "10.55.0.0/24", "back")
    host.ok(
        "service", "create", "-d", "--name", "web", "--network", "back", "--replicas", "0", "web:1"
    )
    reboot(host)
    assert host.ok("node", "ls", "--format", "{{.ID}} {{.Status}} {{.ManagerStatus}}") == (
        f"{node_id} Ready Leader"
    )
    assert host.ok("node", "inspect", "-f", "{{.Spec.Labels.disk}}", "self") == "ssd"
    assert host.ok("swarm", "join-token", "-q", "worker") == token
    assert "10.55.0.0/24" in host.ok("network", "inspect", "back")
    host.ok("service", "scale", "-d", "web=2")
    host.until_running("web", 2)


@pytest.mark.parametrize("turn", range(2))
def test_power_is_lost_in_the_middle_of_a_scale(host: DaemonHost, turn: int) -> None:
    host.ok(
        "service",
        "create",
        "-d",
        "--name",
        "web",
        "--replicas",
        "10",
        "--restart-delay",
        "0s",
        "web:1",
    )
    until(lambda: len(host.running("web")) > 3 * turn)
    reboot(host)
    host.until_running("web", 10)
