"""The whole Engine API under seeded nonsense: every route of the table, bodies from the model's own
structs, parameters that the routes read. Nothing of it is an internal error, a hang, or a traceback
in the log, and afterwards every list still works and docker's clients can read it.

SKEP_FUZZ=20000 makes so many requests to each daemon (and SKEP_FUZZ_SEED others).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import inspect
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import docker
import pytest

from skep.api import choices, routes
from skep.api.request import Request
from skep.api.routes import containers, images, networks, nodes, services, system, tasks, volumes
from skep.api.routes.networks import Connect, Disconnect
from skep.api.routes.table import ROUTES
from skep.http.router import Route
from skep.model.cluster import ClusterSpec
from skep.model.container import ContainerCreate, ContainerUpdate, ExecCreate, ExecStart
from skep.model.image import AuthConfig
from skep.model.network import NetworkCreate
from skep.model.node import NodeSpec
from skep.model.service import ServiceSpec
from skep.model.system import SwarmInit, SwarmJoin
from skep.model.volume import VolumeCreate
from skep.testing.bodies import Bodies
from skep.testing.daemon import DaemonHost, daemon_host, until

COUNT = int(os.environ.get("SKEP_FUZZ", "300"))
SEED = int(os.environ.get("SKEP_FUZZ_SEED", "6"))
DEADLINE_S = 5.0
SLOW_DEADLINE_S = 40.0
TASTE_S = 0.03
"""How long a stream is listened to."""

BODIES: dict[str, type] = {
    "/auth": AuthConfig,
    "/containers/create": ContainerCreate,
    "/containers/{id}/update": ContainerUpdate,
    "/containers/{id}/exec": ExecCreate,
    "/exec/{id}/start": ExecStart,
    "/networks/create": NetworkCreate,
    "/networks/{id}/connect": Connect,
    "/networks/{id}/disconnect": Disconnect,
    "/nodes/{id}/update": NodeSpec,
    "/services/create": ServiceSpec,
    "/services/{id}/update": ServiceSpec,
    "/swarm/init": SwarmInit,
    "/swarm/join": SwarmJoin,
    "/swarm/update": ClusterSpec,
    "/volumes/create": VolumeCreate,
}
_VERSIONS = ("1.24", "1.41", "1.44", "1.50", "1.50", "0", "9.9")
_MODULES = (containers, images, networks, nodes, services, system, tasks, volumes)
PARAMETERS = sorted({
    name
    for module in (*_MODULES, routes.execs, routes.swarm)
    for name in re.findall(
        r"request\.(?:text|texts|flag|integer|time_ns|given)\(\s*\"([^\"]+)\"",
        inspect.getsource(module),
    )
})  # fmt: skip
FILTERS = sorted(
    {*choices.OF_CONTAINERS, *choices.OF_EVENTS}
    | {"dangling", "driver", "event", "id", "image", "membership", "mode", "node", "reference",
       "role", "scope", "service", "type", "until", "up-to-date", "desired-state"}
)  # fmt: skip

DESTRUCTIVE = frozenset({"/swarm/init", "/swarm/join", "/swarm/leave", "/swarm/update"})
OUTWARD = frozenset({"/auth", "/images/create", "/distribution/{name:.+}/json", "/swarm/join"})
"""These ask others, who are not there: slower, so they are asked less often."""


class Outcome(NamedTuple):
    status: int
    body: bytes
    seconds: float


class Fuzzer:
    """Requests to one daemon, each a function of the seed."""

    def __init__(self, host: DaemonHost, seed: int) -> None:
        self.host = host
        self.bodies = Bodies(seed)
        self.dice = self.bodies.dice
        self.ids: dict[str, list[str]] = {}
        self.failures: list[str] = []
        self.reasons: Counter[str] = Counter()
        self._number = 0

    # What is asked

    def request(self, route: Route[Request]) -> tuple[str, bytes, dict[str, str]]:
        """Path with query, body, headers."""
        self._number += 1
        path = re.sub(r"\{\w+(?::[^}]+)?\}", lambda _: self._name(route), route.pattern)
        version = self._version(path)
        if self.dice.random() < 0.3:
            path = f"/v{self.dice.choice(_VERSIONS)}{path}"
        query = "&".join(filter(None, (version, self._query(route))))
        headers = {"Content-Type": "application/json"}
        if self.dice.random() < 0.04:
            headers["Content-Type"] = self.dice.choice(("", "text/plain", "a/b;x=\x7f"))
        if self.dice.random() < 0.1 or route.pattern in OUTWARD:
            headers["X-Registry-Auth"] = self._auth()
        if route.takes_over and self.dice.random() < 0.7:
            headers |= {"Connection": "Upgrade", "Upgrade": self.dice.choice(("tcp", "h2c"))}
        return f"{path}?{query}" if query else path, self._body(route), headers

    def _name(self, route: Route[Request]) -> str:
        noun = route.pattern.split("/")[1]
        known = self.ids.get(noun, [])
        if noun == "containers" and route.method != "DELETE":
            known = ["steady"]  # what nonsense made is never started
        if known and self.dice.random() < 0.7:
            return self.dice.choice(known)
        return quote(self._sane(self.bodies.text()), safe="/:")[:8000]

    def _query(self, route: Route[Request]) -> str:
        words = []
        if route.pattern.endswith("/prune"):
            words.append("filters=" + quote(json.dumps({"label": ["none"], **self._filters()})))
        elif self.dice.random() < 0.4:
            words.append("filters=" + quote(self._filters_text()))
        if route.pattern == "/events":
            words.append("until=1")
        if route.pattern.endswith("/create") and self.dice.random() < 0.8:
            words.append(f"name=odd-{self._number}")
        words += [
            f"{quote(name)}={quote(self._sane(self.bodies.text()))[:8000]}"
            for name in self.dice.sample(PARAMETERS, self.dice.choice((0, 0, 1, 2)))
            if name != "t" or self.dice.random() < 0.2
        ]
        if route.pattern.endswith(("/stop", "/restart")):
            words.append("t=0")
        if route.pattern == "/swarm/leave":
            words.append(self.dice.choice(("force=1", "")))
        return "&".join(words)[:30_000]

    def _version(self, path: str) -> str:
        """Of the object that is to be updated, as a client that has read it states it."""
        if not re.match(r"/(swarm|services|nodes)\b.*/update$", path) or self.dice.random() < 0.1:
            return ""
        answer = self.host.api("GET", path.removesuffix("/update"))
        return f"version={answer.body['Version']['Index']}" if answer.status == 200 else ""

    def _sane(self, text: str) -> str:
        """A URL has no surrogates."""
        return text.encode("utf-8", "replace").decode()

    def _filters(self) -> dict[str, Any]:
        keys = self.dice.sample(FILTERS, self.dice.choice((1, 1, 2)))
        return {key: [self.bodies.text()[:2000] for _ in range(2)] for key in keys}

    def _filters_text(self) -> str:
        if self.dice.random() < 0.2:
            return self._sane(self.bodies.text())
        if self.dice.random() < 0.2:
            return json.dumps(
                {"name": self.dice.choice((1, None, {"a": True}, {"a": 1}, [1], [[]]))}
            )
        return json.dumps(self._filters())

    def _auth(self) -> str:
        kind = self.dice.random()
        if kind < 0.3:
            return re.sub(r"[^ -~]", "", self.bodies.text())[:5000]
        content = self.bodies.bytes_of(self.bodies.spoiled({"username": "a"}, AuthConfig))
        return base64.urlsafe_b64encode(content[:5000]).decode()

    def _body(self, route: Route[Request]) -> bytes:
        if route.method != "POST":
            return b""
        if route.pattern == "/images/load" or route.pattern == "/images/create":
            return self.dice.choice((b"", b"x" * 600, bytes(10240), b"\x1f\x8b\x08\0" * 9, b"BZh9"))
        kind = BODIES.get(route.pattern)
        if kind is None:
            return self.dice.choice((b"", b"", b"{}", b"null"))
        sound = self._sound(route.pattern)
        body = self.bodies.spoiled(sound, kind) if self.dice.random() < 0.9 else sound
        return self.bodies.bytes_of(self._harmless(body))

    def _sound(self, pattern: str) -> dict[str, Any]:
        name = f"odd-{self._number}"
        bodies: dict[str, dict[str, Any]] = {
            "/auth": {"username": "a", "password": "b", "serveraddress": "127.0.0.1:1"},
            "/containers/create": {"Image": "web:1", "HostConfig": {}, "NetworkingConfig": {}},
            "/containers/{id}/exec": {"Cmd": ["true"], "AttachStdout": True},
            "/networks/create": {"Name": name, "IPAM": {"Config": []}},
            "/networks/{id}/connect": {"Container": "steady"},
            "/networks/{id}/disconnect": {"Container": "steady"},
            "/nodes/{id}/update": {"Role": "manager", "Availability": "active"},
            "/services/create": {
                "Name": name,
                "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}},
            },
            "/swarm/init": {"ListenAddr": "127.0.0.1", "AdvertiseAddr": "127.0.0.1"},
            "/swarm/join": {"RemoteAddrs": ["127.0.0.1:1"], "JoinToken": "x"},
            "/volumes/create": {"Name": name},
        }
        return bodies.get(pattern, {})

    def _harmless(self, body: dict[str, Any]) -> dict[str, Any]:
        """Nothing names what is the host's, and no service finds a node."""
        host = body.get("HostConfig")
        if isinstance(host, dict):
            if isinstance(host.get("Binds"), list):
                host["Binds"] = [self._inside(text) for text in host["Binds"]]
            for mount in host.get("Mounts") or [] if isinstance(host.get("Mounts"), list) else []:
                if isinstance(mount, dict):
                    mount["Source"] = self._inside(mount.get("Source"))
        if "TaskTemplate" in body or "EndpointSpec" in body:
            if not isinstance(body.get("TaskTemplate"), dict):
                body["TaskTemplate"] = {}
            placement = body["TaskTemplate"].get("Placement")
            if not isinstance(placement, dict):
                placement = body["TaskTemplate"]["Placement"] = {}
            placement["Constraints"] = ["node.labels.nowhere==yes"]
        return body

    def _inside(self, text: Any) -> Any:
        return f"{self.host.folder}/binds/{text}" if isinstance(text, str) else text

    # What comes back

    def ask(self, route: Route[Request]) -> Outcome:
        path, body, headers = self.request(route)
        said = f"{route.method} {path[:300]} {body[:300]!r}"
        slow = route.pattern in OUTWARD
        try:
            outcome = self._exchange(route, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.host._check_alive()
            self.failures.append(f"{said}: {error!r}")
            return Outcome(0, b"", 0.0)
        if outcome.seconds > (SLOW_DEADLINE_S if slow else DEADLINE_S):
            self.failures.append(f"{said}: took {outcome.seconds:.1f} s")
        if outcome.status == 500:
            self.reasons[f"{route.method} {route.pattern}: {outcome.body[:120]!r}"] += 1
            if not _has_reason(outcome.body):
                self.failures.append(f"{said}: 500 {outcome.body[:300]!r}")
        return outcome

    def _exchange(
        self, route: Route[Request], path: str, body: bytes, headers: dict[str, str]
    ) -> Outcome:
        connection = http.client.HTTPConnection("d", timeout=SLOW_DEADLINE_S)
        line = connection.sock = socket.socket(socket.AF_UNIX)
        line.settimeout(SLOW_DEADLINE_S)
        line.connect(str(self.host.socket))
        began = time.monotonic()
        with contextlib.closing(connection):
            with contextlib.suppress(BrokenPipeError):  # answered before it was read
                connection.request(route.method, path, body or None, headers)
            answer = connection.getresponse()
            if route.streams and answer.status in (101, 200):
                if line.fileno() >= 0:  # else it was all there at once
                    line.settimeout(TASTE_S)
                content = b""
                with contextlib.suppress(OSError, http.client.HTTPException):
                    content = answer.read(4096)
            else:
                content = answer.read()
            return Outcome(answer.status, content, time.monotonic() - began)

    def run(self, count: int, chosen: list[Route[Request]]) -> None:
        often = [route for route in chosen if route.pattern not in OUTWARD]
        rarely = [route for route in chosen if route.pattern in OUTWARD]
        for number in range(count):
            if number % 25 == 0:
                self._look_around()
            outward = rarely and self.dice.random() < 0.02
            self.ask(self.dice.choice(rarely if outward else often))

    def _look_around(self) -> None:
        """What there is to be named, and a container that runs."""
        if self.host.docker("start", "steady").code != 0:
            self.host.docker("rm", "-f", "steady")
            self.host.docker("unpause", "steady")
            self.host.docker("run", "-d", "--name", "steady", "web:1")
        for noun, path, key in (
            ("containers", "/containers/json?all=1", "Id"),
            ("images", "/images/json", "Id"),
            ("networks", "/networks", "Id"),
            ("services", "/services", "ID"),
            ("tasks", "/tasks", "ID"),
            ("nodes", "/nodes", "ID"),
        ):
            answer = self.host.api("GET", path)
            if answer.status == 200:
                self.ids[noun] = [row[key] for row in answer.body]
        found = self.host.api("GET", "/volumes").body["Volumes"]
        self.ids["volumes"] = [volume["Name"] for volume in found]
        made = self.host.api("POST", "/containers/steady/exec", {"Cmd": ["true"]})
        self.ids["exec"] = [made.body["Id"]] if made.status == 201 else []
        self.ids["images"] = ["web:1", *self.ids.get("images", [])]


def _has_reason(body: bytes) -> bool:
    """A 500 that says what went wrong, as dockerd's often do."""
    try:
        return "internal error" not in json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return False


class Pinger(threading.Thread):
    """Asks all the while whether the daemon is there; `worst_s` is its longest wait."""

    def __init__(self, host: DaemonHost) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._enough = threading.Event()
        self.worst_s = 0.0

    def run(self) -> None:
        while not self._enough.wait(0.05):
            began = time.monotonic()
            with contextlib.suppress(OSError):
                self._host.api("GET", "/_ping")
            self.worst_s = max(self.worst_s, time.monotonic() - began)

    def stop(self) -> None:
        self._enough.set()
        self.join()


def _fuzz(host: DaemonHost, seed: int, chosen: list[Route[Request]], count: int = COUNT) -> None:
    began_at = len(host.log_path.read_text(errors="replace"))
    fuzzer, pinger = Fuzzer(host, seed), Pinger(host)
    pinger.start()
    try:
        fuzzer.run(count, chosen)
    finally:
        pinger.stop()
    log = host.log_path.read_text(errors="replace")[began_at:]
    print("answers of 500:", *sorted(fuzzer.reasons.items()), sep="\n")
    assert fuzzer.failures == [], "\n".join(fuzzer.failures)
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:6000]
    assert pinger.worst_s < DEADLINE_S
    _check_lists(host)


def _check_lists(host: DaemonHost) -> None:
    """Every list, and every thing in it, as docker's two clients read them."""
    for words in (("ps", "-a", "--size"), ("images", "-a"), ("network", "ls"), ("volume", "ls"),
                  ("info",), ("system", "df", "-v")):  # fmt: skip
        host.ok(*words)
    is_manager = host.api("GET", "/swarm").status == 200
    if is_manager:
        host.ok("service", "ls")
        host.ok("node", "ls")
        host.ok("node", "ps", "self")
    inspected = [("container", "/containers/json?all=1", "Id"), ("network", "/networks", "Id")]
    if is_manager:
        inspected.append(("service", "/services", "ID"))
    for noun, path, key in inspected:
        ids = [row[key] for row in host.api("GET", path).body]
        for start in range(0, len(ids), 50):
            host.ok(noun, "inspect", *ids[start : start + 50])
    client = docker.DockerClient(f"unix://{host.socket}", version="1.44")
    try:
        client.containers.list(all=True)
        client.images.list(all=True)
        client.networks.list(greedy=True)
        client.volumes.list()
        if is_manager:
            client.services.list()
            client.nodes.list()
    finally:
        client.close()


def _routes(*left_out: str) -> list[Route[Request]]:
    return [route for route in ROUTES if not route.pattern.startswith(left_out)]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaemonHost]:
    """A daemon that may be taken into clusters and out of them."""
    with daemon_host(tmp_path / "own") as host:
        host.load_server("web:1", "one")
        yield host


def test_every_body_that_a_route_reads_is_known_here() -> None:
    source = "".join(
        inspect.getsource(module) for module in (*_MODULES, routes.execs, routes.swarm)
    )
    read = set(re.findall(r"request\.json(?:_or_none)?\((\w+)\)", source))
    assert read == {kind.__name__ for kind in BODIES.values()}


def test_a_pool_that_nobody_named_is_checked_like_any_other(host: DaemonHost) -> None:
    """Found here: the cluster was born, and could never give a network its addresses."""
    wish = {"ListenAddr": "127.0.0.1", "AdvertiseAddr": "127.0.0.1", "SubnetSize": 1}
    answer = host.api("POST", "/swarm/init", wish)
    assert (answer.status, answer.message[:22]) == (400, "invalid subnet size /1")


def test_in_no_cluster(host: DaemonHost) -> None:
    _fuzz(host, SEED, _routes("/swarm"))
    host.clear()


def test_into_clusters_and_out_of_them(own: DaemonHost) -> None:
    chosen = [route for route in ROUTES if route.pattern.startswith(("/swarm", "/system", "/info"))]
    _fuzz(own, SEED + 1, chosen, COUNT // 10)
    own.api("POST", "/swarm/leave?force=1")
    until(lambda: own.api("GET", "/info").body["Swarm"]["LocalNodeState"] == "inactive")
    own.clear()


def test_in_a_cluster(swarm: DaemonHost, host: DaemonHost) -> None:
    _fuzz(swarm, SEED + 2, _routes("/swarm/init", "/swarm/join", "/swarm/leave"))
    host.clear()
