"""What HostConfig asks and we do not do is refused by name, nonsense in docker's words."""

from __future__ import annotations

from typing import Any

import pytest

from skep.engine.containers.checks import REFUSED, check_config, check_host_config
from skep.kit.errors import InvalidArgument, Unimplemented
from skep.model.base import decode_json, encode_json
from skep.model.container import ContainerConfig, ContainerCreate, HostConfig, LogConfig
from skep.model.rules.endpoints import check_endpoint_options
from skep.model.rules.logs import log_size

DOCKER_RUN = b"""{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,
"AttachStderr":true,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":["true"],
"Image":"busybox","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{},
"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},
"NetworkMode":"default","PortBindings":{},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},
"AutoRemove":false,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,
"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,
"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"",
"Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"",
"UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"CgroupParent":"",
"BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],
"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,
"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,
"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,
"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,
"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},"NetworkingConfig":
{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"",
"DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"",
"IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}
"""
"""What docker 28.2.2 sends for `docker run busybox true`."""


def test_all_that_docker_sends_unasked_is_fine() -> None:
    wish = decode_json(DOCKER_RUN, ContainerCreate)
    check_config(wish)
    check_host_config(wish.host_config)


ASKED: dict[str, Any] = {
    "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 10}],
    "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 10}],
    "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 10}],
    "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 10}],
    "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 10}],
    "Cgroup": "x",
    "CgroupParent": "/x",
    "CpuCount": 1,
    "CpuPercent": 1,
    "CpuRealtimePeriod": 1,
    "CpuRealtimeRuntime": 1,
    "DeviceRequests": [{"Driver": "nvidia", "Count": -1}],
    "IOMaximumBandwidth": 1,
    "IOMaximumIOps": 1,
    "KernelMemory": 1,
    "KernelMemoryTCP": 1,
    "Links": ["a:b"],
    "StorageOpt": {"size": "1g"},
    "VolumesFrom": ["a"],
}


@pytest.mark.parametrize("field", sorted(REFUSED))
def test_a_wish_that_is_not_fulfilled_is_refused_by_name(field: str) -> None:
    body = decode_json(b'{"%s": %s}' % (field.encode(), encode_json(ASKED[field])), HostConfig)
    with pytest.raises(Unimplemented, match=f"^{field} is not supported by this engine"):
        check_host_config(body)


CHOICES = [
    ("CgroupnsMode", "x"),
    ("IpcMode", "container:x"),
    ("Isolation", "hyperv"),
    ("UTSMode", "container:x"),
    ("UsernsMode", "private"),
    ("VolumeDriver", "nfs"),
    ("LogConfig", {"Type": "syslog"}),
]


@pytest.mark.parametrize(("field", "value"), CHOICES)
def test_a_choice_that_we_lack_is_refused_with_those_that_we_have(field: str, value: Any) -> None:
    body = decode_json(b'{"%s": %s}' % (field.encode(), encode_json(value)), HostConfig)
    with pytest.raises(Unimplemented, match="is not supported by this engine: use '"):
        check_host_config(body)


NONSENSE = [
    ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
    ({"Memory": 1 << 30, "MemorySwap": 1 << 20}, "Minimum memoryswap limit should be larger"),
    ({"MemorySwap": 1 << 20}, "You should always set the Memory limit"),
    ({"MemorySwappiness": 101}, "valid memory swappiness range is 0-100"),
    ({"NanoCpus": 1, "CpuQuota": 5000}, "Nano CPUs and CPU Period/Quota cannot both be set"),
    ({"CpuPeriod": 1}, "CPU cfs period can not be less than 1ms"),
    ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
    ({"PidMode": "x"}, "invalid PID mode: x"),
    ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove'"),
    (
        {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}},
        "only be used with 'on-failure'",
    ),
    ({"LogConfig": {"Config": {"odd": "x"}}}, "unknown log opt 'odd' for json-file log driver"),
    (
        {"LogConfig": {"Type": "nobody"}},
        'error looking up logging plugin nobody: plugin "nobody" not found',
    ),
    ({"Runtime": "kata"}, "unknown or invalid runtime name: kata"),
]


@pytest.mark.parametrize(("wish", "words"), NONSENSE)
def test_nonsense_is_refused_in_dockers_words(wish: Any, words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_host_config(decode_json(encode_json(wish), HostConfig))
    assert words in str(refused.value)


@pytest.mark.parametrize("option", ["compress", "tag", "labels", "env", "max-buffer-size"])
def test_a_log_option_of_dockers_is_refused_by_name(option: str) -> None:
    host = HostConfig(log_config=LogConfig(config={option: "x"}))
    with pytest.raises(Unimplemented, match=f"^log opt '{option}=x' is not supported"):
        check_host_config(host)


@pytest.mark.parametrize("options", [{"max-file": "3"}, {"max-file": "1"}, {"max-size": "-1"}])
def test_a_log_without_a_size_has_no_end(options: dict[str, str]) -> None:
    check_host_config(HostConfig(log_config=LogConfig(config=options)))
    assert log_size("json-file", options) is None


def test_options_of_an_endpoint_are_any_but_dockers_own() -> None:
    check_endpoint_options({"a": "b"})
    with pytest.raises(Unimplemented, match=r'^endpoint option "com\.docker\.network\.x" is not'):
        check_endpoint_options({"a": "b", "com.docker.network.x": "y"})


CONFIGS = [
    ({"Env": ["=x"]}, "invalid environment variable: =x"),
    ({"WorkingDir": "x"}, "needs to be an absolute path"),
    ({"Healthcheck": {"Test": ["WHAT"]}}, "Unknown healthcheck type 'WHAT'"),
    ({"Healthcheck": {"Interval": 5}}, "Interval in Healthcheck cannot be less than 1ms"),
    ({"Healthcheck": {"StartPeriod": 5}}, "Start Period in Healthcheck cannot be less than 1ms"),
    ({"StopTimeout": -2}, "invalid stop timeout: -2"),
]


@pytest.mark.parametrize(("wish", "words"), CONFIGS)
def test_a_config_that_cannot_be_is_refused(wish: Any, words: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_config(decode_json(encode_json(wish), ContainerConfig))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "body",
    [b'{"Memory": "1g"}', b'{"Nothing": 1}', b'{"Privileged": 1}', b'{"OomScoreAdj": 2000}',
     b'{"RestartPolicy": {"Name": "often"}}', b'{"Binds": {}}', b"[]", b"{"],
)  # fmt: skip
def test_a_body_of_the_wrong_shape_is_refused_with_its_place(body: bytes) -> None:
    with pytest.raises(InvalidArgument, match=r"^invalid "):
        decode_json(body, HostConfig)
