"""What doors ask of services."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec.structs import replace

from skep.kit.clock import ZERO_TIME, utc_now
from skep.kit.errors import NotPossibleNow
from skep.kit.names import made_up_name
from skep.kit.where import Where, anything
from skep.manager.control import resolve
from skep.manager.control.counts import status_of
from skep.manager.control.spec import complete
from skep.manager.control.validate import check_spec, check_update
from skep.manager.control.writer import check_version, commit_latest
from skep.manager.room import NewId
from skep.model import defaults
from skep.model.base import Version
from skep.model.service import Endpoint, RegistryAuth, Service, ServiceSpec, UpdateStatus
from skep.store.change import Change, Create, Delete, Update, View
from skep.store.store import Store

Clock = Callable[[], datetime]
AuthFrom = Literal["", "spec", "previous-spec"]
Rollback = Literal["", "none", "previous"]


class Services:
    """Services by id, name or id prefix (`reference`). Writers commit once and then return.

    `registry_auth` is the X-Registry-Auth header as sent ("" = none).
    """

    def __init__(self, store: Store, new_id: NewId, clock: Clock = utc_now) -> None:
        self._store = store
        self._new_id = new_id
        self._clock = clock

    def get(self, reference: str, insert_defaults: bool = False) -> Service:
        """The service; with Swarm's defaults written into its spec when asked for."""
        service = resolve.service(self._store.view, reference)
        if not insert_defaults:
            return service
        return replace(service, spec=defaults.with_defaults(service.spec))

    def find(self, where: Where[Service] = anything, *, status: bool = False) -> list[Service]:
        """Services by name. `status` counts their tasks."""
        view = self._store.view
        found = [service for service in view.services() if where(service)]
        found.sort(key=lambda service: service.spec.name)
        if not status:
            return found
        return [replace(service, service_status=status_of(view, service)) for service in found]

    async def create(self, spec: ServiceSpec, registry_auth: str = "") -> str:
        """Check the spec and store a service; returns its id. An empty name is made up."""
        view = self._store.view
        if not spec.name:
            spec = replace(spec, name=_unused_name(view, self._new_id))
        spec = complete(view, spec)
        check_spec(view, spec)
        service = Service(
            id=self._new_id(),
            version=Version(),
            created_at=ZERO_TIME,
            updated_at=ZERO_TIME,
            spec=spec,
            spec_since=Version(view.revision),
            endpoint=Endpoint(),
        )
        changes: list[Change] = [Create(service, why="service create")]
        if registry_auth:
            auth = RegistryAuth(id=service.id, current=registry_auth)
            changes.append(Create(auth, why="service create"))
        await self._store.commit(changes)
        return service.id

    async def update(
        self,
        reference: str,
        version: int,
        spec: ServiceSpec,
        *,
        registry_auth: str = "",
        registry_auth_from: AuthFrom = "",
        rollback: Rollback = "",
    ) -> None:
        """Replace the spec of the service read at `version`.

        `rollback="previous"` exchanges the spec for the previous one; `spec` is then only checked.
        Credentials that are not sent are taken from the spec, or previous spec, that has them.
        """
        service_id = resolve.service(self._store.view, reference).id
        back = rollback == "previous"

        def change(view: View) -> list[Change]:
            service = resolve.service(view, service_id)
            check_version(service, version)
            wanted = complete(view, spec if spec.name else replace(spec, name=service.spec.name))
            check_update(service.spec, wanted)
            check_spec(view, wanted, service)
            changed = _rolled_back(service, self._clock()) if back else updated(service, wanted)
            if back:
                check_spec(view, changed.spec, service)
            why = "service rollback" if back else "service update"
            auth = _auth_changes(view, service.id, registry_auth, registry_auth_from, back)
            return [Update(changed, why=why), *auth]

        await commit_latest(self._store, change)

    async def remove(self, reference: str) -> None:
        """Forget the service; the orchestrator ends its tasks."""
        service_id = resolve.service(self._store.view, reference).id

        def forget(view: View) -> list[Change]:
            service, auth = resolve.service(view, service_id), view.registry_auth(service_id)
            return [Delete(stored, why="service rm") for stored in (service, auth) if stored]

        await commit_latest(self._store, forget)


def _unused_name(view: View, new_id: NewId) -> str:
    """A name that no service has. The chance in it comes from `new_id`."""
    number = int(new_id(), 36)
    name = made_up_name(number)
    return name if view.service_named(name) is None else f"{name}{number % 100_000}"


def updated(service: Service, spec: ServiceSpec) -> Service:
    """The new spec under a new spec version. What became of the last update is forgotten.

    The spec version is the version at which the service was read: later than any before it.
    """
    return replace(
        service,
        spec=spec,
        spec_since=service.version,
        spec_version=service.version,
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=None,
    )


def _rolled_back(service: Service, now: datetime) -> Service:
    """Spec and previous spec exchanged, with their versions: tasks made from it are right again."""
    if service.previous_spec is None:
        raise NotPossibleNow(f"service {service.id} does not have a previous spec")
    return replace(
        service,
        spec=service.previous_spec,
        spec_since=service.version,
        spec_version=service.previous_spec_version or Version(),
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=UpdateStatus(
            state="rollback_started", started_at=now, message="manually requested rollback"
        ),
    )


def _auth_changes(
    view: View, service_id: str, sent: str, source: AuthFrom, back: bool
) -> list[Change]:
    """Credentials follow the spec that they were sent with: they move when specs do."""
    old = view.registry_auth(service_id)
    has = old or RegistryAuth(id=service_id)
    kept = has.previous if back or source == "previous-spec" else has.current
    new = replace(has, current=sent or kept, previous=has.current)
    if new == has:
        return []
    return [Create(new, why="service update") if old is None else Update(new, why="service update")]
