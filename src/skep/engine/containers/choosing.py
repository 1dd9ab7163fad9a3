"""Which containers a list shows: docker's filters. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from skep.engine.containers.container import Container
from skep.engine.containers.ports import parse_port
from skep.engine.exposed import sound_ports
from skep.engine.filters import flag, passes_labels
from skep.kit.errors import InvalidArgument
from skep.kit.numbers import parse_int
from skep.kit.patterns import Test, searching

KNOWN = frozenset({
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "label", "label!", "name",
    "network", "publish", "since", "status", "volume",
})  # fmt: skip
_STATES = frozenset({"created", "dead", "exited", "paused", "removing", "restarting", "running"})
_HEALTH = frozenset({"healthy", "none", "starting", "unhealthy"})
_TASK_LABEL = "com.docker.swarm.task.id"

Wanted = Mapping[str, Collection[str]]


def check_values(wanted: Wanted) -> None:
    """Raises InvalidArgument for values that can match nothing."""
    for key, known in (("status", _STATES), ("health", _HEALTH)):
        for value in wanted.get(key, ()):
            if value not in known:
                raise InvalidArgument(f"invalid filter '{key}={value}'")
    for value in wanted.get("exited", ()):
        try:
            parse_int(value)
        except ValueError:
            raise InvalidArgument(f"invalid filter 'exited={value}'") from None


def choose(
    containers: Iterable[Container],
    wanted: Wanted,
    *,
    everything: bool,
    before: Collection[Container],
    since: Collection[Container],
    image_ids: Collection[str],
) -> list[Container]:
    """Newest first. Without `everything`, or a filter that asks for others, those that run.

    `before` and `since` are the containers that these filters name, `image_ids` what `ancestor`
    names stand for.
    """
    everything = everything or "status" in wanted or "exited" in wanted
    latest = min((c.record.created_at for c in before), default=None)
    earliest = max((c.record.created_at for c in since), default=None)
    is_named = searching(wanted["name"]) if "name" in wanted else None
    chosen = [
        container
        for container in containers
        if (everything or container.running or container.restarting)
        and (latest is None or container.record.created_at < latest)
        and (earliest is None or container.record.created_at > earliest)
        and (is_named is None or _passes_by_name(container, is_named))
        and passes(container, wanted, image_ids)
    ]
    return sorted(chosen, key=lambda container: container.record.created_at, reverse=True)


def passes(container: Container, wanted: Wanted, image_ids: Collection[str]) -> bool:
    """All filters but before, name and since."""
    record = container.record
    is_task = flag(wanted, "is-task")
    if is_task is not None and is_task != (_TASK_LABEL in record.config.labels):
        return False
    if not passes_labels(record.config.labels, wanted):
        return False
    tests: dict[str, Callable[[str], bool]] = {
        "id": lambda value: record.id.startswith(value),
        "status": lambda value: container.state == value,
        "exited": lambda value: container.state == "exited" and record.exit_code == int(value),
        "health": lambda value: _health(container) == value,
        "ancestor": lambda value: record.config.image == value or record.image_id in image_ids,
        "network": lambda value: _is_on(container, value),
        "volume": lambda value: any(value in (m.source, m.destination) for m in record.mounts),
        "publish": lambda value: _opens(_published(container), value),
        "expose": lambda value: _opens(
            map(parse_port, sound_ports(record.config.exposed_ports)), value
        ),
    }
    return all(any(map(test, wanted[key])) for key, test in tests.items() if key in wanted)


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
