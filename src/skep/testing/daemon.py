"""A real `skep daemon` on a host of its own: a process, a network namespace, folders, a socket.

For tests that see skep as its users do: through docker's client, the Engine API and published
ports. The host has no way outward; its neighbour, wired to it, is the one that calls from afar.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from skep.daemon.settings import instance_of
from skep.kit.linux import mounts_below, unmount
from skep.network import netns
from skep.testing.images import make_image
from skep.testing.netlab import two_machines
from skep.testing.soundness import GrowingLog, faults

PATIENCE_S = 30.0
"""How long anything may take on a busy machine before a test gives up."""
_POLL_S = 0.02
_START_S = 20.0
_STOP_S = 20.0

SERVER = {
    "serve": b"""#!/bin/sh
finish() {
    kill $server
    while busybox pidof httpd >/dev/null; do sleep 0.01; done
    echo bye
    exit 0
}
trap finish TERM
echo serving "$VERSION"
httpd -f -p "${PORT:-5000}" -h /www &
server=$!
wait
""",
    "www/cgi-bin/who": b"""#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$(hostname) $REMOTE_ADDR $VERSION"
""",
}
"""The files of a web server that says who it is, who asks it and its version. On SIGTERM it answers
what it was asked and ends."""


class Printed(NamedTuple):
    """What a run of docker's client printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[list[str]]:
        """The cells of a printed table, its headings first."""
        return [re.split(r" {2,}", line.strip()) for line in self.out.splitlines()]


class Answer(NamedTuple):
    """What the Engine API answered."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        return str(self.body["message"])


class Caller(NamedTuple):
    """What a replica of `SERVER` says of itself and of who asked it."""

    hostname: str
    address: str
    version: str


class DaemonHost:
    """One daemon process after another on the same folders, in the same namespace."""

    def __init__(self, folder: Path, exec_root: Path) -> None:
        self.folder = folder
        self.data_root = folder / "data"
        self.exec_root = exec_root
        self.socket = folder / "skep.sock"
        self.log_path = folder / "daemon.log"
        self.flags: tuple[str, ...] = ()
        self.expected_in_log: list[str] = []
        """Words of records that a test provokes on purpose: see `testing.soundness`."""
        self.log = GrowingLog(self.log_path)
        self.process: subprocess.Popen[bytes] | None = None
        self.host_ns = -1
        self.neighbour_ns = -1
        self._machine = ExitStack()
        self.instance = instance_of(self.data_root, exec_root)

    # -- the machine ----------------------------------------------------------------------------

    def power_on(self) -> None:
        """A fresh network namespace, wired to a neighbour; the calling thread is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        machine = two_machines(self.folder)
        self.host_ns, self.neighbour_ns = self._machine.enter_context(machine)

    def power_off(self) -> None:
        """Everything that does not survive the power button is gone: processes, mounts, links,
        rules, cgroups, and the files of the exec root."""
        if self.process is not None:
            self.kill()
        self._end_processes()
        for folder in (self.exec_root, self.data_root):
            for path in mounts_below(folder):
                unmount(path)
        for group in self._cgroups():
            group.rmdir()
        shutil.rmtree(self.exec_root)
        self.exec_root.mkdir()
        self._machine.close()

    def _end_processes(self) -> None:
        """Kill until nobody is left: a conmon may still write a last word."""

        def nobody_is_left() -> bool:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.processes()

        until(nobody_is_left)

    # -- the daemon -----------------------------------------------------------------------------

    def start(self) -> float:
        """Start a daemon; the seconds until it answers."""
        began = time.monotonic()
        self.spawn()
        until(self.answers, _START_S)
        return time.monotonic() - began

    def spawn(self) -> None:
        """The same without waiting."""
        command = [
            sys.executable, "-m", "skep", "daemon", "-H", f"unix://{self.socket}",
            "--data-root", str(self.data_root), "--exec-root", str(self.exec_root),
            "--pidfile", str(self.folder / "pid"), *self.flags,
        ]  # fmt: skip
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def answers(self) -> bool:
        try:
            return self.api("GET", "/_ping").status == 200
        except OSError:
            return False

    def stop(self) -> float:
        """SIGTERM; the seconds until the process ended. Containers run on."""
        began = time.monotonic()
        process = self._running()
        process.terminate()
        code = process.wait(_STOP_S)
        self.process = None
        assert code == 0, f"the daemon ended with {code}:\n{self.log_tail()}"
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9, at this moment."""
        process = self._running()
        process.kill()
        process.wait(_STOP_S)
        self.process = None

    def _check_alive(self) -> None:
        """A daemon that nobody stopped must not have ended."""
        if self.process is not None and (code := self.process.poll()) is not None:
            raise AssertionError(f"the daemon ended with {code}:\n{self.log_tail()}")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "no daemon was started"
        return self.process

    def log_tail(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-40:])

    # -- its users ------------------------------------------------------------------------------

    def docker(self, *words: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Printed:
        """Docker's unmodified client, speaking to the daemon."""
        done = subprocess.run(
            ["docker", *words], input=stdin, capture_output=True, env=self.environment(),
            timeout=timeout_s, check=False,
        )  # fmt: skip
        return Printed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, **options: Any) -> str:
        """The same, which must succeed; what it printed, without the last newline."""
        done = self.docker(*words, **options)
        assert done.code == 0, f"docker {' '.join(words)}: {done.err}{done.out}"
        return done.out.removesuffix("\n")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A client that runs beside the test; its output is one stream."""
        return subprocess.Popen(
            ["docker", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=self.environment(),
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    def api(self, method: str, path: str, body: Any = None) -> Answer:
        """One call of the Engine API; raises OSError when nobody listens yet."""
        connection = _UnixConnection(self.socket)
        try:
            text = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._check_alive()
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()
        is_json = (response.getheader("Content-Type") or "").startswith("application/json")
        return Answer(response.status, json.loads(content) if is_json and content else content)

    def who(self, port: int, address: str = "127.0.0.1") -> Caller:
        """Which replica of SERVER answers at a published port; raises OSError."""
        hostname, peer, version = self.get(port, "/cgi-bin/who", address).split()
        return Caller(hostname, peer.strip("[]").removeprefix("::ffff:"), version)

    def until_served(self, port: int, replicas: int) -> None:
        """So many replicas answer, and none refuses: a program that runs need not listen yet."""

        def all_answer() -> bool:
            try:
                return len({self.who(port).hostname for _ in range(replicas)}) == replicas
            except OSError:
                return False

        until(all_answer, on_timeout=self.log_tail)

    def get(self, port: int, path: str = "/", address: str = "127.0.0.1") -> str:
        """HTTP GET from the namespace that the thread is in."""
        connection = http.client.HTTPConnection(address, port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()

    @contextlib.contextmanager
    def at_neighbour(self) -> Iterator[None]:
        with netns.inside(self.neighbour_ns):
            yield

    def tasks(self, service: str, **filters: str) -> list[dict[str, Any]]:
        """A service's tasks as the API has them, slot by slot, newest first."""
        wanted = {"service": [service]} | {key: [value] for key, value in filters.items()}
        tasks = self.api("GET", f"/tasks?filters={json.dumps(wanted)}".replace(" ", "")).body
        return sorted(
            sorted(tasks, key=lambda task: str(task["CreatedAt"]), reverse=True),
            key=lambda task: int(task.get("Slot", 0)),
        )

    def running(self, service: str) -> list[dict[str, Any]]:
        """The tasks that should run and do."""
        tasks = self.tasks(service, **{"desired-state": "running"})
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def until_running(self, service: str, count: int, timeout_s: float = PATIENCE_S) -> None:
        """Exactly so many run, and none is on its way."""
        until(
            lambda: (
                len(self.running(service))
                == count
                == len(self.tasks(service, **{"desired-state": "running"}))
            ),
            timeout_s,
            lambda: f"{self.docker('service', 'ps', service, '--no-trunc').out}{self.log_tail()}",
        )

    def load_image(self, name: str, **words: Any) -> str:
        """An image of busybox (words as in `testing.images.make_image`), loaded; its id."""
        archive = self.folder / f"{secrets.token_hex(4)}.tar"
        image_id = make_image(archive, name, **words)
        self.ok("load", "-q", "-i", str(archive))
        archive.unlink()
        return image_id

    def load_server(self, name: str, version: str) -> str:
        """`SERVER` as an image."""
        return self.load_image(name, files=SERVER, cmd=("/serve",), env={"VERSION": version})

    # -- what is left ---------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Processes of containers and their conmons; the daemon itself is not one of them."""
        own = self.process.pid if self.process is not None else 0
        return [pid for pid in _all_pids() if pid != own and self._is_ours(pid)]

    def _is_ours(self, pid: int) -> bool:
        marks = (f"{self.exec_root}/".encode(), f"/skep-{self.instance}/".encode())
        for name, mark in zip(("cmdline", "cgroup"), marks, strict=True):
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{pid}/{name}").read_bytes():
                    return True
        return False

    def _cgroups(self) -> list[Path]:
        """Ours, each after those below it."""
        roots = (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/"))
        return [
            Path(path)
            for root in roots
            for path, _, _ in os.walk(root / f"skep-{self.instance}", topdown=False)
        ]

    def leftovers(self) -> list[str]:
        """What is on the host of containers, published ports and half-made things.

        Empty when there is no container. The daemon may still be clearing away what it answered
        for: see `until_clean`.
        """
        found = [f"process {pid}: {_command(pid)}" for pid in self.processes()]
        found += [f"mount {path}" for path in mounts_below(self.data_root)]
        directory = self.exec_root / "netns"
        found += [f"mount {path}" for path in mounts_below(self.exec_root) if path != directory]
        for folder in ("bundles", "runc", "containers", "netns"):
            found += [f"file {path}" for path in (self.exec_root / folder).glob("*")]
        for folder in ("containers", "trash", "images/tmp"):
            found += [f"file {path}" for path in (self.data_root / folder).glob("*")]
        parent = f"skep-{self.instance}"
        found += [f"cgroup {path}" for path in self._cgroups() if path.name != parent]
        with netns.inside(self.host_ns):
            found += [f"link {name}" for name in _links()]
            rules = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True)
        return found + [f"rule {line}" for line in _port_rules(rules.stdout.decode())]

    def until_clean(self) -> None:
        """Nothing is left of any container, at the latest when patience ends."""
        until(lambda: not self.leftovers(), on_timeout=lambda: "\n".join(self.leftovers()))

    def clear(self) -> None:
        """Remove all services, containers, volumes, and networks that people made."""
        for service in self.services():
            self.api("DELETE", f"/services/{service['ID']}")
        for container in self.api("GET", "/containers/json?all=1").body:
            if "com.docker.swarm.task" not in container["Labels"]:
                self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        until(lambda: not self.api("GET", "/containers/json?all=1").body)
        for network in self.api("GET", '/networks?filters={"type":["custom"]}').body:
            if not network["Ingress"]:
                self.api("DELETE", f"/networks/{network['Id']}")
        for volume in self.api("GET", "/volumes").body["Volumes"]:
            self.api("DELETE", f"/volumes/{volume['Name']}")
        self.until_clean()

    def services(self) -> list[dict[str, Any]]:
        """Those of the cluster; none when there is no cluster."""
        answer = self.api("GET", "/services")
        return list(answer.body) if answer.status == 200 else []


def _links() -> list[str]:
    """Our links where the thread is, but for one bridge: docker's default one is always there."""
    names = sorted(name for _, name in socket.if_nameindex())
    bridges = [name for name in names if name.startswith("sb")]
    return [name for name in names if name.startswith("sv")] + bridges[1:]


def _port_rules(ruleset: str) -> list[str]:
    """Lines that translate somebody's published port."""
    marks = ("dnat to ", "dnat ip to ", "dnat ip6 to ", "goto ")
    return [line.strip() for line in ruleset.splitlines() if any(mark in line for mark in marks)]


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
    except OSError:
        return "(ended)"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def until(
    condition: Callable[[], object],
    timeout_s: float = PATIENCE_S,
    on_timeout: Callable[[], str] = lambda: "",
) -> None:
    """Wait until it holds; an AssertionError with `on_timeout` when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout_s:g} s\n{on_timeout()}")
        time.sleep(_POLL_S)


@contextlib.contextmanager
def daemon_host(folder: Path, *flags: str) -> Iterator[DaemonHost]:
    """A host whose daemon answers; of all of it, and of what it ran, nothing is left afterwards.

    flags   more words for `skep daemon`.
    """
    exec_root = Path(tempfile.mkdtemp(prefix="skep-", dir="/dev/shm"))
    host = DaemonHost(folder, exec_root)
    host.flags = flags
    host.power_on()
    try:
        host.start()
        yield host
        assert not (found := faults(host)), "\n".join(found)
    finally:
        host.power_off()
        shutil.rmtree(exec_root)
