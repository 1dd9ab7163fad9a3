"""What the API asks of services."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

from msgspec.structs import replace

from skep.kit.clock import ZERO_TIME, utc_now
from skep.manager.control import filters as by
from skep.manager.control import resolve, words
from skep.manager.control.counts import status_of
from skep.manager.control.filters import NO_FILTERS, Filters
from skep.manager.control.names import unused_name
from skep.manager.control.spec import complete
from skep.manager.control.validate import check_spec, check_update
from skep.manager.control.writer import check_version, commit, commit_latest
from skep.manager.room import NewId
from skep.model import defaults
from skep.model.base import Version
from skep.model.service import Endpoint, RegistryAuth, Service, ServiceSpec, UpdateStatus
from skep.store.change import Change, Create, Delete, Update, View
from skep.store.store import Store

Clock = Callable[[], datetime]
AuthFrom = Literal["", "spec", "previous-spec"]
Rollback = Literal["", "none", "previous"]

_FILTERS = ("id", "label", "mode", "name", "runtime")
_MODES = ("replicated", "global", "replicated-job", "global-job")


class Created(NamedTuple):
    """The answer to a create: the new id and sentences for the user."""

    id: str
    warnings: list[str]


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

    def find(self, filters: Filters = NO_FILTERS, status: bool = False) -> list[Service]:
        """Services by name; filters id, label, mode, name, runtime. `status` counts their tasks."""
        by.check_keys(filters, _FILTERS)
        by.one_of(filters, "mode", _MODES)
        view = self._store.view
        found = [
            service
            for service in view.services()
            if by.has_prefix(filters, "id", service.id)
            and by.has_prefix(filters, "name", service.spec.name)
            and by.has_labels(filters, "label", service.spec.labels)
            and by.is_among(filters, "mode", defaults.mode_name(service.spec))
            and by.is_among(filters, "runtime", service.spec.task_template.runtime or "container")
        ]
        found.sort(key=lambda service: service.spec.name)
        if not status:
            return found
        return [replace(service, service_status=status_of(view, service)) for service in found]

    async def create(self, spec: ServiceSpec, registry_auth: str = "") -> Created:
        """Check the spec and store a service; an empty name is replaced by a generated one."""
        view = self._store.view
        if not spec.name:
            spec = replace(spec, name=unused_name(view, self._new_id))
        spec = complete(view, spec)
        check_spec(view, spec)
        if view.service_named(spec.name) is not None:
            raise words.name_taken("service", spec.name)
        service = Service(
            id=self._new_id(),
            version=Version(),
            created_at=ZERO_TIME,
            updated_at=ZERO_TIME,
            spec=spec,
            endpoint=Endpoint(),
        )
        changes: list[Change] = [Create(service, why="service create")]
        if registry_auth:
            auth = RegistryAuth(id=service.id, current=registry_auth)
            changes.append(Create(auth, why="service create"))
        await commit(self._store, changes)
        return Created(service.id, [])

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
        view = self._store.view
        service = resolve.service(view, reference)
        check_version(service, version)
        spec = complete(view, spec if spec.name else replace(spec, name=service.spec.name))
        check_update(service.spec, spec)
        check_spec(view, spec, service)
        back = rollback == "previous"
        changed = _rolled_back(service, self._clock()) if back else _updated(service, spec)
        if back:
            check_spec(view, changed.spec, service)
        why = "service rollback" if back else "service update"
        changes: list[Change] = [Update(changed, why=why)]
        changes += _auth_changes(view, service.id, registry_auth, registry_auth_from, back)
        await commit(self._store, changes)
        return []

    async def remove(self, reference: str) -> None:
        """Forget the service; the orchestrator ends its tasks."""
        service_id = resolve.service(self._store.view, reference).id

        def forget(view: View) -> list[Change]:
            service, auth = resolve.service(view, service_id), view.registry_auth(service_id)
            return [Delete(stored, why="service rm") for stored in (service, auth) if stored]

        await commit_latest(self._store, forget)


def _updated(service: Service, spec: ServiceSpec) -> Service:
    """The new spec under a new spec version. What became of the last update is forgotten.

    The spec version is the version at which the service was read: later than any before it.
    """
    return replace(
        service,
        spec=spec,
        spec_version=service.version,
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=None,
        wanted_replicas=defaults.wish_beside(service, spec),
    )


def _rolled_back(service: Service, now: datetime) -> Service:
    """Spec and previous spec exchanged, with their versions: tasks made from it are right again."""
    if service.previous_spec is None:
        raise words.not_possible_now(f"service {service.id} does not have a previous spec")
    return replace(
        service,
        spec=service.previous_spec,
        spec_version=service.previous_spec_version or Version(),
        previous_spec=service.spec,
        previous_spec_version=service.spec_version,
        update_status=UpdateStatus(
            state="rollback_started", started_at=now, message="manually requested rollback"
        ),
        wanted_replicas=defaults.wish_beside(service, service.previous_spec),
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
