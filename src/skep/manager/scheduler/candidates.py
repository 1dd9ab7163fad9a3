"""Which of the possible nodes comes next: heaps, and a tree of them for placement preferences.

A node is the better the fewer recent failures, then tasks of this service, then tasks at all it
has; the id breaks ties, so equal clusters give equal plans. (Source of the order: swarmkit
manager/scheduler/scheduler.go, nodeLess.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Protocol

from skep.manager.scheduler.filters import Demand, passes_all, still_fits
from skep.manager.scheduler.nodeinfo import NodeInfo
from skep.model.node import Node
from skep.model.service import PlacementPreference

_MOST_USED = 50
"""So many nodes that have a task of the service already are passed over to find one without."""


class Shortlist:
    """The nodes that can take a task with this request, the least busy first.

    All groups of a plan that ask for the same share one list: inside a plan nodes only fill up, so
    a node that no longer fits is dropped for good, and a heap entry is at worst too low.
    """

    def __init__(self, infos: Iterable[NodeInfo], request: Demand) -> None:
        self.request = request
        self.infos = [info for info in infos if passes_all(info, request)]
        self.ids = frozenset(info.id for info in self.infos)
        self._heap = [(info.total, info.index, info) for info in self.infos]
        heapify(self._heap)

    def unused_by(self, service_id: str, avoid: frozenset[str]) -> Iterator[NodeInfo]:
        """Nodes without a task of the service, the least busy first, each at most once.

        The caller places on each node before it asks for the next. Cheap where a service is small
        beside the cluster: nodes that were not looked at cost nothing. Ends early where it is not:
        a chooser that knows all nodes finds the unused ones too.
        """
        seen: list[NodeInfo] = []
        used = 0
        try:
            while self._heap and used < _MOST_USED:
                total, index, info = heappop(self._heap)
                if not still_fits(info, self.request):
                    continue
                if total != info.total:
                    heappush(self._heap, (info.total, index, info))
                    continue
                seen.append(info)
                if service_id not in info.by_service and info.id not in avoid:
                    yield info
                else:
                    used += 1
        finally:
            for info in seen:
                heappush(self._heap, (info.total, info.index, info))


class Chooser(Protocol):
    """Gives node after node; the caller places on each before it asks for the next."""

    def next(self) -> NodeInfo | None: ...


Score = Callable[[NodeInfo], tuple[float, ...]]


def spread_score(service_id: str, avoid: frozenset[str]) -> Score:
    def score(info: NodeInfo) -> tuple[float, ...]:
        tasks_of_service = info.by_service.get(service_id, 0)
        return (info.id in avoid, tasks_of_service, info.total, info.index)

    return score


def binpack_score(resource: str, avoid: frozenset[str]) -> Score:
    """The fullest node first; among equally full ones the one with most tasks."""

    def score(info: NodeInfo) -> tuple[float, ...]:
        return (info.id in avoid, -info.used_share(resource), -info.total, info.index)

    return score


class Pick:
    """The best node by score, again and again, until none fits."""

    def __init__(
        self, infos: Iterable[NodeInfo], score: Score, fits: Callable[[NodeInfo], bool]
    ) -> None:
        self._score = score
        self._fits = fits
        self._heap = [(score(info), info) for info in infos if fits(info)]
        heapify(self._heap)
        self._given: NodeInfo | None = None

    def next(self) -> NodeInfo | None:
        if self._given is not None and self._fits(self._given):
            heappush(self._heap, (self._score(self._given), self._given))
        self._given = heappop(self._heap)[1] if self._heap else None
        return self._given


class Branches:
    """One level of a spread: the branch with the fewest tasks of the service is next."""

    def __init__(self, branches: Iterable[tuple[int, str, Chooser]]) -> None:
        self._heap = list(branches)
        heapify(self._heap)

    def next(self) -> NodeInfo | None:
        while self._heap:
            tasks, value, branch = heappop(self._heap)
            info = branch.next()
            if info is not None:
                heappush(self._heap, (tasks + 1, value, branch))
                return info
        return None


def tree(
    preferences: Sequence[str],
    infos: Iterable[NodeInfo],
    service_id: str,
    pick: Callable[[list[NodeInfo]], Chooser],
) -> Chooser:
    """Spread over the values of each descriptor in turn; `pick` chooses inside the last level.

    A node without the label is in the branch "". All nodes given count for a branch, also those
    that `pick` will not choose: a zone is as full as it is.
    """
    if not preferences:
        return pick(list(infos))
    groups: dict[str, list[NodeInfo]] = {}
    for info in infos:
        groups.setdefault(_value(preferences[0], info.node), []).append(info)
    return Branches(
        (
            sum(info.by_service.get(service_id, 0) for info in members),
            value,
            tree(preferences[1:], members, service_id, pick),
        )
        for value, members in groups.items()
    )


_DESCRIPTORS = ("node.labels.", "engine.labels.")


def spread_descriptors(preferences: Iterable[PlacementPreference]) -> list[str]:
    """Those that name a label: any other is no preference, as in Swarm."""
    descriptors = [p.spread.spread_descriptor for p in preferences if p.spread is not None]
    return [
        descriptor
        for descriptor in descriptors
        if descriptor.startswith(_DESCRIPTORS) and not descriptor.endswith(".labels.")
    ]


def binpack_resource(preferences: Iterable[PlacementPreference]) -> str:
    """`cpu` or `memory` when nodes are to be filled, "" when tasks are to be spread."""
    return next((p.binpack for p in preferences if p.binpack), "")


def _value(descriptor: str, node: Node | None) -> str:
    kind, _, label = descriptor.partition(".labels.")
    if node is None:
        return ""
    labels = node.spec.labels if kind == "node" else node.description.engine.labels
    return labels.get(label, "")
