"""What the API asks of services."""

from __future__ import annotations

from typing import Literal, NamedTuple

from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.writer import Store
from skep.manager.room import NewId
from skep.model.service import Service, ServiceSpec

AuthFrom = Literal["", "spec", "previous-spec"]
Rollback = Literal["", "none", "previous"]


class Created(NamedTuple):
    """The answer to a create: the new id and sentences for the user."""

    id: str
    warnings: list[str]


class Services:
    """Services by id, name or id prefix (`reference`). Writers commit once and then return.

    `registry_auth` is the X-Registry-Auth header as sent ("" = none).
    """

    def __init__(self, store: Store, new_id: NewId) -> None:
        self._store = store
        self._new_id = new_id

    def get(self, reference: str, insert_defaults: bool = False) -> Service:
        """The service; with Swarm's defaults written into its spec when asked for."""
        raise NotImplementedError

    def find(self, filters: Filters = NO_FILTERS, status: bool = False) -> list[Service]:
        """Services by name; filters id, label, mode, name, runtime. `status` counts their tasks."""
        raise NotImplementedError

    async def create(self, spec: ServiceSpec, registry_auth: str = "") -> Created:
        """Check the spec and store a service; an empty name is replaced by a generated one."""
        raise NotImplementedError

    async def update(
        self,
        reference: str,
        version: int,
        spec: ServiceSpec,
        *,
        registry_auth: str = "",
        registry_auth_from: AuthFrom = "",
        rollback: Rollback = "",
    ) -> list[str]:
        """Replace the spec of the service read at `version`; returns warnings.

        `rollback="previous"` exchanges the spec for the previous one; `spec` is then only checked.
        Credentials that are not sent are taken from the spec, or previous spec, that has them.
        """
        raise NotImplementedError

    async def remove(self, reference: str) -> None:
        """Forget the service; the orchestrator ends its tasks."""
        raise NotImplementedError
