"""Services: made, changed, rolled back, removed, found; and what is refused on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from skep.kit.clock import NS_PER_S
from skep.kit.errors import (
    InvalidArgument,
    NameTaken,
    NotFound,
    OutOfSequence,
    Unimplemented,
)
from skep.kit.where import Where
from skep.manager.control import Control
from skep.model.base import Version
from skep.model.service import (
    ContainerSpec,
    EndpointSpec,
    GlobalService,
    NetworkAttachmentConfig,
    PortConfig,
    RegistryAuth,
    ReplicatedService,
    Service,
    ServiceMode,
    ServiceSpec,
    ServiceStatus,
    UpdateStatus,
)
from skep.model.states import TaskState
from skep.store.change import Create, Update
from skep.store.store import Store
from skep.testing.builders import spec, task


def _container(service: Service) -> ContainerSpec:
    container = service.spec.task_template.container_spec
    assert container is not None
    return container


async def test_what_was_written_is_what_is_shown(control: Control) -> None:
    wish = spec(2, name="web")
    created = await control.services.create(wish)
    web = control.services.get("web")
    assert web.id == created
    assert web.spec == replace(wish, endpoint_spec=EndpointSpec(mode="vip"))
    assert (web.previous_spec, web.update_status, web.spec_version) == (None, None, Version())
    assert web.version.index > 0


async def test_defaults_are_shown_only_when_asked_for(control: Control) -> None:
    await control.services.create(spec(name="web"))
    plain, full = control.services.get("web"), control.services.get("web", insert_defaults=True)
    assert plain.spec.task_template.restart_policy is None
    restart, container = full.spec.task_template.restart_policy, _container(full)
    assert restart is not None and restart.delay == 5 * NS_PER_S
    assert full.spec.update_config is not None and full.spec.update_config.parallelism == 1
    assert container.stop_grace_period == 10 * NS_PER_S
    assert replace(full, spec=plain.spec) == plain


async def test_a_service_without_a_name_gets_one_of_two_words(control: Control) -> None:
    first = await control.services.create(spec(name=""))
    second = await control.services.create(spec(name=""))
    names = [control.services.get(made).spec.name for made in (first, second)]
    assert len(set(names)) == 2
    assert all(name.partition("_")[2] for name in names)


async def test_a_mode_that_is_not_said_is_replicated_with_one_replica(control: Control) -> None:
    await control.services.create(replace(spec(name="web"), mode=ServiceMode()))
    one = ServiceMode(replicated=ReplicatedService(replicas=1))
    assert control.services.get("web").spec.mode == one


async def test_a_name_is_taken_once(control: Control) -> None:
    await control.services.create(spec(name="web"))
    with pytest.raises(NameTaken) as refusal:
        await control.services.create(spec(name="web"))
    assert (refusal.value.kind, refusal.value.name) == ("service", "web")
    assert str(refusal.value) == "service web already exists"


async def test_networks_are_stored_by_id_in_the_task_template(control: Control) -> None:
    joining = [NetworkAttachmentConfig(target="host", aliases=["a"])]
    await control.services.create(replace(spec(name="web"), networks=joining))
    stored = control.services.get("web").spec
    assert stored.networks == []
    assert stored.task_template.networks == [
        NetworkAttachmentConfig(target="host-id", aliases=["a"])
    ]
    with pytest.raises(NotFound, match="network nowhere not found"):
        missing = [NetworkAttachmentConfig(target="nowhere")]
        await control.services.create(replace(spec(name="b"), networks=missing))
    assert [service.spec.name for service in control.services.find()] == ["web"]


async def test_an_update_keeps_the_spec_before_and_forgets_the_update_before(
    control: Control,
) -> None:
    await control.services.create(spec(name="web", image="app:1"))
    old = control.services.get("web")
    await control.services.update("web", old.version.index, spec(name="web", image="b"))
    new = control.services.get("web")
    assert _container(new).image == "b"
    assert (new.previous_spec, new.previous_spec_version) == (old.spec, old.spec_version)
    assert (new.spec_version, new.update_status) == (old.version, None)


async def test_a_rollback_exchanges_the_specs_and_their_versions(control: Control) -> None:
    await control.services.create(spec(name="web", image="app:1"))
    first = control.services.get("web")
    await control.services.update(first.id, first.version.index, spec(name="web", image="app:2"))
    second = control.services.get("web")
    await control.services.update(first.id, second.version.index, second.spec, rollback="previous")
    back = control.services.get("web")
    assert (back.spec, back.spec_version) == (first.spec, first.spec_version)
    assert (back.previous_spec, back.previous_spec_version) == (second.spec, second.spec_version)
    assert back.update_status is not None
    assert back.update_status.state == "rollback_started"
    assert back.update_status.message == "manually requested rollback"


async def test_a_rollback_needs_a_previous_spec(control: Control) -> None:
    await control.services.create(spec(name="web"))
    web = control.services.get("web")
    with pytest.raises(InvalidArgument, match="does not have a previous spec"):
        await control.services.update("web", web.version.index, web.spec, rollback="previous")


async def test_a_stale_writer_is_refused(control: Control) -> None:
    await control.services.create(spec(name="web"))
    web = control.services.get("web")
    with pytest.raises(OutOfSequence) as refusal:
        await control.services.update("web", web.version.index - 1, web.spec)
    assert str(refusal.value) == "update out of sequence"
    assert control.services.get("web") == web


async def test_what_the_cluster_writes_makes_no_version_old(control: Control, store: Store) -> None:
    await control.services.create(spec(name="web"))
    read = control.services.get("web")
    for state in ("updating", "completed"):
        status = UpdateStatus(state=state)
        service = control.services.get("web")
        await store.commit([Update(replace(service, update_status=status))])
    await control.services.update("web", read.version.index, spec(name="web", image="app:2"))
    written = control.services.get("web")
    assert (written.previous_spec, written.update_status) == (read.spec, None)
    with pytest.raises(OutOfSequence):
        await control.services.update("web", read.version.index, spec(name="web"))
    await control.services.update("web", written.version.index, spec(name="web"))


async def test_a_version_from_before_the_service_or_to_come_is_none(
    control: Control, store: Store
) -> None:
    await control.services.create(spec(name="other"))
    await control.services.create(spec(name="web"))
    newest = control.services.get("web").version.index
    for version in (0, newest - 1, newest + 1):
        with pytest.raises(OutOfSequence):
            await control.services.update("web", version, spec(name="web"))


async def test_an_update_is_tried_again_when_the_cluster_writes_at_the_same_moment(
    control: Control, store: Store
) -> None:
    await control.services.create(spec(name="web"))
    read = control.services.get("web")
    progress = Update(replace(read, update_status=UpdateStatus(state="updating")))
    await asyncio.gather(
        store.commit([progress]),
        control.services.update("web", read.version.index, spec(name="web", image="app:2")),
    )
    assert _container(control.services.get("web")).image == "app:2"


async def test_after_a_rollback_the_spec_is_another(control: Control) -> None:
    await control.services.create(spec(name="web"))
    first = control.services.get("web")
    await control.services.update("web", first.version.index, spec(name="web", image="app:2"))
    second = control.services.get("web")
    await control.services.update("web", second.version.index, second.spec, rollback="previous")
    with pytest.raises(OutOfSequence):
        await control.services.update("web", second.version.index, second.spec, rollback="previous")


async def test_a_service_is_not_renamed_and_keeps_its_mode(control: Control) -> None:
    await control.services.create(spec(name="web"))
    web = control.services.get("web")
    with pytest.raises(Unimplemented, match="renaming services is not supported"):
        await control.services.update("web", web.version.index, spec(name="other"))
    with pytest.raises(Unimplemented, match="service mode change is not allowed"):
        await control.services.update("web", web.version.index, spec(None, name="web"))


async def test_credentials_are_kept_beside_the_service_and_move_with_its_specs(
    control: Control, store: Store
) -> None:
    async def update(**words: Any) -> tuple[str, str]:
        web = control.services.get("web")
        await control.services.update("web", web.version.index, web.spec, **words)
        has = store.view.registry_auth(web.id)
        assert has is not None
        return has.current, has.previous

    created = await control.services.create(spec(name="web"), registry_auth="one")
    first = store.view.registry_auth(created)
    assert first is not None and first.current == "one"
    assert await update() == ("one", "one")
    assert await update(registry_auth="two") == ("two", "one")
    assert await update(registry_auth_from="previous-spec") == ("one", "two")
    assert await update(rollback="previous") == ("two", "one")
    await control.services.remove("web")
    assert store.view.registry_auth(created) is None


async def test_no_credentials_leave_no_trace(control: Control, store: Store) -> None:
    created = await control.services.create(spec(name="web"))
    web = control.services.get("web")
    await control.services.update("web", web.version.index, web.spec)
    assert store.view.registry_auth(created) is None


async def test_a_removed_service_is_gone_and_its_name_is_free(control: Control) -> None:
    await control.services.create(spec(name="web"))
    await control.services.remove("web")
    with pytest.raises(NotFound, match="service web not found"):
        control.services.get("web")
    await control.services.create(spec(name="web"))


async def test_services_are_found_by_name_and_by_what_is_asked_of_them(control: Control) -> None:
    for name in ("web", "agent", "db"):
        await control.services.create(spec(name=name))

    def names(*where: Where[Service]) -> list[str]:
        return [service.spec.name for service in control.services.find(*where)]

    assert names() == ["agent", "db", "web"]
    assert names(lambda service: service.spec.name > "b") == ["db", "web"]


async def test_running_and_wanted_tasks_are_counted_on_demand(
    control: Control, store: Store
) -> None:
    await control.services.create(spec(3, name="web"))
    await control.services.create(spec(None, name="agent"))
    web, agent = control.services.get("web"), control.services.get("agent")
    starting = task("b", web, 2, on="w1", state=TaskState.STARTING)
    stopping = task("c", web, 3, on="w1", desired=TaskState.SHUTDOWN)
    there = [task("a", web, 1, on="w1"), starting, stopping, task("g", agent, 0, on="w1")]
    await store.commit([Create(this) for this in there])

    def counts() -> dict[str, ServiceStatus | None]:
        return {s.spec.name: s.service_status for s in control.services.find(status=True)}

    assert counts() == {
        "agent": ServiceStatus(running_tasks=1, desired_tasks=1),
        "web": ServiceStatus(running_tasks=1, desired_tasks=3),
    }
    w1 = store.view.node("w1")
    assert w1 is not None
    await store.commit([Update(replace(w1, status=replace(w1.status, state="down")))])
    assert counts()["web"] == ServiceStatus(running_tasks=0, desired_tasks=3)
    assert control.services.find()[0].service_status is None


def publishing(name: str, *ports: PortConfig) -> ServiceSpec:
    return replace(spec(name=name), endpoint_spec=EndpointSpec(ports=list(ports)))


async def test_an_ingress_port_is_one_services(control: Control) -> None:
    port = PortConfig(target_port=80, published_port=8080)
    created = await control.services.create(publishing("web", port))
    with pytest.raises(InvalidArgument) as refusal:
        await control.services.create(publishing("b", replace(port, target_port=1)))
    assert str(refusal.value) == (
        f"port '8080' is already in use by service 'web' ({created}) as an ingress port"
    )
    host = replace(port, publish_mode="host")
    with pytest.raises(InvalidArgument, match="as an ingress port"):
        await control.services.create(publishing("b", host))
    await control.services.create(publishing("udp", replace(port, protocol="udp")))
    web = control.services.get("web")
    await control.services.update("web", web.version.index, web.spec)


async def test_host_ports_only_conflict_with_ingress_ports(control: Control) -> None:
    host = PortConfig(target_port=80, published_port=8080, publish_mode="host")
    await control.services.create(publishing("a", host))
    await control.services.create(publishing("b", host))
    with pytest.raises(InvalidArgument, match=r"by service 'a' \(.*\) as a host-published port"):
        await control.services.create(publishing("c", replace(host, publish_mode="ingress")))


async def test_a_port_that_was_chosen_for_another_service_is_taken(
    control: Control, store: Store
) -> None:
    await control.services.create(publishing("web", PortConfig(target_port=80)))
    web = control.services.get("web")
    chosen = PortConfig(target_port=80, published_port=30000)
    given = replace(web.endpoint, ports=[chosen])
    await store.commit([Update(replace(web, endpoint=given))])
    with pytest.raises(InvalidArgument, match="port '30000' is already in use"):
        await control.services.create(publishing("b", replace(chosen, target_port=1)))


async def test_two_modes_are_one_too_many(control: Control) -> None:
    both = ServiceMode(replicated=ReplicatedService(), global_=GlobalService())
    with pytest.raises(InvalidArgument, match="must specify only one service mode"):
        await control.services.create(replace(spec(name="web"), mode=both))


async def test_auth_object_is_not_part_of_the_service(control: Control, store: Store) -> None:
    created = await control.services.create(spec(name="web"), registry_auth="hunter2")
    assert "hunter2" not in repr(control.services.get("web"))
    assert isinstance(store.view.registry_auth(created), RegistryAuth)
