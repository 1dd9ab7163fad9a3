"""What flags take, read into the API's terms: a line for each rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skep.cli.values.limits import (
    check_dns_search,
    health,
    parse_device,
    parse_extra_host,
    parse_restart,
    parse_ulimit,
)
from skep.cli.values.moments import parse_moment
from skep.cli.values.mounts import parse_mount, split_volumes, tmpfs_map
from skep.cli.values.networks import (
    Attachment,
    endpoint_settings,
    parse_network,
    service_attachment,
)
from skep.cli.values.pairs import (
    check_variable,
    csv_row,
    environment,
    key_value_files,
    key_value_lines,
    mapping,
)
from skep.cli.values.placement import parse_generic_resource, parse_preference
from skep.cli.values.ports import (
    bindings,
    parse_publish,
    parse_service_port,
    parse_target_port,
)
from skep.cli.values.references import FileReference, as_json, parse_reference
from skep.cli.values.size import parse_bytes, parse_nano_cpus, parse_swap
from skep.cli.values.words import split_command

MIB = 1024**2


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (parse_bytes, "512", 512),
        (parse_bytes, "64m", 64 * MIB),
        (parse_bytes, "64MB", 64 * MIB),
        (parse_bytes, "1.5GiB", 1536 * MIB),
        (parse_bytes, "10 k", 10240),
        (parse_bytes, "3b", 3),
        (parse_swap, "-1", -1),
        (parse_nano_cpus, "1.5", 1_500_000_000),
        (parse_nano_cpus, "0.001", 1_000_000),
        (parse_ulimit, "nofile=1024:2048", {"Name": "nofile", "Soft": 1024, "Hard": 2048}),
        (parse_ulimit, "core=-1", {"Name": "core", "Soft": -1, "Hard": -1}),
        (parse_restart, "on-failure:3", {"Name": "on-failure", "MaximumRetryCount": 3}),
        (parse_restart, "always", {"Name": "always", "MaximumRetryCount": 0}),
        (parse_extra_host, "db:10.0.0.1", "db:10.0.0.1"),
        (parse_extra_host, "db=::1", "db:::1"),
        (parse_extra_host, "me:host-gateway", "me:host-gateway"),
        (check_dns_search, ".", "."),
        (check_dns_search, "example.org", "example.org"),
        (check_variable, "A=", "A="),
        (parse_device, "/dev/fuse",
         {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}),
        (parse_device, "/dev/a:/dev/b:r",
         {"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}),
        (parse_preference, "spread=node.labels.zone",
         {"Spread": {"SpreadDescriptor": "node.labels.zone"}}),
        (parse_generic_resource, "gpu=2", {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}),
        (split_command, "sh -c 'a b'", ["sh", "-c", "a b"]),
        (csv_row, 'a,"b,c",d="e', ["a", "b,c", 'd="e']),
        (parse_reference, "key", FileReference("key", "key")),
        (parse_reference, "source=key,target=/run/k,uid=5,mode=0400",
         FileReference("key", "/run/k", uid="5", mode=0o400)),
        (parse_target_port, "80", (80, None)),
        (parse_target_port, "53/udp", (53, "udp")),
    ],
)  # fmt: skip
def test_a_text_is_read(read: Callable[[str], Any], text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "complaint"),
    [
        (parse_bytes, "3zz", "invalid suffix: 'zz'"),
        (parse_bytes, "m", "invalid size: 'm'"),
        (parse_bytes, "-5m", "must not be negative"),
        (parse_bytes, "5mx", "invalid suffix: 'mx'"),
        (parse_nano_cpus, "two", "failed to parse two as a number of CPUs"),
        (parse_nano_cpus, "nan", "failed to parse nan"),
        (parse_nano_cpus, "0.0000000001", "value is too precise"),
        (parse_ulimit, "nofile", "invalid ulimit argument: nofile"),
        (parse_ulimit, "files=3", "invalid ulimit type: files"),
        (parse_ulimit, "nofile=5:3", "soft limit must be less than or equal to hard limit"),
        (parse_restart, "on-failure:x", "maximum retry count must be an integer"),
        (parse_restart, ":3", "no policy provided before colon"),
        (parse_extra_host, "db", 'bad format for add-host: "db"'),
        (parse_extra_host, "db:here", 'invalid IP address in add-host: "here"'),
        (check_dns_search, "a..b", "is not a valid domain"),
        (check_variable, "=x", "invalid environment variable: =x"),
        (parse_device, "a:b:c:d", "invalid device specification"),
        (parse_preference, "pack=x", "use spread or binpack"),
        (parse_preference, "binpack=disk", "binpack takes cpu or memory"),
        (parse_preference, "spread", 'must be of the format "<strategy>=<arg>"'),
        (parse_generic_resource, "gpu=one", "Named Generic Resources is not supported"),
        (split_command, "sh -c 'a", "invalid command"),
        (parse_reference, "target=x", "source is required"),
        (parse_reference, "source=x,mode=rw", "invalid mode specified: rw"),
        (parse_reference, "source=x,color=red", "invalid field key color"),
        (parse_publish, "abc", "invalid containerPort: abc"),
        (parse_publish, "99999:80", "invalid hostPort: 99999"),
        (parse_publish, "80:", "no port specified: 80:<empty>"),
        (parse_publish, "80/icmp", "invalid proto: icmp"),
        (parse_publish, "1.2.3:80:80", "invalid IP address: 1.2.3"),
        (parse_publish, "80-82:90-91", "invalid ranges specified"),
        (parse_publish, "90-80:1", "invalid hostPort: 90-80"),
        (parse_service_port, "1.2.3.4:80:80", "a host IP is not supported"),
        (parse_service_port, "80-90:80", "invalid publish range"),
        (parse_service_port, "target=80,mode=x", "invalid publish mode value (x)"),
        (parse_service_port, "target=80,protocol=icmp", "invalid protocol value 'icmp'"),
        (parse_service_port, "published=80", 'missing mandatory field "target"'),
        (parse_service_port, "target=80,color=red", "invalid field key color"),
        (parse_service_port, "target=800000", "invalid target port: 800000"),
        (parse_mount, "type=bind,src=/a", "target is required"),
        (parse_mount, "type=foo,dst=/a", "invalid mount type 'foo'"),
        (parse_mount, "dst=/a,color=red", "unexpected key 'color' in 'color=red'"),
        (parse_mount, "dst", "invalid field 'dst' must be a key=value pair"),
        (parse_mount, "type=bind,src=/a,dst=/a,tmpfs-size=1m", "cannot mix 'tmpfs-*' options"),
        (parse_mount, "type=tmpfs,src=/a,dst=/a", "a tmpfs mount has no source"),
        (parse_mount, "type=bind,dst=/a", "a bind mount needs source="),
        (parse_mount, "dst=/a,readonly=maybe", "invalid value for readonly: maybe"),
        (parse_mount, "type=tmpfs,dst=/a,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        (parse_network, "alias=x", "network name/id is not specified"),
        (parse_network, "name=a,ip=x", "IP address is not correctly formatted: x"),
        (parse_network, "name=a,driver-opt=x", "invalid key value pair format"),
    ],
)
def test_a_wrong_text_is_told_what_is_wrong(
    read: Callable[[str], Any], text: str, complaint: str
) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "mappings"),
    [
        ("80", [("", "", 80, "tcp")]),
        ("4000:5000/udp", [("", "4000", 5000, "udp")]),
        ("127.0.0.1:80:8080", [("127.0.0.1", "80", 8080, "tcp")]),
        ("127.0.0.1::8080", [("127.0.0.1", "", 8080, "tcp")]),
        ("[::1]:80:8080", [("::1", "80", 8080, "tcp")]),
        ("8000-8001:80-81", [("", "8000", 80, "tcp"), ("", "8001", 81, "tcp")]),
        ("8000-8010:80", [("", "8000-8010", 80, "tcp")]),
        ("80-81", [("", "", 80, "tcp"), ("", "", 81, "tcp")]),
    ],
)
def test_a_published_port_is_read_in_every_notation(text: str, mappings: list[Any]) -> None:
    assert [tuple(each) for each in parse_publish(text)] == mappings


def test_bindings_gather_by_container_port_and_keep_each_once() -> None:
    assert bindings(
        ["80:80", "80:80", "81:80", "published=90,target=9,protocol=udp"], ["70-71"]
    ) == (
        {"80/tcp": {}, "9/udp": {}, "70/tcp": {}, "71/tcp": {}},
        {
            "80/tcp": [{"HostIp": "", "HostPort": "80"}, {"HostIp": "", "HostPort": "81"}],
            "9/udp": [{"HostIp": "", "HostPort": "90"}],
        },
    )


def config(published: int, target: int, protocol: str = "tcp", mode: str = "ingress") -> Any:
    return {
        "Protocol": protocol,
        "TargetPort": target,
        "PublishedPort": published,
        "PublishMode": mode,
    }


@pytest.mark.parametrize(
    ("text", "configs"),
    [
        ("4000:5000", [config(4000, 5000)]),
        ("80", [config(0, 80)]),
        ("8000-8001:80-81/udp", [config(8000, 80, "udp"), config(8001, 81, "udp")]),
        ("mode=host,target=80,published=8080", [config(8080, 80, mode="host")]),
        ("target=53,published=53,protocol=udp", [config(53, 53, "udp")]),
    ],
)
def test_a_services_port_is_read_in_every_notation(text: str, configs: list[Any]) -> None:
    assert parse_service_port(text) == configs


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("source=v,target=/x", {"Type": "volume", "Source": "v", "Target": "/x"}),
        ("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave",
         {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True,
          "BindOptions": {"Propagation": "rslave"}}),
        ("type=bind,src=/a,dst=/b,readonly,bind-recursive=readonly",
         {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True,
          "BindOptions": {"ReadOnlyForceRecursive": True}}),
        ("type=volume,dst=/x,volume-nocopy,volume-driver=d,volume-opt=o=1,volume-label=l=2",
         {"Type": "volume", "Target": "/x", "VolumeOptions": {
             "NoCopy": True, "DriverConfig": {"Name": "d", "Options": {"o": "1"}},
             "Labels": {"l": "2"}}}),
        ("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1777",
         {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": MIB, "Mode": 0o1777}}),
        ("type=image,src=web:1,dst=/x,image-subpath=a",
         {"Type": "image", "Source": "web:1", "Target": "/x", "ImageOptions": {"Subpath": "a"}}),
    ],
)  # fmt: skip
def test_a_mount_is_read(text: str, mount: dict[str, Any]) -> None:
    assert parse_mount(text) == mount


def test_volumes_are_binds_or_anonymous(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_volumes(["/data", "v:/x:ro", "./a:/b"]) == (
        ["v:/x:ro", f"{tmp_path}/a:/b"],
        {"/data": {}},
    )
    assert tmpfs_map(["/t", "/u:size=1m"]) == {"/t": "", "/u": "size=1m"}
    for wrong in (":/x", "/x:", "a:/b:ro:z"):
        with pytest.raises(ValueError, match="invalid"):
            split_volumes([wrong])


def test_a_network_is_a_name_or_a_row_of_fields() -> None:
    assert parse_network("front") == Attachment("front")
    full = parse_network("name=n,alias=a,alias=b,ip=10.0.0.9,driver-opt=K=v,gw-priority=2")
    assert endpoint_settings(full) == {
        "Aliases": ["a", "b"],
        "DriverOpts": {"k": "v"},
        "IPAMConfig": {"IPv4Address": "10.0.0.9"},
        "GwPriority": 2,
    }
    assert service_attachment(parse_network("name=n,alias=a")) == {"Target": "n", "Aliases": ["a"]}
    with pytest.raises(ValueError, match="cannot be given addresses"):
        service_attachment(full)


def test_variables_without_a_value_take_this_process_own() -> None:
    assert environment(["A=1", "B", "C"], {"B": "2"}) == ["A=1", "B=2"]
    assert mapping(["a=1", "b", "a=2"]) == {"a": "2", "b": ""}


def test_an_env_file_is_read_line_by_line(tmp_path: Path) -> None:
    assert key_value_lines("\ufeff# note\n\nA=1 # kept\n  B\nC= x\n") == ["A=1 # kept", "B", "C= x"]
    for content, complaint in (("=1", "no variable name"), ("A B=1", "contains whitespaces")):
        file = tmp_path / "env"
        file.write_text(content)
        with pytest.raises(ValueError, match=complaint):
            key_value_files([str(file)])
    with pytest.raises(ValueError, match="open /nonexistent: no such file or directory"):
        key_value_files(["/nonexistent"])


def test_a_file_reference_carries_owner_and_mode() -> None:
    assert as_json(FileReference("key", "k"), "Secret", "id1") == {
        "File": {"Name": "k", "UID": "0", "GID": "0", "Mode": 0o444},
        "SecretID": "id1",
        "SecretName": "key",
    }


def test_a_health_check_has_only_what_was_given() -> None:
    nothing: dict[str, Any] = {
        "command": "", "interval_ns": 0, "timeout_ns": 0, "start_period_ns": 0,
        "start_interval_ns": 0, "retries": 0,
    }  # fmt: skip
    assert health(**nothing) is None
    assert health(**{**nothing, "command": "true", "retries": 2}) == {
        "Test": ["CMD-SHELL", "true"],
        "Retries": 2,
    }
    with pytest.raises(ValueError, match="--health-retries cannot be negative"):
        health(**{**nothing, "retries": -1})


NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        ("", None),
        ("1700000000.5", "1700000000.5"),
        ("42m", f"{int(NOW.timestamp()) - 2520}.000000000"),
        ("2026-11-22T10:00:00Z", f"{int(NOW.timestamp()) - 7200}.000000000"),
        ("2026-11-22T12:00:00.25+01:00", f"{int(NOW.timestamp()) - 3600}.250000000"),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(text: str, stamp: str | None) -> None:
    assert parse_moment(text, NOW) == stamp


def test_a_moment_without_a_zone_is_local_time() -> None:
    local = datetime(2026, 11, 22, 10).astimezone().timestamp()
    for text in ("2026-11-22T10", "2026-11-22T10:00:00"):
        assert parse_moment(text, NOW) == f"{int(local)}.000000000"
    with pytest.raises(ValueError, match="how long ago"):
        parse_moment("yesterday", NOW)
