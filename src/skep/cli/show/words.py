"""Small pieces of objects in docker's words: ports, images, labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

_OFFICIAL = ("docker.io/library/", "docker.io/")


def familiar_image(reference: str) -> str:
    """An image reference as people write it: no digest, no default registry."""
    name = reference.partition("@")[0]
    for prefix in _OFFICIAL:
        name = name.removeprefix(prefix)
    return name


def labels_text(labels: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def label_of(labels: Callable[[Any], Mapping[str, str] | None]) -> Callable[[Any], Any]:
    """The `.Label "name"` field of a row whose labels `labels` finds."""

    def get(row: Any) -> Callable[[str], str]:
        return lambda name: (labels(row) or {}).get(name, "")

    return get


def label_header(name: str) -> str:
    return name


def quoted(text: str) -> str:
    """A Go string literal, as docker shows commands."""
    import json

    return json.dumps(text, ensure_ascii=False)


def host_port(host: str, port: object) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Group(NamedTuple):
    ip: str
    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        span = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        shown = f"{host_port(self.ip, span)}->{span}" if self.ip else span
        return f"{shown}/{self.protocol}"


def container_ports(ports: Iterable[Mapping[str, Any]]) -> str:
    """A container's ports on one line; neighbours that keep their number become a range."""
    finished: list[str] = []
    moved: list[str] = []
    open_groups: dict[tuple[str, str], _Group] = {}
    for port in sorted(ports, key=_port_order):
        private, protocol, ip = port["PrivatePort"], port["Type"], port.get("IP", "")
        if ip and port.get("PublicPort") != private:
            moved.append(f"{host_port(ip, port.get('PublicPort'))}->{private}/{protocol}")
            continue
        group = open_groups.get((ip, protocol))
        if group and private == group.last + 1:
            open_groups[ip, protocol] = group._replace(last=private)
            continue
        if group:
            finished.append(str(group))
        open_groups[ip, protocol] = _Group(ip, protocol, private, private)
    return ", ".join([*finished, *map(str, open_groups.values()), *moved])


def _port_order(port: Mapping[str, Any]) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]


def service_ports(ports: Iterable[Mapping[str, Any]]) -> str:
    """A service's ingress ports: `*:8000-8010->80-90/tcp`, neighbours joined."""
    ingress = [port for port in ports if port.get("PublishMode", "ingress") == "ingress"]
    ingress.sort(key=lambda port: (port.get("Protocol", ""), port.get("PublishedPort", 0)))
    spans: list[_Span] = []
    for port in ingress:
        published, target = port.get("PublishedPort", 0), port["TargetPort"]
        protocol = port.get("Protocol", "tcp")
        if spans and spans[-1].takes(published, target, protocol):
            spans[-1] = spans[-1]._replace(published_last=published, target_last=target)
        else:
            spans.append(_Span(published, published, target, target, protocol))
    return ", ".join(str(span) for span in spans)


class _Span(NamedTuple):
    published_first: int
    published_last: int
    target_first: int
    target_last: int
    protocol: str

    def takes(self, published: int, target: int, protocol: str) -> bool:
        """Whether the next port continues this span (one target may have many numbers)."""
        is_range = self.target_first != self.target_last
        return (
            protocol == self.protocol
            and published - self.published_last <= 1
            and target - self.target_last in ((1,) if is_range else (0, 1))
        )

    def __str__(self) -> str:
        published = _span(self.published_first, self.published_last)
        return f"*:{published}->{_span(self.target_first, self.target_last)}/{self.protocol}"


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
