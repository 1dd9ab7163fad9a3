"""Where the benchmark works: folders of its own, and network namespaces without a way outside.

The data lies on the machine's disk, what daemons keep at run time on a tmpfs, as on any machine;
so it is for skep, for dockerd and for the bare loop. A namespace lives as long as we hold its
descriptor: nothing is left of it, however the benchmark ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from bench.memory import processes_with
from bench.program import kill_all
from bench.waiting import wait_until
from skep.daemon.settings import instance_of
from skep.kit.linux import mounts_below, unmount
from skep.network import links, netns
from skep.network.netlink import Netlink
from skep.runtime.cgroups import Cgroup, of_this_host
from skep.testing.images import make_image

IMAGE = "sleeper:1"
_SLEEPER = "trap 'exit 0' TERM; sleep 1000000 & wait"
"""Ends at once when it is told to; as pid 1 a program without a handler would not."""

_SWITCH_MAC = "02:be:00:00:00:00"
_ONE_SEGMENT = "10.214.0.{}/24"
_END_S = 20.0


@dataclass(frozen=True)
class Place:
    """One daemon's: `data` on the disk, `run` on a tmpfs, and a network namespace."""

    data: Path
    run: Path
    namespace: int
    address: str = "127.0.0.1"

    @property
    def marks(self) -> tuple[str, str]:
        """What stands on the command line of every process that belongs to the daemon."""
        return f"{self.data}/", f"{self.run}/"

    @property
    def cgroup(self) -> str:
        """Above the containers' cgroups, for whoever lets us choose."""
        return f"/{self.data.parent.name}-{self.data.name}"

    def processes(self) -> list[int]:
        """Daemons, helpers, shims and conmons; not what runs in containers."""
        return processes_with(self.marks)

    def contained(self) -> list[int]:
        """What runs in containers."""
        return [pid for cgroup in self._cgroups() for pid in cgroup.processes()]

    def clear(self) -> None:
        """End what a daemon left behind and take its mounts, cgroups and files away."""
        kill_all([*self.processes(), *self.contained()])
        for cgroup in self._cgroups():
            wait_until(cgroup.remove, _END_S, "a killed container does not end")
        for folder in (self.data, self.run):
            for point in mounts_below(folder):
                unmount(point)
            subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)

    def _cgroups(self) -> list[Cgroup]:
        """Ours, and the one that skep's daemon names after its folders."""
        skeps = f"/skep-{instance_of(self.data / 'skep', self.run / 'skep')}"
        return [Cgroup(of_this_host(), path) for path in (self.cgroup, skeps)]


class Workshop:
    """Places for daemons, and the image that all of them run."""

    def __init__(self, data: Path, run: Path, exits: contextlib.ExitStack) -> None:
        self.image = data / "image.tar"
        self._data, self._run = data, run
        self._exits = exits
        self._count = 0
        make_image(self.image, IMAGE, cmd=["sh", "-c", _SLEEPER])

    def place(self) -> Place:
        """Alone in a namespace of its own."""
        return self._place(self._new_namespace(), "127.0.0.1")

    def neighbours(self, count: int) -> list[Place]:
        """Places that reach each other over one Ethernet segment, and nothing else."""
        switch = self._new_namespace()
        with netns.inside(switch), Netlink() as netlink:
            netlink.apply(links.new_bridge("switch", _SWITCH_MAC), links.change_link("switch"))
        return [self._plugged(switch, number) for number in range(1, count + 1)]

    def _plugged(self, switch: int, number: int) -> Place:
        namespace = self._new_namespace()
        port, interface = f"to-{number}", ip_interface(_ONE_SEGMENT.format(number))
        with netns.inside(switch), Netlink() as netlink:
            bridge = links.index_of(netlink, "switch")
            assert bridge is not None
            veth = links.new_veth(
                port, bridge_index=bridge, netns_fd=namespace, ifname="eth0",
                mac=f"02:be:00:00:00:{number:02x}", mtu=1500,
            )  # fmt: skip
            netlink.apply(veth, links.change_link(port))
        with netns.inside(namespace), Netlink() as netlink:
            index = links.index_of(netlink, "eth0")
            assert index is not None
            netlink.apply(links.add_address(index, interface, "eth0"), links.link_up(index))
        return self._place(namespace, str(interface.ip))

    def _place(self, namespace: int, address: str) -> Place:
        self._count += 1
        data, run = self._data / str(self._count), self._run / str(self._count)
        for folder in (data, run):
            folder.mkdir()
        place = Place(data, run, namespace, address)
        self._exits.callback(place.clear)
        return place

    def _new_namespace(self) -> int:
        path, home = self._run / "netns", netns.open_own()
        try:
            netns.make(path, home)
            try:
                with Netlink() as netlink:
                    index = links.index_of(netlink, "lo")
                    assert index is not None
                    netlink.apply(links.link_up(index))
                namespace = netns.open_at(path)
            finally:
                netns.enter(home)
                netns.release(path)
        finally:
            os.close(home)
        self._exits.callback(os.close, namespace)
        return namespace


@contextlib.contextmanager
def workshop() -> Iterator[Workshop]:
    """Gone with all that was made in it when the block ends."""
    with contextlib.ExitStack() as exits:
        data, run = _folder_in("/var/tmp", exits), _folder_in(_tmpfs(), exits)
        yield Workshop(data, run, exits)


def _folder_in(parent: str, exits: contextlib.ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="skep-bench-", dir=parent))
    exits.callback(shutil.rmtree, folder)
    return folder


def _tmpfs() -> str:
    """/run, unless this machine has it on a disk."""
    kind = subprocess.run(
        ["stat", "--file-system", "--format=%T", "/run"], capture_output=True, text=True, check=True
    )
    return "/run" if kind.stdout.strip() == "tmpfs" else "/dev/shm"
