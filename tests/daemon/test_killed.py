"""kill -9 of the daemon at any moment: what was answered holds, what was not leaves no trace.

Moments are random; `SKEP_TEST_SEED` repeats a run (each failing test prints its seed).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skep.testing.daemon import DaemonHost, until
from skep.testing.images import make_image
from skep.testing.registry import serve_registry

SEED = int(os.environ.get("SKEP_TEST_SEED") or random.randrange(1_000_000))
QUICK_STOP = ("--stop-grace-period", "1s")
BIG = {f"big/{number}": random.Random(number).randbytes(2_000_000) for number in range(8)}


def moment(name: str, turn: int, longest_s: float) -> float:
    """How long to wait before the kill. Printed, so a failing test shows it."""
    chosen = random.Random(f"{SEED} {name} {turn}").uniform(0, longest_s)
    print(f"SKEP_TEST_SEED={SEED}: killed after {chosen:.3f} s")
    return chosen


def kill_after(host: DaemonHost, seconds: float) -> None:
    """The one sleep that means it: an arbitrary moment, not the end of something."""
    time.sleep(seconds)
    host.kill()


def killed_meanwhile(host: DaemonHost, seconds: float, *words: str) -> subprocess.Popen[str]:
    """Kill the daemon while a client waits for its answer; the client, which has ended."""
    client = host.begin(*words)
    kill_after(host, seconds)
    client.communicate(timeout=20)
    return client


def replicas(host: DaemonHost) -> int:
    """How many containers run, whosever they are."""
    return len(host.api("GET", "/containers/json").body)


def create(host: DaemonHost, replicas: int, *words: str) -> None:
    host.ok(
        "service", "create", "-d", "--name", "web", "--replicas", str(replicas),
        "--restart-delay", "0s", *QUICK_STOP, *words, "web:1",
    )  # fmt: skip
    host.until_running("web", replicas)


# -- services ---------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(20))
def test_killed_while_it_scales_up(host: DaemonHost, turn: int) -> None:
    """Few at the most moments: it is the moment that counts."""
    wanted = 40 if turn % 5 == 0 else 10
    create(host, 1, "-p", "4000:5000")
    host.ok("service", "scale", "-d", f"web={wanted}")
    kill_after(host, moment("up", turn, 0.03 * wanted))
    host.start()
    host.until_running("web", wanted)
    assert replicas(host) == wanted
    if turn % 5 == 0:
        host.until_served(4000, wanted)
    host.ok("service", "rm", "web")
    host.until_clean()


@pytest.mark.parametrize("turn", range(2))
def test_killed_while_it_scales_down(host: DaemonHost, turn: int) -> None:
    create(host, 40)
    host.ok("service", "scale", "-d", "web=0")
    kill_after(host, moment("down", turn, 0.8))
    host.start()
    host.until_clean()
    assert host.ok("service", "ls", "--format", "{{.Replicas}}") == "0/0"


@pytest.mark.parametrize("turn", range(2))
def test_killed_in_the_middle_of_a_rolling_update(host: DaemonHost, turn: int) -> None:
    create(host, 12, "--update-parallelism", "3", "--update-monitor", "100ms")
    host.ok("service", "update", "-d", "--image", "web:2", "web")
    kill_after(host, moment("update", turn, 2.0))
    host.start()
    until(lambda: _update_state(host) == "completed", on_timeout=host.log_tail)
    host.until_running("web", 12)
    images = {task["Spec"]["ContainerSpec"]["Image"] for task in host.running("web")}
    assert images == {"web:2"}
    until(lambda: replicas(host) == 12)


def _update_state(host: DaemonHost) -> str:
    return str(host.api("GET", "/services/web").body["UpdateStatus"]["State"])


@pytest.mark.parametrize("turn", range(2))
def test_killed_while_a_service_is_removed(host: DaemonHost, turn: int) -> None:
    create(host, 20)
    host.ok("service", "rm", "web")
    kill_after(host, moment("rm", turn, 0.5))
    host.start()
    host.until_clean()
    assert host.api("GET", "/services").body == []


# -- images -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive that takes a while to load."""
    path = tmp_path_factory.mktemp("big") / "big.tar"
    make_image(path, "big:1", files=BIG, cmd=("sh", "-c", "cat /big/* | wc -c"))
    return path


@pytest.mark.parametrize("turn", range(2))
def test_killed_in_the_middle_of_docker_load(host: DaemonHost, big: Path, turn: int) -> None:
    client = killed_meanwhile(host, moment("load", turn, 0.6), "load", "-i", str(big))
    host.start()
    assert host.leftovers() == []
    loaded = host.docker("run", "--rm", "big:1")
    assert loaded.out == "16000000\n" if client.returncode == 0 else loaded.code in (0, 125)
    assert host.ok("load", "-i", str(big)) == "Loaded image: big:1"
    assert host.ok("run", "--rm", "big:1") == "16000000"
    host.ok("rmi", "big:1")
    assert host.leftovers() == []


@pytest.mark.parametrize("turn", range(2))
def test_killed_in_the_middle_of_a_pull(
    host: DaemonHost, big: Path, tmp_path: Path, turn: int
) -> None:
    with serve_registry(tmp_path) as registry:
        registry.push(big, "big:1")
        name = f"{registry.address}/big:1"
        killed_meanwhile(host, moment("pull", turn, 0.8), "pull", name)
        host.start()
        assert host.leftovers() == []
        assert host.ok("pull", name).splitlines()[-1] == name
        assert host.ok("run", "--rm", name) == "16000000"
        host.ok("rmi", name)
        assert host.leftovers() == []


# -- membership -------------------------------------------------------------------------------


@pytest.fixture
def alone(host: DaemonHost) -> Iterator[DaemonHost]:
    """A daemon in no cluster; it is in one again afterwards."""
    host.ok("swarm", "leave", "-f")
    yield host
    host.docker("swarm", "init")


def state_of(host: DaemonHost) -> str:
    return host.ok("info", "--format", "{{.Swarm.LocalNodeState}}")


@pytest.mark.parametrize("turn", range(3))
def test_killed_in_the_middle_of_swarm_init(alone: DaemonHost, turn: int) -> None:
    client = killed_meanwhile(alone, moment("init", turn, 0.25), "swarm", "init")
    alone.start()
    if state_of(alone) == "inactive":
        assert client.returncode != 0
        alone.ok("swarm", "init")
    create(alone, 2)
    assert alone.docker("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}").out == (
        "Ready Leader\n"
    )


@pytest.mark.parametrize("turn", range(3))
def test_killed_in_the_middle_of_swarm_leave(host: DaemonHost, turn: int) -> None:
    create(host, 5, "-p", "4000:5000")
    client = killed_meanwhile(host, moment("leave", turn, 0.5), "swarm", "leave", "-f")
    host.start()
    if state_of(host) == "active":
        assert client.returncode != 0
        host.until_running("web", 5)
        host.ok("swarm", "leave", "-f")
    host.until_clean()
    assert state_of(host) == "inactive"
    host.ok("swarm", "init")
    assert host.api("GET", "/services").body == []


# -- containers that outlive the daemon --------------------------------------------------------

COUNT = "n=0; while [ ! -e /data/end ]; do n=$((n+1)); echo $n; sleep 0.02; done; exit 9"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_containers_run_on_without_a_daemon(host: DaemonHost, tmp_path: Path, end: str) -> None:
    """Their process, log and exit code are the same for the next one."""
    tmp_path.chmod(0o755)
    id_ = host.ok(
        "run", "-d", "--name", "box", "-v", f"{tmp_path}:/data", "web:1", "sh", "-c", COUNT
    )
    pid = host.ok("inspect", "-f", "{{.State.Pid}}", "box")
    getattr(host, end)()
    log = host.data_root / "containers" / id_ / "container.log"
    size = log.stat().st_size
    until(lambda: log.stat().st_size > size)
    host.start()
    assert host.ok("inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "box") == f"{pid} running"
    following = host.begin("logs", "-f", "box")
    (tmp_path / "end").touch()
    lines = following.communicate(timeout=20)[0].split()
    assert lines == [str(number) for number in range(1, len(lines) + 1)]
    assert host.ok("wait", "box") == "9"


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_services_answer_on_without_a_daemon(host: DaemonHost, end: str) -> None:
    create(host, 3, "-p", "4000:5000")
    host.until_served(4000, 3)
    before = {host.who(4000) for _ in range(3)}
    getattr(host, end)()
    assert {host.who(4000) for _ in range(3)} == before
    host.start()
    host.until_running("web", 3)
    assert {host.who(4000) for _ in range(3)} == before


def test_what_ends_while_the_daemon_is_away_has_its_exit_code(host: DaemonHost) -> None:
    create(host, 2)
    host.until_running("web", 2)
    host.ok("run", "-d", "--name", "seven", "web:1", "sh", "-c", "sleep 0.3; exit 7")
    host.ok("run", "-d", "--name", "again", "--restart", "always", "web:1", "sh", "-c", "sleep 0.3")
    host.ok("run", "-d", "--rm", "web:1", "sh", "-c", "sleep 0.3")
    host.kill()
    for pid in _init_pids(host, "serve"):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not host.processes())
    host.start()
    assert host.ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "seven") == "exited 7"
    until(lambda: int(host.ok("inspect", "-f", "{{.RestartCount}}", "again")) > 0)
    host.until_running("web", 2)
    errors = {task["Status"].get("Err", "") for task in host.tasks("web")}
    assert errors == {"", "task: non-zero exit (137)"}
    names = host.ok(
        "ps", "-a", "--filter", "label!=com.docker.swarm.task", "--format", "{{.Names}}"
    )
    assert set(names.split()) >= {"seven", "again"}


def _init_pids(host: DaemonHost, program: str) -> list[int]:
    """Containers' first processes that run a program of that name (a fork of one runs it too)."""
    return [
        pid
        for pid in _recorded(host, "pidfile")
        if _read(f"/proc/{pid}/cmdline").split(b"\0")[1:2] == [f"/{program}".encode()]
    ]


def _conmons(host: DaemonHost) -> list[int]:
    return [pid for pid in _recorded(host, "conmon.pid") if _read(f"/proc/{pid}/comm")]


def _recorded(host: DaemonHost, name: str) -> list[int]:
    """What the containers' files of that name say: names of processes are their forks' too."""
    return [int(_read(path) or 0) for path in (host.exec_root / "bundles").glob(f"*/{name}")]


def _read(path: Path | str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.parametrize("away", [False, True])
def test_a_task_whose_conmon_is_killed_is_replaced(host: DaemonHost, away: bool) -> None:
    """Nobody could tell its exit code or keep its log any more."""
    create(host, 2)
    if away:
        host.kill()
    victim = _conmons(host)[0]
    os.kill(victim, signal.SIGKILL)
    if away:
        host.start()
    until(lambda: len(host.tasks("web")) == 3)
    host.until_running("web", 2)
    until(lambda: len(_conmons(host)) == 2)
    until(lambda: len(_init_pids(host, "serve")) == 2)


def test_a_daemon_that_is_told_to_stop_while_clients_wait_lets_them_go(host: DaemonHost) -> None:
    host.ok("run", "-d", "--name", "box", "web:1")
    clients = [
        host.begin(*words) for words in (("wait", "box"), ("logs", "-f", "box"), ("events",))
    ]
    until(lambda: all(client.poll() is None for client in clients))
    stopping = threading.Thread(target=host.stop)
    stopping.start()
    for client in clients:
        client.communicate(timeout=20)
    stopping.join()
    host.start()
    assert host.ok("inspect", "-f", "{{.State.Status}}", "box") == "running"


def test_a_second_daemon_over_the_same_folders_is_refused(host: DaemonHost) -> None:
    second = DaemonHost(host.folder, host.exec_root)
    second.log_path = host.folder / "second.log"
    second.spawn()
    assert second.process is not None
    assert second.process.wait(20) == 1
    assert "another skep daemon works in" in second.log_tail()
    assert host.answers()
