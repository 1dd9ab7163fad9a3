"""From a caller's wish to a container that can be started: everything checked, then one record."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from skep.engine.containers.base import Base
from skep.engine.containers.checks import check_wish
from skep.engine.containers.config import argv, image_health, merge
from skep.engine.containers.container import Container
from skep.engine.containers.devices import find_devices
from skep.engine.containers.links import CONTAINER_MODE
from skep.engine.containers.mounts import volumes_to_make, wanted_mounts
from skep.engine.containers.ports import with_all_exposed
from skep.engine.containers.preparation import check_sources
from skep.engine.containers.record import Record
from skep.engine.containers.security import parse_security
from skep.engine.containers.wish import EndpointWish, Wish
from skep.engine.exposed import all_ports
from skep.engine.images import ImageStore
from skep.engine.networks.endpoint import EndpointRecord
from skep.engine.networks.networks import Networks
from skep.engine.networks.record import DEFAULT_BRIDGE, HOST, NONE, NetworkRecord
from skep.engine.volumes import Volumes
from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, NotFound, Unavailable, Unimplemented
from skep.kit.ids import new_container_id
from skep.kit.names import made_up_name
from skep.model.container import (
    ContainerConfig,
    EndpointIPAMConfig,
    EndpointSettings,
    HostConfig,
)
from skep.model.image import Image
from skep.model.rules.endpoints import check_endpoint_options
from skep.model.rules.names import check_container_name
from skep.model.rules.signals import parse_signal
from skep.runtime.apparmor import check_profile

_log = logging.getLogger(__name__)


class Creation:
    def __init__(
        self, base: Base, images: ImageStore, networks: Networks, volumes: Volumes
    ) -> None:
        self._base = base
        self._images = images
        self._networks = networks
        self._volumes = volumes
        self._dice = random.Random()

    async def create(self, wish: Wish, name: str, labels: Mapping[str, str] | None) -> Container:
        """`labels` are the cluster's, for a container of its own. When it raises, nothing was
        made."""
        check_wish(wish)
        container_id = new_container_id()
        name = check_container_name(name) if name else self._made_up_name()
        self._base.registry.reserve(name, container_id)
        try:
            return await self._create(wish, container_id, name, labels)
        except BaseException:
            self._base.registry.release(name, container_id)
            raise

    def _made_up_name(self) -> str:
        """With a digit behind it when the first was taken."""
        name = made_up_name(self._dice.getrandbits(32))
        while not self._base.registry.is_free(name):
            name = f"{made_up_name(self._dice.getrandbits(32))}{self._dice.randrange(10)}"
        return name

    async def _create(
        self,
        wish: Wish,
        container_id: str,
        name: str,
        labels: Mapping[str, str] | None,
    ) -> Container:
        image = await self._images.resolve(wish.config.image)
        _warn_of_health(image)
        with self._images.hold(image.id):
            record = self._record(wish, container_id, name, labels, image, utc_now())
            self._check(record)
            await check_sources(self._base.outside, record.mounts)
            await find_devices(self._base.outside, record.host_config.devices)
            await asyncio.to_thread(self._make_folder, record, promised=labels is None)
            container = Container(record)
            self._base.registry.add(container)
        try:
            for volume, anonymous in volumes_to_make(record.mounts, record.host_config):
                await self._volumes.ensure(volume, anonymous=anonymous)
        except BaseException:
            self._base.registry.discard(container)
            await asyncio.to_thread(self._base.folder.remove, container_id)
            await self._volumes.remove_anonymous(
                [mount.source for mount in record.mounts if mount.anonymous]
            )
            raise
        return container

    def _record(
        self,
        wish: Wish,
        container_id: str,
        name: str,
        labels: Mapping[str, str] | None,
        image: Image,
        now: datetime,
    ) -> Record:
        host = _settled_host_config(wish.host, wish.config)
        config = merge(wish.config, image.config, labels)
        exposed = all_ports(config.exposed_ports)
        config = replace(config, exposed_ports={port: {} for port in exposed})
        if not config.hostname:
            config = replace(config, hostname=_default_hostname(host, container_id))
        mounts = wanted_mounts(config, host, new_container_id)
        ports = wish.ports
        if host.publish_all_ports:
            ports = with_all_exposed(ports, config.exposed_ports)
        return Record(
            id=container_id,
            name=name,
            created_at=now,
            image_id=image.id,
            argv=argv(config),
            config=config,
            host_config=host,
            mounts=mounts,
            endpoints=self._endpoints(wish, host),
            hosts=wish.hosts,
            wanted_ports=ports,
            populated=all(mount.type != "volume" for mount in mounts),
        )

    def _check(self, record: Record) -> None:
        """Words that would only fail at the start otherwise."""
        config, host = record.config, record.host_config
        words = (*record.argv, *config.env, *config.volumes, config.working_dir, config.user)
        if any("\0" in word for word in words):
            raise InvalidArgument("the image's command, variables or paths have a NUL character")
        if config.stop_signal:
            parse_signal(config.stop_signal)
        for mode in (host.network_mode, host.pid_mode):
            if mode.startswith(CONTAINER_MODE):
                self._base.registry.find(mode.removeprefix(CONTAINER_MODE))
        if host.init and not self._base.facts.init_path:
            raise Unavailable("no init is installed on this host for --init: install tini")

    def _make_folder(self, record: Record, *, promised: bool) -> None:
        """Check what else the container wants of the host, then make its folder. Blocking."""
        check_profile(
            parse_security(record.host_config.security_opt).apparmor, self._base.facts.apparmor
        )
        self._base.folder.create(record, promised=promised)

    # Networks

    def _endpoints(self, wish: Wish, host: HostConfig) -> tuple[EndpointRecord, ...]:
        """The network of NetworkMode first, then the others."""
        mode = host.network_mode
        if mode in {HOST, NONE} or mode.startswith(CONTAINER_MODE):
            names = [each.network for each in wish.endpoints]
            others = [name for name in names if name not in {mode, "default", ""}]
            if others:
                raise InvalidArgument(
                    "conflicting options: cannot attach both user-defined and"
                    f" non-user-defined network-modes ({mode} and {', '.join(others)})"
                )
            return ()
        first = self._network(mode)
        endpoints = {first.id: self._endpoint(first, EndpointWish(network=mode))}
        for each in wish.endpoints:
            network = self._network(each.network or DEFAULT_BRIDGE)
            endpoints[network.id] = self._endpoint(network, each)
        mac = wish.config.mac_address
        if mac and not endpoints[first.id].wish.mac_address:
            chosen = endpoints[first.id]
            endpoints[first.id] = replace(chosen, wish=replace(chosen.wish, mac_address=mac))
        return tuple(endpoints.values())

    def _network(self, name: str) -> NetworkRecord:
        """Raises InvalidArgument: docker's client takes "not found" to be said of the image, and
        would pull it."""
        try:
            return self._networks.find(name)
        except NotFound as error:
            raise InvalidArgument(str(error)) from None

    def _endpoint(self, network: NetworkRecord, wish: EndpointWish) -> EndpointRecord:
        check_endpoint(network, wish.settings)
        return EndpointRecord(
            network_id=network.id,
            network_name=network.name,
            wish=wish.settings,
            assigned=wish.addresses,
        )


def _warn_of_health(image: Image) -> None:
    if image.config.healthcheck and (senseless := image_health(image.config.healthcheck)[1]):
        _log.warning(
            "image %s: its Healthcheck's %s make no sense and count as not given",
            image.id,
            ", ".join(senseless),
        )


def check_endpoint(network: NetworkRecord, wish: EndpointSettings) -> None:
    """Raises InvalidArgument or Unimplemented in docker's words."""
    if wish.links:
        raise Unimplemented("Links are not supported by this engine: use names or aliases")
    check_endpoint_options(wish.driver_opts or {})
    if not network.is_bridged:
        raise InvalidArgument(f"{network.name} cannot be one of several networks of a container")
    if network.resolves_names:
        return
    ipam = wish.ipam_config or EndpointIPAMConfig()
    invalid = f"invalid config for network {network.name}: invalid endpoint settings:\n"
    if ipam.ipv4_address or ipam.ipv6_address:
        raise InvalidArgument(
            invalid + "user specified IP address is supported on user defined networks only"
        )
    if wish.aliases:
        raise InvalidArgument(
            invalid + "network-scoped alias is supported only for containers in"
            " user defined networks"
        )


def _settled_host_config(host: HostConfig, config: ContainerConfig) -> HostConfig:
    """Docker's defaults where nothing was said, as inspect shows them."""
    mode = NONE if config.network_disabled else host.network_mode
    if mode in {"", "default"}:
        mode = DEFAULT_BRIDGE
    return replace(
        host,
        network_mode=mode,
        restart_policy=replace(host.restart_policy, name=host.restart_policy.name or "no"),
        log_config=replace(host.log_config, type=host.log_config.type or "json-file"),
        ipc_mode=host.ipc_mode or "private",
    )


def _default_hostname(host: HostConfig, container_id: str) -> str:
    if host.network_mode == HOST or host.uts_mode == "host":
        return socket.gethostname()
    return container_id[:12]
