"""Up, down and everything between: what `skep playground` does."""

from __future__ import annotations

import concurrent.futures
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from skep.kit.errors import Conflict, Internal, InvalidArgument, NotFound, SkepError
from skep.kit.files import remove_trees, write_atomically
from skep.network import netns
from skep.playground import machine, switch
from skep.playground.lock import locked
from skep.playground.places import MAX_NODES, MachinePlace, Places
from skep.playground.preload import preload

_READY_S = 30.0
_CGROUPS_S = 5.0
_POLL_S = 0.02
_JOINS_AT_ONCE = 8
_PORT = 2377


class Api(Protocol):
    """A way to one node's Engine API. Raises when it cannot be reached, refuses, or says nothing
    for some seconds."""

    def get(self, path: str) -> Any: ...
    def post(self, path: str, body: Any) -> Any: ...


Dial = Callable[[str], AbstractContextManager[Api]]
"""From a host such as unix:///run/….sock."""

Say = Callable[[str], None]


class Booted(msgspec.Struct, frozen=True):
    """A node's first process; `pid` 0 while it is switched off."""

    number: int
    pid: int = 0
    started_at: int = 0
    cut_off: bool = False


class State(msgspec.Struct, frozen=True):
    """What is kept of a playground: written when it is up, gone when it is not."""

    nodes: list[Booted]


class NodeStatus(msgspec.Struct, frozen=True):
    """A line of `playground status`. `state` is the node's own word, or "off"; "cut off" is added
    to it by us."""

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
        """Make the nodes and join them to one cluster. Raises Conflict when it is up already.

        All or nothing: what fails, or is interrupted, leaves nothing behind, and a crash leaves
        what the next `up` or `down` removes.
        """
        if not 1 <= nodes <= MAX_NODES:
            raise InvalidArgument(f"--nodes must be 1 to {MAX_NODES}")
        if managers != 1:
            raise InvalidArgument("--managers must be 1: several managers come later")
        with locked(self._places.lock):
            if self._is_up():
                raise Conflict(
                    f"playground {self._places.name} is up already: look with `skep playground "
                    "status`, remove it with `skep playground down`"
                )
            self._clear()
            try:
                self._up(nodes)
            except BaseException:
                self._clear()
                self._places.lock.unlink()
                raise

    def down(self) -> None:
        """Remove every trace of it. Fine when there is none."""
        with locked(self._places.lock):
            self._clear()
            self._places.lock.unlink()

    def status(self) -> list[NodeStatus]:
        nodes = self._state().nodes
        with concurrent.futures.ThreadPoolExecutor(_JOINS_AT_ONCE) as pool:
            return list(pool.map(self._status, nodes))

    def kill(self, names: list[str]) -> None:
        """Pull the plug of nodes: all that runs in them dies at once."""
        with locked(self._places.lock):
            nodes = self._named(names)
            machine.power_off(node.pid for node in nodes if self._runs(node))
            for node in nodes:
                self._update(Booted(node.number, cut_off=node.cut_off))

    def start(self, names: list[str]) -> None:
        """Switch killed nodes on again: they find their disks as they were."""
        with locked(self._places.lock):
            nodes = [node for node in self._named(names) if not self._runs(node)]
            preload()
            switch.create(self._places)
            for node in nodes:
                self._update(self._boot(node.number, node.cut_off))
            for node in nodes:
                self._wait_ready(node.number)

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
        preload()
        switch.create(self._places)
        numbers = range(1, nodes + 1)
        booted = [self._boot(number) for number in numbers]
        with concurrent.futures.ThreadPoolExecutor(_JOINS_AT_ONCE) as pool:
            list(pool.map(self._wait_ready, numbers))
            token = self._init()
            list(pool.map(lambda number: self._join(number, token), numbers[1:]))
        self._wait_all_ready(nodes)
        self._write(State(booted))
        self._say(f"{nodes} nodes are up and joined in {time.monotonic() - began:.1f} s")

    def _init(self) -> str:
        first = self._places.machine(1)
        address = f"{first.address}:{_PORT}"
        with self._dial(first.host) as api:
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
        with self._dial(place.host) as api:
            api.post("/swarm/join", body)

    def _wait_ready(self, number: int) -> None:
        """Until the node's API answers."""
        place = self._places.machine(number)
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                self._get(place, "/version")
            except (SkepError, OSError) as error:
                if time.monotonic() > deadline:
                    raise Internal(
                        f"the daemon of {place.name} does not answer ({error}). It said last: "
                        f"{_last_words(place.log)}"
                    ) from None
                time.sleep(_POLL_S)
            else:
                return

    def _wait_all_ready(self, nodes: int) -> None:
        """Until the manager has heard every node."""
        first = self._places.machine(1)
        deadline = time.monotonic() + _READY_S
        while True:
            states = [node["Status"]["State"] for node in self._get(first, "/nodes")]
            ready = states.count("ready")
            if ready == nodes:
                return
            if time.monotonic() > deadline:
                raise Internal(f"only {ready} of {nodes} nodes are ready after {_READY_S:g} s")
            time.sleep(_POLL_S)

    def _get(self, place: MachinePlace, path: str) -> Any:
        with self._dial(place.host) as api:
            return api.get(path)

    def _boot(self, number: int, cut_off: bool = False) -> Booted:
        """Switch a node on; its network is made first, unless it is there from before."""
        place = self._places.machine(number)
        if not netns.is_bound(place.netns):
            switch.plug(self._places, place)
            if cut_off:
                switch.cut(self._places, place)
        place.data_root.mkdir(parents=True, exist_ok=True)
        if not place.settings.exists():
            place.settings.write_text("{}\n")
        pid = machine.boot(place, self._run)
        return Booted(number, pid, machine.started_at(pid), cut_off)

    def _clear(self) -> None:
        """Remove what there is, whatever the record says: it may be a crash that left it."""
        recorded = self._state().nodes if self._is_up() else []
        machine.power_off(
            {
                *machine.processes_in(switch.namespaces(self._places)),
                *(node.pid for node in recorded if self._runs(node)),
            }
        )
        switch.remove(self._places)
        for folder in self._places.data.glob("n*"):
            _remove_cgroups(self._places.named(folder.name, MAX_NODES))
        remove_trees([self._places.exec, self._places.data])
        for folder in (self._places.exec.parent, self._places.data.parent):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _status(self, node: Booted) -> NodeStatus:
        place = self._places.machine(node.number)
        role, state = "", "off"
        if self._runs(node):
            try:
                swarm = self._get(place, "/info")["Swarm"]
                role = _role(swarm)
                state = swarm["LocalNodeState"]
                if swarm["Error"] and not node.cut_off:
                    state = f"{state}: {swarm['Error']}"
            except (SkepError, OSError) as error:
                state = f"no answer: {error}"
        if node.cut_off:
            state = f"cut off ({state})"
        return NodeStatus(place.name, place.address, role, state, place.host)

    def _plug(self, names: list[str], *, cut_off: bool) -> None:
        with locked(self._places.lock):
            for node in self._named(names):
                change = switch.cut if cut_off else switch.mend
                change(self._places, self._places.machine(node.number))
                self._update(replace(node, cut_off=cut_off))

    def _named(self, names: list[str]) -> list[Booted]:
        nodes = self._state().nodes
        numbers = [self._places.named(name, len(nodes)).number for name in names]
        return [node for node in nodes if node.number in numbers]

    def _runs(self, node: Booted) -> bool:
        return node.pid != 0 and machine.started_at(node.pid) == node.started_at

    def _state(self) -> State:
        try:
            return msgspec.json.decode(self._places.state.read_bytes(), type=State)
        except FileNotFoundError:
            raise NotFound(
                f"playground {self._places.name} is not up: `skep playground up` makes one"
            ) from None

    def _is_up(self) -> bool:
        return self._places.state.exists()

    def _write(self, state: State) -> None:
        write_atomically(self._places.state, msgspec.json.encode(state), 0o600)

    def _update(self, changed: Booted) -> None:
        nodes = [changed if n.number == changed.number else n for n in self._state().nodes]
        self._write(State(nodes))


def _role(swarm: dict[str, Any]) -> str:
    if not swarm["NodeID"]:
        return ""
    return "manager" if swarm["ControlAvailable"] else "worker"


def _last_words(log: Path) -> str:
    """The end of a node's log, for somebody who will not find the file any more."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "nothing"
    return " / ".join(lines[-3:]) or "nothing"


def _remove_cgroups(place: MachinePlace) -> None:
    """The kernel keeps the cgroups of killed nodes: folders that are empty soon, deepest first."""
    from skep.daemon.settings import instance_of

    name = f"skep-{instance_of(place.data_root, place.exec_root)}"
    deadline = time.monotonic() + _CGROUPS_S
    for top in (Path("/sys/fs/cgroup") / name, *Path("/sys/fs/cgroup").glob(f"*/{name}")):
        for folder, _, _ in os.walk(top, topdown=False):
            while True:
                try:
                    Path(folder).rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError as error:  # the kernel is not done with the last process in it
                    if time.monotonic() > deadline:
                        raise Internal(f"{folder} cannot be removed: {error.strerror}") from None
                    time.sleep(_POLL_S)
