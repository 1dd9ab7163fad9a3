"""Which containers a list shows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from skep.engine.containers.container import Container
from skep.engine.containers.ports import parse_port
from skep.engine.exposed import sound_ports
from skep.engine.queries import ContainerQuery
from skep.kit.patterns import Test, searching

T = TypeVar("T")

_TASK_LABEL = "com.docker.swarm.task.id"


def choose(
    containers: Iterable[Container],
    query: ContainerQuery,
    *,
    everything: bool,
    before: Collection[Container],
    since: Collection[Container],
    image_ids: Collection[str],
) -> list[Container]:
    """Newest first. Without `everything`, or a query that asks for others, those that run.

    `before` and `since` are the containers that the query names, `image_ids` what its ancestors'
    names stand for.
    """
    everything = everything or query.states is not None or query.exit_codes is not None
    latest = min((c.record.created_at for c in before), default=None)
    earliest = max((c.record.created_at for c in since), default=None)
    is_named = searching(query.names) if query.names is not None else None
    chosen = [
        container
        for container in containers
        if (everything or container.running or container.restarting)
        and (latest is None or container.record.created_at < latest)
        and (earliest is None or container.record.created_at > earliest)
        and (is_named is None or _passes_by_name(container, is_named))
        and passes(container, query, image_ids)
    ]
    return sorted(chosen, key=lambda container: container.record.created_at, reverse=True)


def passes(container: Container, query: ContainerQuery, image_ids: Collection[str]) -> bool:
    """All but before, names and since."""
    record = container.record
    labels = record.config.labels
    if query.is_task is not None and query.is_task != (_TASK_LABEL in labels):
        return False
    if not query.labels.passes(labels):
        return False
    exposed = list(map(parse_port, sound_ports(record.config.exposed_ports)))
    return (
        _any(query.ids, record.id.startswith)
        and _any(query.states, lambda state: container.state == state)
        and _any(
            query.exit_codes,
            lambda code: container.state == "exited" and record.exit_code == code,
        )
        and _any(query.health, lambda health: _health(container) == health)
        and _any(
            query.ancestors,
            lambda image: record.config.image == image or record.image_id in image_ids,
        )
        and _any(query.networks, lambda network: _is_on(container, network))
        and _any(
            query.volumes,
            lambda volume: any(volume in (m.source, m.destination) for m in record.mounts),
        )
        and _any(query.published, lambda ports: _opens(_published(container), ports))
        and _any(query.exposed, lambda ports: _opens(exposed, ports))
    )


def _any(alternatives: Collection[T] | None, test: Callable[[T], bool]) -> bool:
    return alternatives is None or any(map(test, alternatives))


def _passes_by_name(container: Container, is_named: Test) -> bool:
    """With and without the slash that docker's names begin with."""
    return is_named(container.name) or is_named(f"/{container.name}")


def _health(container: Container) -> str:
    return container.health.status if container.health else "none"


def _is_on(container: Container, value: str) -> bool:
    record = container.record
    return value == record.host_config.network_mode or any(
        value == each.network_name or each.network_id.startswith(value) for each in record.endpoints
    )


def _published(container: Container) -> list[tuple[int, str]]:
    return [(port.host_port, port.protocol) for port in container.record.ports]


def _opens(ports: Iterable[tuple[int, str]], value: str) -> bool:
    """`80`, `80/tcp` or `80-90/tcp`."""
    span, _, protocol = value.partition("/")
    first, _, last = span.partition("-")
    low = parse_port(f"{first}/{protocol or 'tcp'}")[0]
    high = parse_port(last)[0] if last else low
    return any(low <= port <= high and kind == (protocol or "tcp") for port, kind in ports)
