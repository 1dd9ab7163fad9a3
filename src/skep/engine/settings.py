"""What the engine is told at its start; nothing in it changes while it runs."""

from __future__ import annotations

from pathlib import Path

import msgspec

from skep.kit.threads import ANSWER_S


class AddressPool(msgspec.Struct, frozen=True):
    """Where subnets for networks without one are cut from: `base` in pieces of `/size`."""

    base: str
    size: int


DEFAULT_ADDRESS_POOLS = (
    AddressPool("172.17.0.0/16", 16),
    AddressPool("172.18.0.0/16", 16),
    AddressPool("172.19.0.0/16", 16),
    AddressPool("172.20.0.0/14", 16),
    AddressPool("172.24.0.0/14", 16),
    AddressPool("172.28.0.0/14", 16),
    AddressPool("192.168.0.0/16", 20),
)
"""Docker's, in the order in which they are used up."""


INIT = "/usr/bin/tini-static"
"""What `--init` makes process 1, as Debian's tini has it."""


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One engine's place on its machine.

    data_root      what outlives a reboot: images, layers, volumes, records, logs.
    exec_root      what a reboot may sweep away: bundles, sockets, namespaces, mount points.
    instance       a few letters that tell this engine's links, tables and cgroups from another's.
    bip            the default bridge's address ("172.17.0.1/16"); empty: from the pools.
    bridge_link    name of the default bridge's link; empty: derived from the instance.
    open_router    the host forwards packets of others too, even if only we made it a router.
    live_starts    how many containers are put into runc's hands at a time.
    answer_s       how long a path of somebody's (bind source, device, volume) may take to answer.
    open_files     soft and hard limit of open files for containers that ask for none; None: as
                   this process has them.
    """

    data_root: Path
    exec_root: Path
    instance: str
    address_pools: tuple[AddressPool, ...] = DEFAULT_ADDRESS_POOLS
    bip: str = ""
    bridge_link: str = ""
    bridge_mtu: int = 1500
    open_router: bool = False
    insecure_registries: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    host_gateway_ip: str = ""
    default_shm_bytes: int = 64 * 1024 * 1024
    default_stop_timeout_s: int = 10
    log_options: tuple[tuple[str, str], ...] = ()
    init_path: str = INIT
    event_history: int = 1024
    live_starts: int = 4
    answer_s: float = ANSWER_S
    open_files: tuple[int, int] | None = None
