"""`skep network create`, `connect`, `disconnect`, `rm`."""

from __future__ import annotations

import ipaddress
from typing import Any

from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.command import ONE, SOME, TWO, Command
from skep.cli.flags.flag import Options, number, switch, text, texts
from skep.cli.session import Session
from skep.cli.values.limits import check_address
from skep.cli.values.networks import Attachment, endpoint_settings
from skep.cli.values.pairs import check_label, csv_row, mapping, required_mapping

_NOT_FOUND = 404


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    try:
        body = network_body(options, arguments[0])
    except ValueError as error:
        raise Failure(str(error)) from None
    created = session.client.post("/networks/create", body)
    if created.get("Warning"):
        session.complain(f"WARNING: {created['Warning']}")
    session.say(created["Id"])


def network_body(options: Options, name: str) -> dict[str, Any]:
    """The body of POST /networks/create; raises ValueError when the addresses do not fit."""
    subnets = ipam_configs(
        _flat(options, "subnet"),
        _flat(options, "ip-range"),
        _flat(options, "gateway"),
        required_mapping(options.items("aux-address"), "aux-address"),
    )
    body: dict[str, Any] = {
        "Name": name,
        "Driver": options.text("driver"),
        "Scope": options.text("scope"),
        "Options": mapping(options.items("opt")),
        "Labels": mapping(options.items("label")),
        "Internal": options.yes("internal"),
        "Attachable": options.yes("attachable"),
        "Ingress": options.yes("ingress"),
        "ConfigOnly": options.yes("config-only"),
    }
    body["IPAM"] = {
        "Driver": options.text("ipam-driver"),
        "Options": mapping(options.items("ipam-opt")),
        "Config": subnets,
    }
    if options.text("config-from"):
        body["ConfigFrom"] = {"Network": options.text("config-from")}
    for flag, key in (("ipv4", "EnableIPv4"), ("ipv6", "EnableIPv6")):
        if options.given(flag):
            body[key] = options.yes(flag)
    return {key: value for key, value in body.items() if value or value is False}


def _flat(options: Options, name: str) -> list[str]:
    """Values that may be repeated or joined by commas."""
    return [each for text in options.items(name) for each in csv_row(text)]


def ipam_configs(
    subnets: list[str], ranges: list[str], gateways: list[str], others: dict[str, str]
) -> list[dict[str, Any]]:
    """IPAM.Config: each range, gateway and auxiliary address with the subnet that it lies in."""
    if (ranges or gateways) and not subnets:
        flag = "ip-range" if ranges else "gateway"
        raise ValueError(f"every ip-range or gateway must have a corresponding subnet ({flag})")
    networks = [_network(subnet) for subnet in subnets]
    for at, network in enumerate(networks):
        for other in networks[:at]:
            if network.version == other.version and network.overlaps(other):
                raise ValueError("multiple overlapping subnet configuration is not supported")
    configs: list[dict[str, Any]] = [{"Subnet": subnet} for subnet in subnets]
    for each in ranges:
        _put(configs, networks, _network(each).network_address, "IPRange", each)
    for each in gateways:
        _put(configs, networks, ipaddress.ip_address(check_address(each)), "Gateway", each)
    for name, each in others.items():
        address = ipaddress.ip_address(check_address(each))
        configs[_home(networks, address, each)].setdefault("AuxiliaryAddresses", {})[name] = each
    return configs


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _put(
    configs: list[dict[str, Any]],
    networks: list[_Network],
    address: _Address,
    key: str,
    text: str,
) -> None:
    config = configs[_home(networks, address, text)]
    if key in config:
        raise ValueError(
            f"cannot configure multiple {key.lower()}s ({text}, {config[key]}) on the same subnet"
        )
    config[key] = text


def _home(networks: list[_Network], address: _Address, text: str) -> int:
    for at, network in enumerate(networks):
        if address.version == network.version and address in network:
            return at
    raise ValueError(f"no matching subnet for {text}")


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"invalid CIDR address: {text}: write it as in 10.20.0.0/16") from None


def _connect(session: Session, options: Options, arguments: list[str]) -> None:
    network, container = arguments
    attachment = Attachment(
        network,
        aliases=tuple(_flat(options, "alias")),
        options=tuple(mapping(_flat(options, "driver-opt")).items()),
        ip=options.text("ip"),
        ip6=options.text("ip6"),
        link_local=tuple(_flat(options, "link-local-ip")),
        priority=options.number("gw-priority"),
    )
    endpoint = endpoint_settings(attachment)
    if options.items("link"):
        endpoint["Links"] = options.items("link")
    body = {"Container": container, "EndpointConfig": endpoint}
    session.client.post(f"/networks/{network}/connect", body)


def _disconnect(session: Session, options: Options, arguments: list[str]) -> None:
    network, container = arguments
    body = {"Container": container, "Force": options.yes("force")}
    session.client.post(f"/networks/{network}/disconnect", body)


def _rm(session: Session, options: Options, names: list[str]) -> int:
    def one(name: str) -> str | None:
        try:
            session.client.delete(f"/networks/{name}")
        except ApiFailure as error:
            if options.yes("force") and error.status == _NOT_FOUND:
                return None
            raise
        return name

    return session.each(names, one)


CREATE = Command(
    "NETWORK",
    _create,
    ONE,
    (
        switch("--attachable", "Enable manual container attachment"),
        texts("--aux-address", "Auxiliary addresses used by the network driver", word="map"),
        text("--config-from", "The network from which to copy the configuration"),
        switch("--config-only", "Create a configuration only network"),
        text("-d --driver", "Driver to manage the Network", default="bridge"),
        texts("--gateway", "IPv4 or IPv6 Gateway for the master subnet"),
        switch("--ingress", "Create swarm routing-mesh network"),
        switch("--internal", "Restrict external access to the network"),
        texts("--ip-range", "Allocate container ip from a sub-range"),
        text("--ipam-driver", "IP Address Management Driver", default="default"),
        texts("--ipam-opt", "Set IPAM driver specific options", word="map"),
        switch("--ipv4", "Enable or disable IPv4 address assignment", default=True),
        switch("--ipv6", "Enable or disable IPv6 address assignment"),
        texts("--label", "Set metadata on a network", check_label),
        texts("-o --opt", "Set driver specific options", word="map"),
        text("--scope", "Control the network's scope"),
        texts("--subnet", "Subnet in CIDR format that represents a network segment"),
    ),
)
CONNECT = Command(
    "NETWORK CONTAINER",
    _connect,
    TWO,
    (
        texts("--alias", "Add network-scoped alias for the container"),
        texts("--driver-opt", "Driver options for the network"),
        number("--gw-priority", "The highest gw-priority provides the default gateway"),
        text("--ip", 'IPv4 address (e.g., "172.30.100.104")'),
        text("--ip6", 'IPv6 address (e.g., "2001:db8::33")'),
        texts("--link", "Add link to another container"),
        texts("--link-local-ip", "Add a link-local address for the container"),
    ),
)
DISCONNECT = Command(
    "NETWORK CONTAINER",
    _disconnect,
    TWO,
    (switch("-f --force", "Force the container to disconnect from a network"),),
)
RM = Command(
    "NETWORK [NETWORK...]",
    _rm,
    SOME,
    (switch("-f --force", "Do not error if the network does not exist"),),
)
