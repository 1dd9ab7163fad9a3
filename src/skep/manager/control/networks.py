"""What the API asks of the cluster's networks (local ones are the engine's)."""

from __future__ import annotations

from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.writer import Store
from skep.manager.room import NewId
from skep.model.network import Network, NetworkCreate


class Networks:
    """Cluster networks by id, name or id prefix (`reference`).

    The predefined `host` and `bridge` (services ask for them by these names; every node has its
    own) can be read by `get` and are left out of `find`, as docker does.
    """

    def __init__(self, store: Store, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    def get(self, reference: str) -> Network:
        raise NotImplementedError

    def find(self, filters: Filters = NO_FILTERS) -> list[Network]:
        """Networks by name; filters dangling, driver, id, label, name, scope, type."""
        raise NotImplementedError

    async def create(self, request: NetworkCreate) -> str:
        """Store a cluster network (driver overlay); returns its id. Its subnet comes later."""
        raise NotImplementedError

    async def remove(self, reference: str) -> None:
        """Forget a network that no service or task uses."""
        raise NotImplementedError
