"""A playground for tests: real nodes, as their users see them and as the kernel does."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from skep.cli.client.address import parse_address
from skep.cli.client.client import Client
from skep.cli.errors import Unreachable
from skep.network import netns
from skep.playground import machine
from skep.playground.places import MachinePlace, places
from skep.testing.daemon import PATIENCE_S, SERVER, Printed, until
from skep.testing.images import make_image
from skep.testing.soundness import GrowingLog, loud_records

Task = dict[str, Any]
TASK_ID = "com.docker.swarm.task.id"
WEB = "web:1"
"""The image `testing.daemon.SERVER`: it says its hostname on port 5000."""

SLEEPER = ("--stop-signal", "KILL", "--no-resolve-image", WEB, "sleep", "600")
"""The end of a `service create` whose tasks cost next to nothing and stop at once."""

_COMMAND_S = 90.0


class PlaygroundHost:
    """One playground by its command line. `up` first; `down` whatever happened."""

    def __init__(self, folder: Path, name: str = "") -> None:
        self.name = name or f"t{secrets.token_hex(4)}"
        self.folder = folder
        self.places = places(self.name)
        self.count = 0
        self.expected_in_log: list[str] = []
        """Words of records that a test provokes on purpose: see `testing.soundness`."""
        self._logs: dict[str, GrowingLog] = {}

    # -- its command line ----------------------------------------------------------------------

    def command(self, verb: str, *words: str) -> Printed:
        """`skep playground VERB --name … WORDS`."""
        argv = [sys.executable, "-m", "skep", "playground", verb, "--name", self.name, *words]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_S,
            check=False,
        )  # fmt: skip
        return Printed(done.returncode, done.stdout, done.stderr)

    def said(self, verb: str, *words: str) -> str:
        """The same, which must succeed; what it printed."""
        done = self.command(verb, *words)
        assert done.code == 0, f"playground {verb} {' '.join(words)}: {done.err}{done.out}"
        return done.out

    def up(self, count: int = 3) -> str:
        self.count = count
        return self.said("up", "--nodes", str(count))

    def down(self) -> None:
        self.said("down")

    def kill(self, *names: str) -> None:
        self.said("kill", *names)

    def start(self, *names: str) -> None:
        self.said("start", *names)

    def partition(self, *names: str) -> None:
        self.said("partition", *names)

    def heal(self) -> None:
        self.said("heal")

    # -- its users -----------------------------------------------------------------------------

    def place(self, name: str) -> MachinePlace:
        return self.places.named(name, self.count)

    @property
    def names(self) -> list[str]:
        return [f"n{number}" for number in range(1, self.count + 1)]

    def docker(self, *words: str, node: str = "n1", timeout_s: float = PATIENCE_S) -> Printed:
        """Docker's unmodified client, speaking to a node."""
        done = subprocess.run(
            ["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=self.environment(node), timeout=timeout_s, check=False,
        )  # fmt: skip
        return Printed(done.returncode, done.stdout, done.stderr)

    def ok(self, *words: str, node: str = "n1") -> str:
        """The same, which must succeed; what it printed, without the last newline."""
        done = self.docker(*words, node=node)
        assert done.code == 0, f"docker {' '.join(words)}: {done.err}{done.out}"
        return done.out.removesuffix("\n")

    def begin(self, *words: str, node: str = "n1") -> subprocess.Popen[str]:
        """A client that runs beside the test; its output is one stream."""
        return subprocess.Popen(
            ["docker", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=self.environment(node),
        )  # fmt: skip

    def environment(self, node: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_HOST": self.place(node).host,
        }

    @contextlib.contextmanager
    def api(self, node: str = "n1") -> Iterator[Client]:
        """The Engine API of a node."""
        with contextlib.closing(Client(parse_address(self.place(node).host), PATIENCE_S)) as client:
            yield client

    def get(self, path: str, node: str = "n1", **query: Any) -> Any:
        with self.api(node) as api:
            return api.get(path, query)

    def create(self, name: str, *words: str) -> str:
        """`docker service create --detach --name … WORDS`; the service's id."""
        return self.ok("service", "create", "--detach", "--name", name, *words)

    def load_server(self, *nodes: str) -> None:
        """WEB on these nodes, or on all."""
        archive = self.folder / f"{secrets.token_hex(4)}.tar"
        make_image(archive, WEB, files=SERVER, cmd=("/serve",), env={"VERSION": "1"})

        def load(node: str) -> None:
            with self.api(node) as api:
                answer = api.stream("POST", "/images/load", body=archive.read_bytes())
                assert b"Loaded image" in answer.read()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(load, nodes or self.names))
        archive.unlink()

    def hostname_at(self, address: str, port: int) -> str:
        """Which replica of WEB answers, asked from where the thread is; raises OSError."""
        connection = http.client.HTTPConnection(address, port, timeout=5)
        try:
            connection.request("GET", "/cgi-bin/who")
            return connection.getresponse().read().decode().split()[0]
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()

    @contextlib.contextmanager
    def at(self, node: str) -> Iterator[None]:
        """Be in a node's network for a while."""
        descriptor = netns.open_at(self.place(node).netns)
        try:
            with netns.inside(descriptor):
                yield
        finally:
            os.close(descriptor)

    # -- what the manager says -----------------------------------------------------------------

    def node_id(self, name: str) -> str:
        return str(self.get("/info", name)["Swarm"]["NodeID"])

    def node_names(self) -> dict[str, str]:
        """Id -> name of all nodes of the cluster."""
        nodes = self.get("/nodes")
        return {node["ID"]: node["Description"].get("Hostname", "") for node in nodes}

    def node_state(self, name: str) -> str:
        """ready, down, unknown."""
        states = {
            node["Description"].get("Hostname", ""): node["Status"]["State"]
            for node in self.get("/nodes")
        }
        return str(states.get(name, "not in the cluster"))

    def until_answers(self, name: str) -> None:
        """The node's daemon is there (again)."""

        def answers() -> bool:
            with contextlib.suppress(Unreachable):
                return bool(self.get("/info", name))
            return False

        until(answers)

    def until_state(self, name: str, state: str) -> None:
        until(lambda: self.node_state(name) == state, on_timeout=self.story)

    def tasks(self, service: str, **filters: str) -> list[Task]:
        """Slot by slot, the newest first."""
        wanted = {"service": [service]} | {key: [value] for key, value in filters.items()}
        tasks: list[Task] = self.get("/tasks", filters=json.dumps(wanted))
        tasks.sort(key=lambda task: str(task["CreatedAt"]), reverse=True)
        return sorted(tasks, key=lambda task: int(task.get("Slot", 0)))

    def running(self, service: str) -> list[Task]:
        """The tasks that should run, and do as far as the manager knows."""
        tasks = self.tasks(service, **{"desired-state": "running"})
        return [task for task in tasks if task["Status"]["State"] == "running"]

    def spread(self, service: str) -> dict[str, int]:
        """Node -> how many tasks of the service run on it; nodes without any are left out."""
        names = self.node_names()
        nodes = [str(task["NodeID"]) for task in self.running(service)]
        return dict(Counter(names.get(node, node) for node in nodes))

    def until_running(self, service: str, count: int, but_on: str = "") -> None:
        """Exactly so many are wanted, and run, none on the node `but_on`."""

        def so() -> bool:
            wanted = self.tasks(service, **{"desired-state": "running"})
            on = self.spread(service)
            return len(wanted) == count == sum(on.values()) and but_on not in on

        until(so, on_timeout=self.story)

    def why_pending(self, service: str) -> str:
        """The sentence of the first task that waits for a node."""
        return next((t["Status"]["Err"] for t in self.tasks(service) if t["Status"].get("Err")), "")

    # -- what is so ----------------------------------------------------------------------------

    def containers(self, node: str, *, running: bool) -> set[str]:
        """Ids of the tasks that have a container on the node; only running ones, or all."""
        filters = json.dumps({"label": [TASK_ID]})
        found = self.get("/containers/json", node, all=not running, filters=filters)
        return {container["Labels"][TASK_ID] for container in found}

    def disagreements(self, service: str, slots: int, *nodes: str) -> list[str]:
        """Where the nodes, the manager and the wish for `slots` slots differ; empty when settled.

        nodes   those that can be asked; all of them when none is named.
        """
        running = self.running(service)
        known = {task["ID"] for task in self.tasks(service)}
        found = []
        busy = sorted(task.get("Slot", 0) for task in running)
        if len(busy) != slots or len(set(busy)) != slots:
            found.append(f"slots that run: {busy}")
        names = self.node_names()
        for node in nodes or self.names:
            wanted = {task["ID"] for task in running if names.get(task["NodeID"]) == node}
            real = self.containers(node, running=True)
            if real != wanted:
                found.append(f"{node}: too many {real - wanted}, too few {wanted - real}")
            if orphans := self.containers(node, running=False) - known:
                found.append(f"{node}: containers of unknown tasks {orphans}")
        return found

    def until_settled(self, service: str, slots: int, *nodes: str) -> None:
        """Every slot runs once, and each node runs just that."""
        until(
            lambda: not self.disagreements(service, slots, *nodes),
            on_timeout=lambda: "\n".join(
                [*self.disagreements(service, slots, *nodes), self.story()]
            ),
        )

    def daemon_pid(self, node: str) -> int:
        """The daemon in the node, by its pid on this machine."""
        pid = machine.daemon_of(self.place(node))
        assert pid, f"no daemon runs in {node}:\n{self.log_tail(node)}"
        return pid

    def loud_records(self) -> list[str]:
        """What the nodes' logs tell, since this was asked last, of faults of ours."""
        found = []
        for name in self.names:
            log = self._logs.setdefault(name, GrowingLog(self.place(name).log))
            found += [f"{name}: {loud}" for loud in loud_records(log.new(), self.expected_in_log)]
        return found

    def log_tail(self, node: str) -> str:
        lines = self.place(node).log.read_text(errors="replace").splitlines()
        return "\n".join([f"-- {node}", *lines[-15:]])

    def story(self) -> str:
        """For whoever reads a failed test."""
        parts = [self.docker("node", "ls").out]
        for service in self.get("/services"):
            shown = self.docker("service", "ps", "--no-trunc", service["Spec"]["Name"])
            parts.append(shown.out)
        return "\n".join([*parts, *map(self.log_tail, self.names)])

    def clear(self) -> None:
        """As after `up`: no services, every node active, unlabelled and ready, no container."""
        with self.api() as api:
            for service in api.get("/services"):
                api.delete(f"/services/{service['ID']}")
            for node in api.get("/nodes"):
                plain = {"Role": node["Spec"]["Role"], "Availability": "active"}
                if node["Spec"].get("Labels") or node["Spec"]["Availability"] != "active":
                    version = {"version": node["Version"]["Index"]}
                    api.post(f"/nodes/{node['ID']}/update", plain, version)
        until(
            lambda: (
                {self.node_state(name) for name in self.names} == {"ready"}
                and not any(self.containers(name, running=False) for name in self.names)
            ),
            on_timeout=self.story,
        )

    def renew(self) -> None:
        """Another one in its place."""
        self.down()
        self._logs = {}
        self.up(self.count)
        self.load_server()


@contextlib.contextmanager
def playground_host(folder: Path, nodes: int = 3) -> Iterator[PlaygroundHost]:
    """A playground that is up, with WEB on every node; nothing is left of it afterwards."""
    host = PlaygroundHost(folder)
    try:
        host.up(nodes)
        host.load_server()
        yield host
    finally:
        host.down()
