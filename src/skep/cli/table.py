"""Every command, one line each: its words, where it is built, what help says of it.

Nothing here imports a command: help and completion read this table alone, and a run imports one
module. `home` is `module:NAME` below `skep.cli.commands`; a group has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

COMMON = "Common Commands"
MANAGEMENT = "Management Commands"
SWARM = "Swarm Commands"
NODE = "Daemon Commands"
PLAIN = "Commands"
SECTIONS = (COMMON, MANAGEMENT, SWARM, NODE, PLAIN)


class Entry(NamedTuple):
    """`path` is the words after `skep`; `more` are other last words for it than `_ALIASES`."""

    path: str
    home: str
    sentence: str
    section: str = PLAIN
    more: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.path.rpartition(" ")[2]

    @property
    def parent(self) -> str:
        return self.path.rpartition(" ")[0]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other last words for it."""
        return (*_ALIASES.get(self.name, ()), *self.more) if self.parent else self.more

    @property
    def is_group(self) -> bool:
        return not self.home


_ALIASES = {"ls": ("list",), "rm": ("remove",)}

_SPELLED: tuple[Entry, ...] = (
    Entry("run", "run:RUN", "Create and run a new container from an image", COMMON),
    Entry("exec", "execute:EXEC", "Execute a command in a running container", COMMON),
    Entry("ps", "container_list:LS", "List containers", COMMON),
    Entry("pull", "image_transfer:PULL", "Download an image from a registry", COMMON),
    Entry("images", "image_list:LS", "List images", COMMON),
    Entry("login", "login:LOGIN", "Authenticate to a registry", COMMON),
    Entry("logout", "login:LOGOUT", "Log out from a registry", COMMON),
    Entry("version", "version:VERSION", "Show the version of client and daemon", COMMON),
    Entry("info", "info:INFO", "Display system-wide information", COMMON),
    Entry("container", "", "Manage containers", MANAGEMENT),
    Entry("image", "", "Manage images", MANAGEMENT),
    Entry("network", "", "Manage networks", MANAGEMENT),
    Entry("system", "", "Manage the daemon's data", MANAGEMENT),
    Entry("volume", "", "Manage volumes", MANAGEMENT),
    Entry("config", "", "Manage Swarm configs", SWARM),
    Entry("node", "", "Manage Swarm nodes", SWARM),
    Entry("secret", "", "Manage Swarm secrets", SWARM),
    Entry("service", "", "Manage Swarm services", SWARM),
    Entry("swarm", "", "Manage Swarm", SWARM),
    Entry("daemon", "daemon:DAEMON", "Run the daemon of this machine", NODE),
    Entry("playground", "", "A cluster of many nodes on this machine", NODE),
    Entry("playground up", "playground:UP", "Make the nodes and join them to one cluster"),
    Entry("playground down", "playground:DOWN", "Remove the nodes and all that they made"),
    Entry("playground status", "playground:STATUS", "Show a line for each node"),
    Entry("playground exec", "playground:EXEC", "Run a command inside a node"),
    Entry("playground kill", "playground:KILL", "Pull the plug of nodes"),
    Entry("playground start", "playground:START", "Switch killed nodes on again"),
    Entry("playground partition", "playground:PARTITION", "Cut nodes off the network"),
    Entry("playground heal", "playground:HEAL", "Plug nodes into the network again"),
    Entry("completion", "completion:COMPLETION", "Print a completion script for a shell", NODE),
    Entry("inspect", "inspect:INSPECT", "Return low-level information on objects"),
    Entry("rmi", "image_manage:RM", "Remove one or more images"),
    Entry("container attach", "attach:ATTACH", "Attach this terminal to a running container"),
    Entry("container cp", "copy:CP", "Copy files between a container and this machine"),
    Entry("container create", "run:CREATE", "Create a new container"),
    Entry("container exec", "execute:EXEC", "Execute a command in a running container"),
    Entry("container inspect", "inspect:CONTAINER", "Display detailed information on containers"),
    Entry("container kill", "container_state:KILL", "Kill one or more running containers"),
    Entry("container logs", "container_logs:LOGS", "Fetch the logs of a container"),
    Entry("container ls", "container_list:LS", "List containers", more=("ps",)),
    Entry("container pause", "container_state:PAUSE", "Pause all processes within containers"),
    Entry("container port", "container_facts:PORT", "List port mappings of a container"),
    Entry("container prune", "prune:CONTAINERS", "Remove all stopped containers"),
    Entry("container rename", "container_state:RENAME", "Rename a container"),
    Entry("container restart", "container_state:RESTART", "Restart one or more containers"),
    Entry("container rm", "container_state:RM", "Remove one or more containers"),
    Entry("container run", "run:RUN", "Create and run a new container from an image"),
    Entry("container start", "start:START", "Start one or more stopped containers"),
    Entry("container stats", "stats:STATS", "Display a live stream of containers' resource usage"),
    Entry("container stop", "container_state:STOP", "Stop one or more running containers"),
    Entry("container top", "container_facts:TOP", "Display the running processes of a container"),
    Entry("container unpause", "container_state:UNPAUSE", "Unpause all processes"),
    Entry("container update", "container_update:UPDATE", "Update the limits of containers"),
    Entry("container wait", "container_state:WAIT", "Wait until containers stop"),
    Entry("image import", "image_transfer:IMPORT", "Make an image of a tar archive"),
    Entry("image inspect", "inspect:IMAGE", "Display detailed information on images"),
    Entry("image load", "image_transfer:LOAD", "Load an image from a tar archive or STDIN"),
    Entry("image ls", "image_list:LS", "List images"),
    Entry("image prune", "prune:IMAGES", "Remove unused images"),
    Entry("image pull", "image_transfer:PULL", "Download an image from a registry"),
    Entry("image rm", "image_manage:RM", "Remove one or more images"),
    Entry("image save", "image_transfer:SAVE", "Save one or more images to a tar archive"),
    Entry("image tag", "image_manage:TAG", "Give an image another name"),
    Entry("network connect", "network:CONNECT", "Connect a container to a network"),
    Entry("network create", "network:CREATE", "Create a network"),
    Entry("network disconnect", "network:DISCONNECT", "Disconnect a container from a network"),
    Entry("network inspect", "inspect:NETWORK", "Display detailed information on networks"),
    Entry("network ls", "network_list:LS", "List networks"),
    Entry("network prune", "prune:NETWORKS", "Remove all unused networks"),
    Entry("network rm", "network:RM", "Remove one or more networks"),
    Entry("system df", "disk_usage:DF", "Show disk usage"),
    Entry("system events", "events:EVENTS", "Get real time events from the daemon"),
    Entry("system info", "info:INFO", "Display system-wide information"),
    Entry("system prune", "prune:SYSTEM", "Remove unused data"),
    Entry("volume create", "volume:CREATE", "Create a volume"),
    Entry("volume inspect", "inspect:VOLUME", "Display detailed information on volumes"),
    Entry("volume ls", "volume:LS", "List volumes"),
    Entry("volume prune", "prune:VOLUMES", "Remove unused local volumes"),
    Entry("volume rm", "volume:RM", "Remove one or more volumes"),
    Entry("volume update", "volume:UPDATE", "Update a volume (cluster volumes only)"),
    Entry("config create", "config:CREATE", "Create a config from a file or STDIN"),
    Entry("config inspect", "config:INSPECT", "Display detailed information on configs"),
    Entry("config ls", "config:LS", "List configs"),
    Entry("config rm", "config:RM", "Remove one or more configs"),
    Entry("node demote", "node:DEMOTE", "Make managers workers"),
    Entry("node inspect", "node_inspect:INSPECT", "Display detailed information on nodes"),
    Entry("node ls", "node_list:LS", "List nodes in the swarm"),
    Entry("node promote", "node:PROMOTE", "Make workers managers"),
    Entry("node ps", "task_list:NODE_PS", "List tasks running on one or more nodes"),
    Entry("node rm", "node:RM", "Remove one or more nodes from the swarm"),
    Entry("node update", "node:UPDATE", "Update a node"),
    Entry("secret create", "secret:CREATE", "Create a secret from a file or STDIN"),
    Entry("secret inspect", "secret:INSPECT", "Display detailed information on secrets"),
    Entry("secret ls", "secret:LS", "List secrets"),
    Entry("secret rm", "secret:RM", "Remove one or more secrets"),
    Entry("service create", "service_create:CREATE", "Create a new service"),
    Entry("service inspect", "service_inspect:INSPECT", "Display information on services"),
    Entry("service logs", "service_logs:LOGS", "Fetch the logs of a service or task"),
    Entry("service ls", "service_list:LS", "List services"),
    Entry("service ps", "task_list:SERVICE_PS", "List the tasks of one or more services"),
    Entry("service rm", "service_scale:RM", "Remove one or more services"),
    Entry("service rollback", "service_update:ROLLBACK", "Go back to a service's previous spec"),
    Entry("service scale", "service_scale:SCALE", "Scale one or more replicated services"),
    Entry("service update", "service_update:UPDATE", "Update a service"),
    Entry("swarm ca", "swarm_ca:CA", "Display and rotate the root CA"),
    Entry("swarm init", "swarm:INIT", "Initialize a swarm"),
    Entry("swarm join", "swarm:JOIN", "Join a swarm as a node and/or manager"),
    Entry("swarm join-token", "swarm_keys:JOIN_TOKEN", "Manage join tokens"),
    Entry("swarm leave", "swarm:LEAVE", "Leave the swarm"),
    Entry("swarm unlock", "swarm_keys:UNLOCK", "Unlock swarm"),
    Entry("swarm unlock-key", "swarm_keys:UNLOCK_KEY", "Manage the unlock key"),
    Entry("swarm update", "swarm:UPDATE", "Update the swarm"),
)

_ALSO_WITHOUT_GROUP = {
    "container": "attach cp create kill logs pause port rename restart rm start stats stop top "
    "unpause update wait",
    "image": "import load save tag",
    "system": "events",
}
"""Group -> its commands that are called without its name, too."""


def _short_forms() -> Iterator[Entry]:
    for entry in _SPELLED:
        if entry.name in _ALSO_WITHOUT_GROUP.get(entry.parent, "").split():
            yield entry._replace(path=entry.name)


TABLE = (*_SPELLED, *_short_forms())


def find(words: list[str]) -> tuple[Entry | None, list[str]]:
    """The entry that `words` begin with, and the words after it; None when the first is unknown."""
    found: Entry | None = None
    rest = words
    while rest and (found is None or found.is_group):
        parent = found.path if found else ""
        entry = next((e for e in children(parent) if rest[0] in (e.name, *e.aliases)), None)
        if entry is None:
            break
        found, rest = entry, rest[1:]
    return found, rest


def children(parent: str) -> Iterator[Entry]:
    """The entries right below the group `parent` (empty: the program)."""
    return (entry for entry in TABLE if entry.parent == parent)


def all_names(entry: Entry) -> list[str]:
    """Every way to call what `entry` calls, as help lists them."""
    paths = []
    for other in sorted((e for e in TABLE if e.home == entry.home), key=_longest_first):
        paths += [
            " ".join(filter(None, ("skep", other.parent, name)))
            for name in (other.name, *other.aliases)
        ]
    return paths


def _longest_first(entry: Entry) -> int:
    return -entry.path.count(" ")
