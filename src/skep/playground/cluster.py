"""Up, down and everything between: what `skep playground` does."""

from __future__ import annotations

import concurrent.futures
import fcntl
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from skep.kit.errors import Conflict, Internal, InvalidArgument, NotFound, SkepError
from skep.kit.files import remove_trees, write_atomically
from skep.playground import machine, switch
from skep.playground.places import MAX_NODES, MachinePlace, Places

_READY_S = 30.0
_POLL_S = 0.02
_JOINS_AT_ONCE = 8
_PORT = 2377


class Api(Protocol):
    """A way to one node's Engine API. Raises when it cannot be reached or refuses."""

    def get(self, path: str) -> Any: ...
    def post(self, path: str, body: Any) -> Any: ...


Dial = Callable[[str], Api]
"""From a host such as unix:///run/….sock."""

Say = Callable[[str], None]


class Booted(msgspec.Struct, frozen=True):
    """A node's first process; `pid` 0 while it is switched off."""

    number: int
    pid: int = 0
    started_at: int = 0
    cut_off: bool = False


class State(msgspec.Struct, frozen=True):
    nodes: list[Booted]


class NodeStatus(msgspec.Struct, frozen=True):
    """A line of `playground status`. `state` is the node's own word, or "off", or "cut off"."""

    name: str
    address: str
    role: str
    state: str
    host: str


class Playground:
    """One playground by its places. `dial` opens a node's API, `run` runs its daemon."""

    def __init__(self, places: Places, dial: Dial, run: machine.Run, say: Say) -> None:
        self._places = places
        self._dial = dial
        self._run = run
        self._say = say

    def up(self, nodes: int, managers: int) -> None:
        """Make the nodes and join them to one cluster. Raises Conflict when it is up already."""
        if not 1 <= nodes <= MAX_NODES:
            raise InvalidArgument(f"--nodes must be 1 to {MAX_NODES}")
        if managers != 1:
            raise InvalidArgument("--managers must be 1: several managers come later")
        with self._locked():
            if self._places.state.exists():
                raise Conflict(
                    "the playground is up already: look with `skep playground status`, "
                    "remove it with `skep playground down`"
                )
            try:
                self._up(nodes)
            except BaseException:
                self._down(range(1, nodes + 1))
                raise

    def down(self) -> None:
        """Remove every trace of it. Fine when there is none."""
        with self._locked():
            numbers = [node.number for node in self._read().nodes] if self._is_up() else []
            self._down(numbers)

    def status(self) -> list[NodeStatus]:
        return [self._status(node) for node in self._state().nodes]

    def kill(self, names: list[str]) -> None:
        """Pull the plug of nodes: all that runs in them dies at once."""
        with self._locked():
            for node in self._named(names):
                self._power_off(node)
                self._update(Booted(node.number, cut_off=node.cut_off))

    def start(self, names: list[str]) -> None:
        """Switch killed nodes on again: they find their disks as they were."""
        with self._locked():
            self._preload()
            for node in self._named(names):
                if not self._runs(node):
                    self._update(self._boot(node.number, node.cut_off))

    def partition(self, names: list[str]) -> None:
        """Cut nodes off the network, from each other too; what runs in them runs on."""
        self._plug(names, cut_off=True)

    def heal(self, names: list[str]) -> None:
        """Plug nodes in again; without names all of them."""
        self._plug(names or [f"n{node.number}" for node in self._state().nodes], cut_off=False)

    def inside(self, name: str) -> list[str]:
        """The words with which a program is started inside a node."""
        (node,) = self._named([name])
        if not self._runs(node):
            raise NotFound(f"node {name} is switched off: `skep playground start {name}`")
        return ["nsenter", "-t", str(node.pid), "-m", "-u", "-n", "-p", "--"]

    def place(self, name: str) -> MachinePlace:
        return self._places.named(name, len(self._state().nodes))

    def _up(self, nodes: int) -> None:
        began = time.monotonic()
        places = self._places
        self._preload()
        switch.create(places)
        booted = []
        for number in range(1, nodes + 1):
            switch.plug(places, places.machine(number))
            booted.append(self._boot(number))
        self._write(State(booted))
        with concurrent.futures.ThreadPoolExecutor(_JOINS_AT_ONCE) as pool:
            list(pool.map(self._wait_ready, range(1, nodes + 1)))
            token = self._init()
            list(pool.map(lambda number: self._join(number, token), range(2, nodes + 1)))
        self._wait_all_ready(nodes)
        self._say(f"{nodes} nodes are up and joined in {time.monotonic() - began:.1f} s")

    def _init(self) -> str:
        first = self._places.machine(1)
        api = self._dial(first.host)
        address = f"{first.address}:{_PORT}"
        api.post("/swarm/init", {"ListenAddr": address, "AdvertiseAddr": address})
        token: str = api.get("/swarm")["JoinTokens"]["Worker"]
        return token

    def _join(self, number: int, token: str) -> None:
        place = self._places.machine(number)
        body = {
            "RemoteAddrs": [f"{self._places.machine(1).address}:{_PORT}"],
            "JoinToken": token,
            "AdvertiseAddr": place.address,
        }
        self._dial(place.host).post("/swarm/join", body)

    def _wait_ready(self, number: int) -> None:
        """Until the node's API answers."""
        place = self._places.machine(number)
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                self._dial(place.host).get("/version")
            except (SkepError, OSError) as error:
                if time.monotonic() > deadline:
                    raise Internal(
                        f"the daemon of {place.name} does not answer ({error}): its log is "
                        f"{place.log}"
                    ) from None
                time.sleep(_POLL_S)
            else:
                return

    def _wait_all_ready(self, nodes: int) -> None:
        """Until the manager has heard every node."""
        api = self._dial(self._places.machine(1).host)
        deadline = time.monotonic() + _READY_S
        while True:
            ready = sum(node["Status"]["State"] == "ready" for node in api.get("/nodes"))
            if ready == nodes:
                return
            if time.monotonic() > deadline:
                raise Internal(f"only {ready} of {nodes} nodes are ready after {_READY_S:g} s")
            time.sleep(_POLL_S)

    def _boot(self, number: int, cut_off: bool = False) -> Booted:
        pid = machine.boot(self._places.machine(number), self._run)
        return Booted(number, pid, machine.started_at(pid), cut_off)

    def _preload(self) -> None:
        """Import what the daemons will use, so that they share it; and keep the collector from
        touching, and so copying, what they share."""
        import skep.daemon.main
        import skep.engine.engine
        import skep.manager.manager

        del skep
        gc.collect()
        gc.freeze()

    def _down(self, numbers: Iterable[int]) -> None:
        machines = [self._places.machine(number) for number in numbers]
        if self._is_up():
            for node in self._read().nodes:
                self._power_off(node)
        switch.remove(self._places, machines)
        for place in machines:
            _remove_cgroups(place)
        self._places.state.unlink(missing_ok=True)
        remove_trees([self._places.exec, self._places.data])
        for folder in (self._places.exec.parent, self._places.data.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _status(self, node: Booted) -> NodeStatus:
        place = self._places.machine(node.number)
        role, state = "", "off"
        if self._runs(node):
            try:
                swarm = self._dial(place.host).get("/info")["Swarm"]
                role = "manager" if swarm["ControlAvailable"] else "worker"
                state = swarm["Error"] or swarm["LocalNodeState"]
            except (SkepError, OSError) as error:
                state = f"no answer: {error}"
        if node.cut_off:
            state = f"cut off ({state})"
        return NodeStatus(place.name, place.address, role, state, place.host)

    def _plug(self, names: list[str], *, cut_off: bool) -> None:
        with self._locked():
            for node in self._named(names):
                change = switch.cut if cut_off else switch.mend
                change(self._places, self._places.machine(node.number))
                self._update(replace(node, cut_off=cut_off))

    def _named(self, names: list[str]) -> list[Booted]:
        nodes = self._state().nodes
        numbers = [self._places.named(name, len(nodes)).number for name in names]
        return [node for node in nodes if node.number in numbers]

    def _power_off(self, node: Booted) -> None:
        if self._runs(node):
            machine.power_off(node.pid)

    def _runs(self, node: Booted) -> bool:
        return node.pid != 0 and machine.started_at(node.pid) == node.started_at

    def _state(self) -> State:
        if not self._is_up():
            raise NotFound("the playground is not up: `skep playground up` makes one")
        return self._read()

    def _is_up(self) -> bool:
        return self._places.state.exists()

    def _read(self) -> State:
        return msgspec.json.decode(self._places.state.read_bytes(), type=State)

    def _write(self, state: State) -> None:
        self._places.state.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._places.state, msgspec.json.encode(state), 0o600)

    def _update(self, changed: Booted) -> None:
        nodes = [changed if n.number == changed.number else n for n in self._read().nodes]
        self._write(State(nodes))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time changes a playground; the lock is beside it, so that it outlives
        its removal."""
        lock = Path(f"/run/lock/skep-playground-{self._places.name}")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _remove_cgroups(place: MachinePlace) -> None:
    """The kernel keeps the cgroups of killed nodes: empty folders, deepest first."""
    from skep.daemon.settings import instance_of

    name = f"skep-{instance_of(place.data_root, place.exec_root)}"
    for hierarchy in Path("/sys/fs/cgroup").iterdir():
        for top in (hierarchy / name, Path("/sys/fs/cgroup") / name):
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()
