"""`skep daemon`: dockerd's flags, handed to the daemon's own room by the keys of daemon.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options, switch, text, texts, value
from skep.cli.flags.kinds import UINT, Kind
from skep.cli.session import Session
from skep.cli.values.pairs import csv_pairs, required_mapping
from skep.kit.errors import SkepError

_LEVELS = ("debug", "info", "warn", "error", "fatal")
_KEYS = {
    "host": "hosts",
    "data-root": "data-root",
    "exec-root": "exec-root",
    "pidfile": "pidfile",
    "log-level": "log-level",
    "debug": "debug",
    "label": "labels",
    "insecure-registry": "insecure-registries",
    "node-generic-resource": "node-generic-resources",
    "bip": "bip",
    "bridge": "bridge",
    "mtu": "mtu",
    "default-address-pool": "default-address-pools",
    "ip-forward-no-drop": "ip-forward-no-drop",
    "dns": "dns",
    "dns-opt": "dns-opts",
    "dns-search": "dns-search",
    "shutdown-timeout": "shutdown-timeout",
}


def parse_address_pool(text: str) -> dict[str, Any]:
    """`base=172.30.0.0/16,size=24`."""
    fields = dict(csv_pairs(text))
    if set(fields) != {"base", "size"} or not fields["size"].isdecimal():
        raise ValueError("write base=ADDRESS/BITS,size=BITS, as in base=172.30.0.0/16,size=24")
    return {"base": fields["base"], "size": int(fields["size"])}


def _level(word: str) -> str:
    if word not in _LEVELS:
        raise ValueError(f"use one of {', '.join(_LEVELS)}")
    return word


def daemon_flags(options: Options) -> dict[str, Any]:
    """What was given, by the keys of daemon.json."""
    given = {key: options.value(flag) for flag, key in _KEYS.items() if options.given(flag)}
    if options.given("log-opt"):
        given["log-opts"] = required_mapping(options.items("log-opt"), "log option")
    return given


def _daemon(session: Session, options: Options, _: list[str]) -> int:
    from skep.daemon import run

    config = options.text("config-file")
    try:
        return run(daemon_flags(options), Path(config) if config else None)
    except (SkepError, ValueError) as error:
        raise Failure(f"skep daemon: {error}") from None


DAEMON = Command(
    "",
    _daemon,
    NONE,
    (
        text("--bip", "Address and subnet of the default bridge, as 172.17.0.1/16"),
        text("-b --bridge", "Name of the default bridge's link"),
        text("--config-file", "Settings in JSON (default /etc/skep/daemon.json, if it is there)"),
        text("--data-root", "Where images, containers and the cluster's state are kept"),
        switch("-D --debug", "Log much"),
        texts(
            "--default-address-pool",
            "Where networks take their subnets from: base=…,size=… (repeatable)",
            parse_address_pool,
            "pool",
        ),
        texts("--dns", "DNS server for containers"),
        texts("--dns-opt", "DNS option for containers"),
        texts("--dns-search", "DNS search domain for containers"),
        text("--exec-root", "Where sockets, pid files and mounts are kept while running"),
        texts("-H --host", "Where to listen: unix://PATH or tcp://HOST:PORT (repeatable)"),
        switch(
            "--ip-forward-no-drop",
            "Let the host route for others, if only skep made it a router",
        ),
        texts("--insecure-registry", "Registry to be spoken to without TLS"),
        texts("--label", "Label of this engine: key=value"),
        value("-l --log-level", Kind("string", _level), "How much to log"),
        texts("--log-opt", "Default log option of containers: key=value"),
        value("--mtu", UINT, "MTU of the default bridge"),
        texts("--node-generic-resource", "What this node advertises to the cluster: kind=value"),
        text("-p --pidfile", "Where to write the daemon's process id"),
        value("--shutdown-timeout", UINT, "Seconds to give calls that are under way at the end"),
    ),
)
