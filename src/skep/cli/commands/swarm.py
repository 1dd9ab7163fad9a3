"""`skep swarm init`, `join`, `leave`, `update`."""

from __future__ import annotations

import ipaddress
from typing import Any

from skep.cli.commands.swarm_flags import (
    ADVERTISE,
    AVAILABILITY,
    DATA_PATH,
    LISTEN,
    SETTINGS,
    availability,
    change_settings,
    listen_address,
)
from skep.cli.commands.swarm_keys import join_instructions, show_unlock_key
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, ONE, Command
from skep.cli.flags.flag import Options, switch, text, texts, value
from skep.cli.flags.kinds import UINT
from skep.cli.session import Session

_LOWEST_PORT, _HIGHEST_PORT = 1024, 49151


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise ValueError(f"invalid CIDR address: {text}: write it as in 10.20.0.0/16") from None


def _init(session: Session, options: Options, _: list[str]) -> None:
    client = session.client
    node_id = client.post("/swarm/init", init_body(options))
    session.say(f"Swarm initialized: current node ({node_id}) is now a manager.\n")
    session.write(join_instructions(client, "worker"))
    session.say(
        "To add a manager to this swarm, run 'skep swarm join-token manager' "
        "and follow the instructions."
    )
    if options.yes("autolock"):
        session.say("")
        show_unlock_key(session)


def init_body(options: Options) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    change_settings(spec, options)
    if options.given("autolock"):
        spec["EncryptionConfig"] = {"AutoLockManagers": options.yes("autolock")}
    port = options.number("data-path-port")
    if port and not _LOWEST_PORT <= port <= _HIGHEST_PORT:
        raise Failure(
            f"invalid data path port {port}: it must be between {_LOWEST_PORT} and {_HIGHEST_PORT}"
        )
    body = {
        "ListenAddr": listen_address(options.text("listen-addr")),
        "AdvertiseAddr": options.text("advertise-addr"),
        "DataPathAddr": options.text("data-path-addr"),
        "DataPathPort": port,
        "DefaultAddrPool": options.items("default-addr-pool"),
        "SubnetSize": options.number("default-addr-pool-mask-length"),
        "ForceNewCluster": options.yes("force-new-cluster"),
        "AutoLockManagers": options.yes("autolock"),
        "Availability": availability(options),
        "Spec": {"Labels": {}, **spec},
    }
    return {key: value for key, value in body.items() if value}


def _join(session: Session, options: Options, arguments: list[str]) -> None:
    client = session.client
    body = {
        "ListenAddr": listen_address(options.text("listen-addr")),
        "AdvertiseAddr": options.text("advertise-addr"),
        "DataPathAddr": options.text("data-path-addr"),
        "RemoteAddrs": [arguments[0]],
        "JoinToken": options.text("token"),
        "Availability": availability(options),
    }
    client.post("/swarm/join", {key: value for key, value in body.items() if value})
    swarm = client.get("/info").get("Swarm") or {}
    role = "manager" if swarm.get("ControlAvailable") else "worker"
    session.say(f"This node joined a swarm as a {role}.")


def _leave(session: Session, options: Options, _: list[str]) -> None:
    session.client.post("/swarm/leave", query={"force": options.yes("force") or None})
    session.say("Node left the swarm.")


def _update(session: Session, options: Options, _: list[str]) -> None:
    client = session.client
    swarm = client.get("/swarm")
    spec = swarm["Spec"]
    locked = bool((spec.get("EncryptionConfig") or {}).get("AutoLockManagers"))
    change_settings(spec, options)
    if options.given("autolock"):
        spec["EncryptionConfig"] = {"AutoLockManagers": options.yes("autolock")}
    client.post("/swarm/update", spec, {"version": swarm["Version"]["Index"]})
    session.say("Swarm updated.")
    if options.yes("autolock") and not locked:
        show_unlock_key(session)


INIT = Command(
    "",
    _init,
    NONE,
    (
        ADVERTISE,
        AVAILABILITY,
        DATA_PATH,
        LISTEN,
        *SETTINGS,
        switch("--autolock", "Require an unlock key to start a stopped manager"),
        value(
            "--data-path-port",
            UINT,
            "Port for data path traffic (1024 - 49151); 0 means 4789",
            default=0,
        ),
        texts("--default-addr-pool", "Default address pool in CIDR format", _cidr, "ipNetSlice"),
        value(
            "--default-addr-pool-mask-length",
            UINT,
            "Default address pool subnet mask length",
            default=24,
            shown="24",
        ),
        switch("--force-new-cluster", "Force create a new cluster from current state"),
    ),
)
JOIN = Command(
    "HOST:PORT",
    _join,
    ONE,
    (
        ADVERTISE,
        AVAILABILITY,
        DATA_PATH,
        LISTEN,
        text("--token", "Token for entry into the swarm"),
    ),
)
LEAVE = Command(
    "",
    _leave,
    NONE,
    (switch("-f --force", "Force this node to leave the swarm, ignoring warnings"),),
)
UPDATE = Command(
    "",
    _update,
    NONE,
    (*SETTINGS, switch("--autolock", "Change manager autolocking setting (true|false)")),
)
