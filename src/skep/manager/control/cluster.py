"""What doors ask of the cluster itself: settings, join tokens, its root."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Protocol, TypeVar

from msgspec.structs import replace

from skep.kit.clock import NS_PER_S
from skep.kit.errors import InvalidArgument, NoCluster, Unimplemented
from skep.manager.control.writer import check_version
from skep.manager.dispatcher.liveness import LONGEST_PERIOD_NS, SHORTEST_PERIOD_NS
from skep.model.cluster import (
    CAConfig,
    Cluster,
    ClusterSecrets,
    ClusterSpec,
    JoinTokens,
    RaftConfig,
)
from skep.model.node import TLSInfo
from skep.store.change import Change, Update
from skep.store.store import Store

PREDEFINED_NETWORKS = ("host", "bridge")
"""Each node's own; services name them, so the cluster knows them (not shown in listings)."""

_Config = TypeVar("_Config", RaftConfig, CAConfig)

_SHORTEST_CERTIFICATE_NS = 3600 * NS_PER_S
_SMALLEST_SUBNET = 29


def complete(spec: ClusterSpec) -> ClusterSpec:
    """Docker's clients send 0 for what was not said: Swarm's default stands there instead."""
    return replace(
        spec,
        raft=_without_zeros(spec.raft, RaftConfig()),
        ca_config=_without_zeros(spec.ca_config, CAConfig()),
    )


def _without_zeros(given: _Config, default: _Config) -> _Config:
    said = {name: value for name in given.__struct_fields__ if (value := getattr(given, name))}
    return replace(default, **said)


def check_spec(spec: ClusterSpec) -> None:
    """Refuse settings that make no sense, and by name those that are not there yet."""
    if spec.name != "default":
        raise InvalidArgument('the name of the cluster is "default" and cannot be changed')
    if spec.ca_config.node_cert_expiry < _SHORTEST_CERTIFICATE_NS:
        raise InvalidArgument("minimum certificate expiry time is: 1h0m0s")
    period_ns = spec.dispatcher.heartbeat_period
    if period_ns and not SHORTEST_PERIOD_NS <= period_ns <= LONGEST_PERIOD_NS:
        raise InvalidArgument(
            f"invalid dispatcher heartbeat period {period_ns / NS_PER_S:g}s: it must be from 500ms "
            "to 1h, or 0 for skep's own (the API counts in nanoseconds)"
        )
    if spec.encryption_config.auto_lock_managers:
        raise Unimplemented("autolock is not supported yet: leave AutoLockManagers off")
    if spec.ca_config.external_cas:
        raise Unimplemented("external certificate authorities are not supported")
    if spec.task_defaults.log_driver is not None:
        raise Unimplemented("a default log driver for the cluster is not supported")


def check_pools(pools: list[str], subnet_size: int) -> None:
    """Refuse address pools that cannot be cut into subnets of that size."""
    networks = []
    for pool in pools:
        try:
            networks.append(ip_network(pool))
        except ValueError as error:
            raise InvalidArgument(f"invalid default address pool {pool}: {error}") from None
    for i, network in enumerate(networks):
        if network.version != 4:
            raise Unimplemented(f"default address pool {network}: only IPv4 is supported")
        if not network.prefixlen <= subnet_size <= _SMALLEST_SUBNET:
            raise InvalidArgument(
                f"invalid subnet size /{subnet_size}: it must be from /{network.prefixlen} "
                f"(the default address pool {network}) to /{_SMALLEST_SUBNET}"
            )
        for other in networks[:i]:
            if network.overlaps(other):
                raise InvalidArgument(f"default address pools {other} and {network} overlap")


class CertificateAuthority(Protocol):
    """What control asks of the room that keeps the cluster's identity (pure: values to values)."""

    def join_tokens(self, secrets: ClusterSecrets) -> JoinTokens: ...
    def rotate_worker_token(self, secrets: ClusterSecrets) -> ClusterSecrets: ...
    def rotate_manager_token(self, secrets: ClusterSecrets) -> ClusterSecrets: ...

    def rotate_root(self, secrets: ClusterSecrets, certificate: str, key: str) -> ClusterSecrets:
        """Begin (or call off, or go on with) a rotation to the root given as PEM, or with two
        empty texts to a new one. Slow: it makes keys. Raises InvalidArgument, Unimplemented."""
        ...

    def tls_info(self, secrets: ClusterSecrets) -> TLSInfo: ...


class ClusterControl:
    """The settings and the join tokens of the one cluster."""

    def __init__(self, store: Store, ca: CertificateAuthority) -> None:
        self._store = store
        self._ca = ca

    def get(self) -> Cluster:
        """Raises NoCluster when there is none."""
        cluster = self._store.view.cluster()
        if cluster is None:
            raise NoCluster
        return cluster

    def join_tokens(self) -> JoinTokens:
        secrets = self._secrets()
        return self._ca.join_tokens(secrets)

    async def update(
        self,
        version: int,
        spec: ClusterSpec,
        *,
        rotate_worker_token: bool = False,
        rotate_manager_token: bool = False,
        rotate_manager_unlock_key: bool = False,
    ) -> None:
        """Replace the settings read at `version`, and make new join tokens where asked."""
        cluster = self.get()
        check_version(cluster, version)
        spec = complete(spec)
        check_spec(spec)
        if rotate_manager_unlock_key:
            raise Unimplemented("autolock is not supported yet: there is no unlock key")
        old = secrets = self._secrets()
        if rotate_worker_token:
            secrets = self._ca.rotate_worker_token(secrets)
        if rotate_manager_token:
            secrets = self._ca.rotate_manager_token(secrets)
        if _rotates_root(cluster.spec.ca_config, spec.ca_config):
            wish = spec.ca_config
            secrets = await asyncio.to_thread(
                self._ca.rotate_root, secrets, wish.signing_ca_cert, wish.signing_ca_key
            )
            cluster = replace(
                cluster,
                tls_info=self._ca.tls_info(secrets),
                root_rotation_in_progress=bool(secrets.rotation_certificate),
            )
        changed = replace(cluster, spec=_without_root(spec), spec_since=cluster.version)
        changes: list[Change] = [Update(changed)]
        if secrets != old:
            changes.append(Update(secrets, why="swarm update"))
        await self._store.commit(changes)

    def _secrets(self) -> ClusterSecrets:
        secrets = self._store.view.cluster_secrets()
        if secrets is None:
            raise NoCluster
        return secrets


def brings_a_root(config: CAConfig) -> bool:
    return bool(config.signing_ca_cert or config.signing_ca_key)


def _rotates_root(old: CAConfig, new: CAConfig) -> bool:
    return new.force_rotate != old.force_rotate or brings_a_root(new)


def _without_root(spec: ClusterSpec) -> ClusterSpec:
    """A root that was brought is kept as the cluster's secret, not where everybody reads it; and a
    client that sends the settings back as it read them must not bring it again."""
    return replace(spec, ca_config=replace(spec.ca_config, signing_ca_cert="", signing_ca_key=""))
