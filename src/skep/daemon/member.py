"""What a node must know of its cluster before it can ask anybody: one small file on its disk."""

from __future__ import annotations

from pathlib import Path

import msgspec

from skep.kit.addresses import split_host_port
from skep.kit.errors import UNDECODABLE, Unavailable
from skep.kit.files import DRAFTS, reason_of, remove_trees, write_atomically
from skep.model.node import Role
from skep.protocol.tls import PORT

_FILE = "member.json"


class Member(msgspec.Struct, frozen=True):
    """A node's membership. The file's existence is what makes a node a member: it is written last
    when a node joins and removed first when it leaves.

    `advertise_addr` and `listen_addr` are host:port, `data_path_addr` is an address. `managers` are
    the addresses (host:port) that the node joined by.
    """

    node_id: str
    cluster_id: str
    role: Role
    advertise_addr: str
    listen_addr: str
    data_path_addr: str = ""
    managers: list[str] = []

    @property
    def address(self) -> str:
        """Where other nodes reach this one, without a port."""
        return split_host_port(self.advertise_addr, PORT)[0]


class MemberFolder:
    """The folder `<data root>/swarm`: membership, keys, the manager's store, the agent's file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def read(self) -> Member | None:
        """None when the node is in no cluster. Raises Unavailable for a damaged file."""
        path = self.path / _FILE
        try:
            return msgspec.json.decode(path.read_bytes(), type=Member)
        except FileNotFoundError:
            return None
        except (OSError, *UNDECODABLE) as error:
            raise Unavailable(
                f"{path} is damaged ({reason_of(error)}): restore it, or remove it to leave the"
                " cluster"
            ) from None

    def write(self, member: Member) -> None:
        write_atomically(self.path / _FILE, msgspec.json.encode(member), 0o600)

    def sweep(self) -> None:
        """After a crash: of a join or a leave that never finished nothing stays, least of all a
        key. Only while nobody writes here."""
        if self.path.exists() and not (self.path / _FILE).exists():
            self.clear()
        for draft in self.path.glob(DRAFTS):
            draft.unlink()

    def prepare(self) -> None:
        """An empty folder."""
        self.clear()
        self.path.mkdir(parents=True, mode=0o700)

    def clear(self) -> None:
        """Be no member from now on; then forget the rest."""
        (self.path / _FILE).unlink(missing_ok=True)
        remove_trees([self.path])
