"""Who is lost: heartbeats, how often, and what their absence means. Pure; times in seconds.

Swarm asks for a heartbeat each 5 s and gives up after three. Here they are frequent while the
cluster is small and stretch with it, so that they cost the manager at most a twentieth of a core
(measured: 0.07 ms of processor time for a heartbeat over TLS).
"""

from __future__ import annotations

from collections.abc import Mapping

from skep.kit.clock import NS_PER_S

_COST_S = 70e-6
_SHARE_OF_CORE = 0.05
_SHORTEST_S = 0.8
_SHORTEST_GRACE_S = 2.8
_BEATS_DEFAULT = 2.0
_BEATS_CONFIGURED = 3.0
NEW_LEADER_FACTOR = 2.0
"""After a start nobody was heard yet: agents get this many times the grace to find us."""


def heartbeat_s(nodes: int, configured_ns: int) -> float:
    """How often an agent must speak. `configured_ns` (swarm update --dispatcher-heartbeat) wins."""
    if configured_ns:
        return configured_ns / NS_PER_S
    return max(_SHORTEST_S, nodes * _COST_S / _SHARE_OF_CORE)


def grace_s(nodes: int, configured_ns: int) -> float:
    """Silence for longer than this is a loss: within 3 s up to 1,000 nodes at the defaults."""
    period = heartbeat_s(nodes, configured_ns)
    if configured_ns:
        return _BEATS_CONFIGURED * period
    return max(_SHORTEST_GRACE_S, _BEATS_DEFAULT * period)


def lost(heard_at: Mapping[str, float], now: float, grace: float) -> list[str]:
    """Ids of the nodes that were silent for longer than `grace`, sorted."""
    return sorted(node_id for node_id, heard in heard_at.items() if now - heard > grace)


def after_a_pause(heard_at: Mapping[str, float], lateness: float) -> dict[str, float]:
    """What was heard when, as if the `lateness` seconds in which we ourselves stood still had not
    been: a manager whose machine was suspended must not take its own sleep for others' silence."""
    return {node_id: heard + lateness for node_id, heard in heard_at.items()}
