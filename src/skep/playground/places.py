"""Where a playground's parts are, and what its nodes are called: pure."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from skep.kit.errors import InvalidArgument

MAX_NODES = 200
_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
_NODE = re.compile(r"n([1-9][0-9]{0,2})")
_DATA = Path("/var/lib/skep-playground")
_EXEC = Path("/run/skep-playground")
_LOCKS = Path("/run/lock")


class MachinePlace(msgspec.Struct, frozen=True):
    """One node: `number` from 1; the address is on the playground's switch, /24."""

    playground: str
    number: int

    @property
    def name(self) -> str:
        return f"n{self.number}"

    @property
    def address(self) -> str:
        return f"10.213.0.{self.number}"

    @property
    def mac(self) -> str:
        return f"02:d5:00:00:00:{self.number:02x}"

    @property
    def data_root(self) -> Path:
        return _DATA / self.playground / self.name

    @property
    def exec_root(self) -> Path:
        return _EXEC / self.playground / self.name

    @property
    def socket(self) -> Path:
        return _EXEC / self.playground / f"{self.name}.sock"

    @property
    def host(self) -> str:
        """What to set DOCKER_HOST or SKEP_HOST to."""
        return f"unix://{self.socket}"

    @property
    def settings(self) -> Path:
        """The node's own daemon.json: the machine's has nothing to say here."""
        return self.data_root / "daemon.json"

    @property
    def log(self) -> Path:
        return self.data_root / "daemon.log"

    @property
    def daemon(self) -> Path:
        """Which process of the node is its daemon, as the node counts them."""
        return _EXEC / self.playground / f"{self.name}.pid"

    @property
    def netns(self) -> Path:
        return _EXEC / self.playground / "netns" / self.name

    @property
    def port(self) -> str:
        """The switch's end of the node's link."""
        return f"to-{self.name}"


class Places(msgspec.Struct, frozen=True):
    """One playground, by its name."""

    name: str

    def machine(self, number: int) -> MachinePlace:
        return MachinePlace(self.name, number)

    def named(self, name: str, count: int) -> MachinePlace:
        """The node called `n<number>`, one of `count`. Raises InvalidArgument."""
        found = _NODE.fullmatch(name)
        if found is None or int(found[1]) > count:
            raise InvalidArgument(f'there is no node "{name}" here: the nodes are n1 to n{count}')
        return self.machine(int(found[1]))

    @property
    def data(self) -> Path:
        return _DATA / self.name

    @property
    def exec(self) -> Path:
        return _EXEC / self.name

    @property
    def lock(self) -> Path:
        """Beside the playground, not in it, so that it can be held until nothing is left."""
        return _LOCKS / f"skep-playground-{self.name}"

    @property
    def state(self) -> Path:
        return self.data / "playground.json"

    @property
    def netns_folder(self) -> Path:
        return self.exec / "netns"

    @property
    def switch(self) -> Path:
        return self.netns_folder / "switch"


def places(name: str) -> Places:
    """Raises InvalidArgument for a name that cannot be a folder's."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f'invalid playground name "{name}": use up to 16 of a-z, 0-9 and -, a letter first'
        )
    return Places(name)
