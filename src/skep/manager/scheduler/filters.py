"""Which nodes a task may stand on, and why not on the others.

Swarm's filters, in Swarm's order; a node is refused by the first that does not pass it. Each one
explains itself in a clause of the sentence that `service ps` shows (source: swarmkit
manager/scheduler/filter.go, pipeline.go).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from skep.kit.machines import go_architecture
from skep.manager.constraint import Constraint, matches, parse
from skep.manager.scheduler.nodeinfo import Need, NodeInfo, need_of
from skep.model import defaults
from skep.model.node import Node, Plugin, eligible
from skep.model.service import ContainerSpec, Platform
from skep.model.task import Task


class Demand(msgspec.Struct, frozen=True):
    """What a task asks of a node. Equal requests have equal candidates."""

    constraints: tuple[Constraint, ...] = ()
    platforms: tuple[Platform, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    need: Need = Need()


def request_of(task: Task) -> Demand:
    placement = defaults.placement(task.spec)
    return Demand(
        parse(placement.constraints) if placement.constraints else (),
        tuple(placement.platforms),
        _plugins_of(task),
        need_of(task),
    )


def _plugins_of(task: Task) -> tuple[Plugin, ...]:
    """Volume and log drivers that the task names, beside those that every node has."""
    plugins = list(_volume_plugins(defaults.container(task.spec)))
    log_driver = task.spec.log_driver
    if log_driver is not None and log_driver.name not in ("", "none"):
        plugins.append(Plugin(type="Log", name=log_driver.name))
    return tuple(plugins)


def _volume_plugins(container: ContainerSpec) -> Iterable[Plugin]:
    for mount in container.mounts:
        options = mount.volume_options
        driver = options.driver_config if options is not None else None
        if mount.type == "volume" and driver is not None and driver.name not in ("", "local"):
            yield Plugin(type="Volume", name=driver.name)


def _is_ready(info: NodeInfo, request: Demand) -> bool:
    return info.node is not None and eligible(info.node)


def _has_resources(info: NodeInfo, request: Demand) -> bool:
    return info.has_room_for(request.need)


def _has_plugins(info: NodeInfo, request: Demand) -> bool:
    """A node that reports no log drivers at all has not said which it has: it is believed."""
    if not request.plugins or info.node is None:
        return True
    present = info.node.description.engine.plugins
    reports_logs = any(plugin.type == "Log" for plugin in present)
    return all(
        plugin in present or (plugin.type == "Log" and not reports_logs)
        for plugin in request.plugins
    )


def _meets_constraints(info: NodeInfo, request: Demand) -> bool:
    if not request.constraints or info.node is None:
        return True
    return matches(request.constraints, info.node)


def _is_platform(info: NodeInfo, request: Demand) -> bool:
    if not request.platforms or info.node is None:
        return True
    return any(_is_same_platform(info.node, wanted) for wanted in request.platforms)


def _is_same_platform(node: Node, wanted: Platform) -> bool:
    has = node.description.platform
    if wanted.os and wanted.os != has.os:
        return False
    if not wanted.architecture:
        return True
    return go_architecture(wanted.architecture) == go_architecture(has.architecture)


def _has_host_ports_free(info: NodeInfo, request: Demand) -> bool:
    wanted = request.need.host_ports
    return not wanted or info.host_ports.keys().isdisjoint(wanted)


class Filter(msgspec.Struct, frozen=True):
    """`reason` is the clause with {} for the number of nodes, as in "2 nodes"."""

    passes: Callable[[NodeInfo, Demand], bool]
    reason: str


_READY = Filter(_is_ready, "{} not available for new tasks")
_RESOURCES = Filter(_has_resources, "insufficient resources on {}")
_PLUGINS = Filter(_has_plugins, "missing plugin on {}")
_CONSTRAINTS = Filter(_meets_constraints, "scheduling constraints not satisfied on {}")
_PLATFORM = Filter(_is_platform, "unsupported platform on {}")
_HOST_PORTS = Filter(_has_host_ports_free, "host-mode port already in use on {}")

FILTERS = (_READY, _RESOURCES, _PLUGINS, _CONSTRAINTS, _PLATFORM, _HOST_PORTS)
MAX_REPLICAS_REASON = "max replicas per node limit exceed"
_ORDER = {reason: i for i, reason in enumerate([*(f.reason for f in FILTERS), MAX_REPLICAS_REASON])}


def passes_all(info: NodeInfo, request: Demand) -> bool:
    return first_refusal(info, request) is None


def first_refusal(info: NodeInfo, request: Demand) -> Filter | None:
    """The first filter that the node does not pass. (A plain loop: this runs per node.)"""
    for candidate in FILTERS:
        if not candidate.passes(info, request):
            return candidate
    return None


def still_fits(info: NodeInfo, request: Demand) -> bool:
    """For a node that passed before: whether what was placed since left enough of it."""
    return _has_resources(info, request) and _has_host_ports_free(info, request)


def explain(infos: Iterable[NodeInfo], request: Demand) -> str:
    """Why none of the nodes will do: "no suitable node (…)", the most frequent reason first.

    A node that passes every filter can only have been refused by the replicas limit per node.
    """
    counts: Counter[str] = Counter()
    for info in infos:
        refusal = first_refusal(info, request)
        counts[refusal.reason if refusal else MAX_REPLICAS_REASON] += 1
    refusals = sorted(counts.items(), key=lambda entry: (-entry[1], _ORDER[entry[0]]))
    clauses = [reason.format(_nodes(count)) for reason, count in refusals]
    return f"no suitable node ({'; '.join(clauses)})" if clauses else "no suitable node"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
