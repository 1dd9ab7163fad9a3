"""`--network name` and its long notation, for containers and for services."""

from __future__ import annotations

from typing import Any, NamedTuple

from skep.cli.flags.kinds import read_int
from skep.cli.values.limits import check_address
from skep.cli.values.pairs import csv_pairs


class Attachment(NamedTuple):
    """A network to be joined; the rest only where the long notation said it."""

    target: str
    aliases: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    ip: str = ""
    ip6: str = ""
    link_local: tuple[str, ...] = ()
    mac: str = ""
    priority: int = 0


def parse_network(text: str) -> Attachment:
    """`name`, or `name=…,alias=…,ip=…,ip6=…,link-local-ip=…,mac-address=…,driver-opt=k=v`."""
    if "=" not in text:
        return Attachment(text)
    found = Attachment("")
    for key, value in csv_pairs(text):
        found = _with(found, key, value)
    if not found.target:
        raise ValueError("network name/id is not specified")
    return found


def _with(found: Attachment, key: str, value: str) -> Attachment:
    match key:
        case "name":
            return found._replace(target=value)
        case "alias":
            return found._replace(aliases=(*found.aliases, value))
        case "driver-opt":
            name, equals, setting = value.partition("=")
            if not equals:
                raise ValueError(f"invalid key value pair format in driver options: {value}")
            return found._replace(options=(*found.options, (name.lower(), setting)))
        case "ip":
            return found._replace(ip=check_address(value))
        case "ip6":
            return found._replace(ip6=check_address(value))
        case "link-local-ip":
            return found._replace(link_local=(*found.link_local, check_address(value)))
        case "mac-address":
            return found._replace(mac=value)
        case "gw-priority":
            return found._replace(priority=read_int(value))
    raise ValueError(f"invalid field key {key}")


def endpoint_settings(attachment: Attachment) -> dict[str, Any]:
    """A container's EndpointSettings; empty where only a name was given."""
    ipam = {
        "IPv4Address": attachment.ip,
        "IPv6Address": attachment.ip6,
        "LinkLocalIPs": list(attachment.link_local),
    }
    settings = {
        "Aliases": list(attachment.aliases),
        "DriverOpts": dict(attachment.options),
        "IPAMConfig": {key: value for key, value in ipam.items() if value},
        "MacAddress": attachment.mac,
        "GwPriority": attachment.priority,
    }
    return {key: value for key, value in settings.items() if value}


def service_attachment(attachment: Attachment) -> dict[str, Any]:
    """A service's NetworkAttachmentConfig; addresses cannot be asked for there."""
    if attachment.ip or attachment.ip6 or attachment.mac or attachment.link_local:
        raise ValueError(
            f"network {attachment.target}: a service's tasks cannot be given addresses of their own"
        )
    config: dict[str, Any] = {"Target": attachment.target}
    if attachment.aliases:
        config["Aliases"] = list(attachment.aliases)
    if attachment.options:
        config["DriverOpts"] = dict(attachment.options)
    return config
