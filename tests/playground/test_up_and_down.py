"""A playground comes up, is looked at, and goes without a trace, whatever happened to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from skep.cli.commands import playground
from skep.daemon.settings import instance_of
from skep.kit.errors import Internal
from skep.playground import cluster, machine, switch
from skep.playground.places import MachinePlace
from skep.testing.daemon import until
from skep.testing.playground import SLEEPER, PlaygroundHost


def traces(host: PlaygroundHost) -> list[str]:
    """What a playground is made of, as far as it is there."""
    places = host.places
    found = [str(path) for path in (places.data, places.exec, places.lock) if path.exists()]
    mark = f"/skep-playground/{host.name}"
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [f"mount {line.split()[4]}" for line in mounts if mark in line]
    found += [f"process {pid}" for pid in machine.processes_in(switch.namespaces(places))]
    found += [f"process {path.parent.name}" for path in _commands_with(mark)]
    for number in range(1, host.count + 1):
        place = places.machine(number)
        instance = instance_of(place.data_root, place.exec_root)
        found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"*/skep-{instance}")]
        found += [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"skep-{instance}")]
    return found


def _commands_with(mark: str) -> Iterator[Path]:
    """Command lines that name the playground's folders: runtimes, monitors."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                yield path
        except OSError:
            continue


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PlaygroundHost]:
    """One that is not up. After its `down` nothing of it may be there."""
    host = PlaygroundHost(tmp_path)
    try:
        yield host
    finally:
        host.down()
    assert traces(host) == []


def test_three_nodes_are_up_joined_and_shown(host: PlaygroundHost) -> None:
    said = host.up(3)
    assert re.match(r"3 nodes are up and joined in \d+\.\d s\n", said)
    rows = [re.split(" {2,}", line) for line in said.splitlines()[1:]]
    assert rows == [
        ["NAME", "ADDRESS", "ROLE", "STATE", "DOCKER HOST"],
        *(
            [f"n{n}", f"10.213.0.{n}", role, "active", f"DOCKER_HOST={host.place(f'n{n}').host}"]
            for n, role in ((1, "manager"), (2, "worker"), (3, "worker"))
        ),
    ]
    assert host.said("status") == "".join(said.splitlines(keepends=True)[1:])
    states = {node["Status"]["State"] for node in host.get("/nodes")}
    assert states == {"ready"}
    assert sorted(host.node_names().values()) == ["n1", "n2", "n3"]


def test_what_is_up_is_not_made_twice_and_what_is_down_not_missed(host: PlaygroundHost) -> None:
    host.up(1)
    again = host.command("up")
    assert again.code == 1
    assert f"playground {host.name} is up already" in again.err
    assert host.node_state("n1") == "ready", "and it is as it was"
    host.down()
    assert traces(host) == []
    host.down()
    missed = host.command("status")
    assert (missed.code, missed.out) == (1, "")
    assert f"playground {host.name} is not up" in missed.err


def test_a_crash_of_everything_leaves_what_the_next_down_removes(host: PlaygroundHost) -> None:
    host.up(2)
    host.load_server()
    host.create("web", "--replicas", "4", *SLEEPER)
    host.until_running("web", 4)
    machine.power_off(machine.processes_in(switch.namespaces(host.places)))
    rows = host.said("status", "--format", "{{.Name}} {{.State}}")
    assert rows == "n1 off\nn2 off\n"


def test_an_interrupted_up_leaves_nothing(host: PlaygroundHost) -> None:
    begun = _begin_up(host, 8)
    begun.send_signal(signal.SIGINT)
    assert begun.wait(30) != 0
    assert traces(host) == []


def test_a_killed_up_is_swept_away_by_the_next(host: PlaygroundHost) -> None:
    begun = _begin_up(host, 8)
    begun.kill()
    begun.wait(30)
    assert machine.processes_in(switch.namespaces(host.places))
    assert host.command("status").code == 1
    host.up(1)
    until(lambda: len(list(host.places.data.glob("n*"))) == 1)


def _begin_up(host: PlaygroundHost, count: int) -> subprocess.Popen[bytes]:
    """An `up` that has made some of its nodes. A shell's background job, which we may be, ignores
    SIGINT, and so would this."""
    host.count = count
    argv = [sys.executable, "-m", "skep", "playground", "up", "--name", host.name]
    begun = subprocess.Popen(
        ["env", "--default-signal=INT", *argv, "--nodes", str(count)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until(lambda: len(machine.processes_in(switch.namespaces(host.places))) >= 4)
    return begun


def test_what_cannot_be_made_is_refused_at_once(host: PlaygroundHost) -> None:
    assert "--managers must be 1" in host.command("up", "--managers", "3").err
    assert "--nodes must be 1 to 200" in host.command("up", "--nodes", "500").err
    misnamed = PlaygroundHost(host.folder)
    misnamed.name = "../etc"
    assert "invalid playground name" in misnamed.command("up").err


def test_an_up_whose_daemons_do_not_come_up_says_their_last_words_and_leaves_nothing(
    host: PlaygroundHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(place: MachinePlace) -> int:
        os.write(2, f"{place.name} is out of paper\n".encode())
        return 1

    def dial(host: str) -> NoReturn:
        raise ConnectionRefusedError(host)

    monkeypatch.setattr(cluster, "_READY_S", 3.0)
    host.count = 2
    with pytest.raises(Internal, match=r"does not answer .* n1 is out of paper"):
        cluster.Playground(host.places, dial, run, print).up(2, 1)
    assert traces(host) == []


def test_two_playgrounds_stand_side_by_side_also_with_the_longest_names(
    host: PlaygroundHost, tmp_path: Path
) -> None:
    other = PlaygroundHost(tmp_path, f"long-{os.urandom(5).hex()}x")
    assert len(other.name) == 16
    host.up(1)
    try:
        other.up(1)
        other.load_server()
        other.create("web", "--replicas", "1", *SLEEPER)
        other.until_running("web", 1)
        container = next(iter(other.get("/containers/json")))["Id"]
        assert other.ok("exec", container, "echo", "hello") == "hello"
        assert host.get("/services") == []
    finally:
        other.down()
    assert traces(other) == []
    assert host.node_state("n1") == "ready"


def test_commands_run_inside_a_node(host: PlaygroundHost) -> None:
    host.up(2)
    assert host.said("exec", "n2", "--", "hostname") == "n2\n"
    assert host.said("exec", "n2", "sh", "-c", "echo $DOCKER_HOST") == f"{host.place('n2').host}\n"
    pid_1 = host.said("exec", "n2", "cat", "/proc/1/comm")
    assert pid_1 == "init n2\n"
    assert host.command("exec", "n2", "sh", "-c", "exit 7").code == 7
    assert "there is no node" in host.command("exec", "n9", "true").err
    assert "say what to run" in host.command("exec", "n2", "--").err


def test_a_killed_node_starts_again_with_its_own_settings_and_holds_nobody_up(
    host: PlaygroundHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.up(2)
    host.kill("n2")
    assert "n2 is switched off" in host.command("exec", "n2", "true").err
    assert host.said("status", "--format", "{{.State}}") == "active\noff\n"
    host.place("n2").settings.write_text('{"labels": ["rack=r1"]}')
    host.start("n2")
    assert host.get("/info", "n2")["Labels"] == ["rack=r1"]
    host.until_state("n2", "ready")

    monkeypatch.setattr(playground, "_PATIENCE_S", 0.5)
    os.kill(host.daemon_pid("n2"), signal.SIGSTOP)
    shown = cluster.Playground(host.places, playground._dial, lambda _: 0, print).status()
    assert [node.state for node in shown] == ["active", "no answer: nothing was heard for 0.5 s"]


def test_twenty_nodes_come_and_go(host: PlaygroundHost) -> None:
    """With containers and a published port, of which nothing is left either."""
    began = time.monotonic()
    host.up(20)
    up_s = time.monotonic() - began
    assert {node["Status"]["State"] for node in host.get("/nodes")} == {"ready"}
    host.load_server("n1", "n2")
    workers = ("--constraint", "node.hostname in (n1, n2)")
    host.create("web", "--replicas", "4", "--publish", "8080:5000", *workers, *SLEEPER)
    host.until_running("web", 4)
    assert len(list(_commands_with(f"/skep-playground/{host.name}"))) >= 4
    pss = [_pss_mib(host.daemon_pid(name)) for name in host.names]
    began = time.monotonic()
    host.down()
    print(f"20 nodes: up {up_s:.1f} s, down {time.monotonic() - began:.1f} s, PSS {max(pss)} MiB")
    assert traces(host) == []
    assert max(pss) <= 60


def _pss_mib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) // 1024
