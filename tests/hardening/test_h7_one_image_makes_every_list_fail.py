"""An image whose config said something that we had not thought of (a range of ports, a time without
a zone) made `docker ps`, `docker images`, `docker info` and `docker system df` fail for
everybody."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from skep.engine.containers import show
from skep.testing.daemon import DaemonHost
from skep.testing.engine_host import engine_host
from skep.testing.images import make_tar, write_archive

LISTS = (
    "/containers/json?all=1&size=1", "/images/json?shared-size=1", "/info", "/system/df",
)  # fmt: skip


def _load(host: DaemonHost, name: str, **changes: Any) -> str:
    """The image web:1 with another config."""
    with tarfile.open(fileobj=io.BytesIO(host.api("GET", "/images/web:1/get").body)) as saved:
        content = {
            member.name: file.read()
            for member in saved
            if (file := saved.extractfile(member)) is not None
        }
    [entry] = json.loads(content["manifest.json"])
    document = json.loads(content[entry["Config"]])
    document["config"] |= changes.pop("config", {})
    layers = [content[layer] for layer in entry["Layers"]]
    path = host.folder / "odd.tar"
    write_archive(path, name, json.dumps(document | changes).encode(), layers)
    try:
        host.ok("load", "-q", "-i", str(path))
    finally:
        path.unlink()
    return str(host.api("GET", f"/images/{name}/json").body["Id"])


def _check_lists(host: DaemonHost) -> None:
    for path in LISTS:
        assert host.api("GET", path).status == 200, path
    for words in (("ps", "-a"), ("images",), ("info",), ("system", "df", "-v")):
        host.ok(*words)


PORTS: dict[str, dict[str, str]] = {
    "8000-8010/tcp": {}, "53/UDP": {}, "70": {}, "": {}, "99999/tcp": {}, "9-1/tcp": {},
    "x/tcp": {}, "1-65535/tcp": {}, "٣/tcp": {},
}  # fmt: skip


def test_ports_of_an_image_are_taken_apart_or_left_out(host: DaemonHost) -> None:
    _load(host, "odd:ports", config={"ExposedPorts": PORTS})
    container = host.ok("run", "-d", "odd:ports")
    _check_lists(host)
    assert "8000-8010/tcp" in host.ok("ps", "--format", "{{.Ports}}")
    exposed = host.api("GET", f"/containers/{container}/json").body["Config"]["ExposedPorts"]
    assert set(exposed) == {"53/udp", "70/tcp", *(f"{port}/tcp" for port in range(8000, 8011))}
    found = host.api("GET", '/containers/json?filters={"expose":["8003"]}').body
    assert [row["Id"] for row in found] == [container]
    assert 'ExposedPorts: invalid port specification: "99999/tcp"' in host.log_path.read_text()
    host.ok("rm", "-f", container)
    host.ok("rmi", "odd:ports")


def test_our_own_import_takes_a_range_of_ports(host: DaemonHost, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(make_tar({"file": b"x"}))
    host.ok("import", "-c", "EXPOSE 8000-8002 53/udp", str(tmp_path / "root.tar"), "odd:import")
    container = host.ok("create", "odd:import", "cmd")
    _check_lists(host)
    [config] = json.loads(host.ok("image", "inspect", "odd:import"))
    assert list(config["Config"]["ExposedPorts"]) == [
        "8000/tcp", "8001/tcp", "8002/tcp", "53/udp",
    ]  # fmt: skip
    host.ok("rm", container)
    host.ok("rmi", "odd:import")


def test_a_caller_s_port_that_is_none_is_refused(host: DaemonHost) -> None:
    for port in ("99999/tcp", "x", "9-1/tcp", ""):
        wish = {"Image": "web:1", "ExposedPorts": {port: {}}}
        answer = host.api("POST", "/containers/create", wish)
        assert (answer.status, answer.message) == (400, f'invalid port specification: "{port}"')


@pytest.mark.parametrize(
    "moment", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"]
)
def test_any_time_in_an_image_is_some_time(host: DaemonHost, moment: str) -> None:
    _load(host, "odd:time", created=moment, history=[{"created": moment}] * 2)
    _check_lists(host)
    for path in ("json", "history"):
        assert host.api("GET", f"/images/odd:time/{path}").status == 200
    for key in ("before", "since"):
        assert host.api("GET", f'/images/json?filters={{"{key}":["odd:time"]}}').status == 200
    host.ok("history", "odd:time")
    host.ok("image", "prune", "-f", "--filter", "until=1h")
    host.ok("rmi", "odd:time")


@pytest.mark.logs_errors("cannot be listed whole")
async def test_a_container_that_cannot_be_shown_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = show.summarised

    def failing(container: Any, *words: Any) -> Any:
        if container.name == "odd":
            raise ValueError("something nobody thought of")
        return whole(container, *words)

    async with engine_host(tmp_path) as host:
        await host.create(name="odd")
        await host.create(name="plain")
        monkeypatch.setattr(show, "summarised", failing)
        for _ in range(2):
            rows = await host.engine.containers.list(all_containers=True)
            assert [row.names for row in rows] == [["/plain"], ["/odd"]]
    assert caplog.text.count("cannot be listed whole") == 1
