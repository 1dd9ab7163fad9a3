"""The flags of run and create as the body of POST /containers/create. Pure but for files named.

Only what was asked for is in the body: the daemon knows its own defaults.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from skep.cli.commands.health_flags import health_check
from skep.cli.flags.flag import Options, given_fields
from skep.cli.values.limits import log_config, parse_restart
from skep.cli.values.mounts import split_volumes, tmpfs_map
from skep.cli.values.networks import Attachment, endpoint_settings
from skep.cli.values.pairs import environment, key_value_files, mapping, required_mapping
from skep.cli.values.ports import bindings

_STREAMS = ("stdin", "stdout", "stderr")


def container_body(options: Options, image: str, command: list[str]) -> dict[str, Any]:
    """Raises ValueError for flags that are wrong, or that cannot go together."""
    _check_conflicts(options)
    ports, bound = bindings(options.items("publish"), options.items("expose"))
    binds, anonymous = split_volumes(options.items("volume"))
    body = {
        "Image": image,
        "Cmd": command or None,
        **_process(options),
        "Labels": _labels(options),
        "ExposedPorts": ports,
        "Volumes": anonymous,
        "Healthcheck": health_check(options),
        **_attach(options),
    }
    host = {
        "PortBindings": bound,
        "Binds": binds,
        "Mounts": options.items("mount"),
        "Tmpfs": tmpfs_map(options.items("tmpfs")),
        **_host_texts(options),
        **_limits(options),
        **_security(options),
    }
    networks = _networks(options)
    if networks:
        host["NetworkMode"] = networks[0].target
    body["HostConfig"] = {**_filled(host), **_said_of_the_host(options)}
    endpoints = {each.target: endpoint_settings(each) for each in networks}
    if any(endpoints.values()) or len(endpoints) > 1:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    stop = given_fields(options, (("stop-timeout", "StopTimeout"),))
    return {**_filled(body), **stop}


def _said_of_the_host(options: Options) -> dict[str, Any]:
    """Fields whose zero says something else than nothing."""
    fields = (("memory-swappiness", "MemorySwappiness"), ("init", "Init"))
    return given_fields(options, fields)


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: None, false, 0 and empty things."""
    return {key: value for key, value in fields.items() if value or value == [""]}


def _check_conflicts(options: Options) -> None:
    if options.yes("rm") and options.text("restart") not in {"", "no"}:
        raise ValueError("conflicting options: cannot specify both --restart and --rm")
    for stream in options.items("attach"):
        if stream.lower() not in _STREAMS:
            raise ValueError(f"valid streams are STDIN, STDOUT and STDERR, not {stream}")
    if not -1 <= options.number("memory-swappiness") <= 100:
        swappiness = options.number("memory-swappiness")
        raise ValueError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")
    if options.has("detach") and options.yes("detach") and options.items("attach"):
        raise ValueError("conflicting options: cannot specify both --attach and --detach")


def _process(options: Options) -> dict[str, Any]:
    files = key_value_files(options.items("env-file"))
    entrypoint: list[str] | None = None
    if options.given("entrypoint"):
        # An empty text takes the image's own away.
        entrypoint = [options.text("entrypoint")]
    return {
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "WorkingDir": options.text("workdir"),
        "Env": environment([*files, *options.items("env")], os.environ),
        "Entrypoint": entrypoint,
        "Tty": options.yes("tty"),
        "OpenStdin": options.yes("interactive"),
        "StopSignal": options.text("stop-signal"),
    }


def attached_streams(options: Options) -> frozenset[str]:
    """Which of stdin, stdout and stderr run connects to this terminal."""
    named = frozenset(stream.lower() for stream in options.items("attach"))
    if options.has("detach") and options.yes("detach"):
        return frozenset()
    if named:
        return named
    return frozenset(_STREAMS if options.yes("interactive") else _STREAMS[1:])


def _attach(options: Options) -> dict[str, Any]:
    streams = attached_streams(options)
    return {
        "AttachStdin": "stdin" in streams,
        "AttachStdout": "stdout" in streams,
        "AttachStderr": "stderr" in streams,
        "StdinOnce": options.yes("interactive") and "stdin" in streams,
    }


def _labels(options: Options) -> dict[str, str]:
    return mapping([*key_value_files(options.items("label-file")), *options.items("label")])


def _host_texts(options: Options) -> dict[str, Any]:
    restart = parse_restart(options.text("restart"))
    log = required_mapping(options.items("log-opt"), "log option")
    driver = options.text("log-driver")
    return {
        "RestartPolicy": restart if options.given("restart") else None,
        "AutoRemove": options.yes("rm"),
        "LogConfig": log_config(driver, log) if driver or log else None,
        "Annotations": mapping(options.items("annotation")),
        "VolumeDriver": options.text("volume-driver"),
        "VolumesFrom": options.items("volumes-from"),
        "Dns": options.items("dns"),
        "DnsOptions": options.items("dns-option"),
        "DnsSearch": options.items("dns-search"),
        "ExtraHosts": options.items("add-host"),
        "Links": options.items("link"),
        "PublishAllPorts": options.yes("publish-all"),
        "GroupAdd": options.items("group-add"),
        "StorageOpt": mapping(options.items("storage-opt")),
        "Runtime": options.text("runtime"),
        "Isolation": options.text("isolation"),
    }


def _limits(options: Options) -> dict[str, Any]:
    return {
        **resource_limits(options),
        "BlkioWeightDevice": options.items("blkio-weight-device"),
        "BlkioDeviceReadBps": options.items("device-read-bps"),
        "BlkioDeviceWriteBps": options.items("device-write-bps"),
        "BlkioDeviceReadIOps": options.items("device-read-iops"),
        "BlkioDeviceWriteIOps": options.items("device-write-iops"),
        "Ulimits": options.items("ulimit"),
        "ShmSize": options.number("shm-size"),
        "OomKillDisable": options.yes("oom-kill-disable"),
        "OomScoreAdj": options.number("oom-score-adj"),
    }


def resource_limits(options: Options) -> dict[str, Any]:
    """What `update` can change too."""
    return {
        "BlkioWeight": options.number("blkio-weight"),
        "CpuPeriod": options.number("cpu-period"),
        "CpuQuota": options.number("cpu-quota"),
        "CpuRealtimePeriod": options.number("cpu-rt-period"),
        "CpuRealtimeRuntime": options.number("cpu-rt-runtime"),
        "CpuShares": options.number("cpu-shares"),
        "NanoCpus": options.number("cpus"),
        "CpusetCpus": options.text("cpuset-cpus"),
        "CpusetMems": options.text("cpuset-mems"),
        "Memory": options.number("memory"),
        "MemoryReservation": options.number("memory-reservation"),
        "MemorySwap": options.number("memory-swap"),
        "PidsLimit": options.number("pids-limit"),
    }


def _security(options: Options) -> dict[str, Any]:
    return {
        "Privileged": options.yes("privileged"),
        "ReadonlyRootfs": options.yes("read-only"),
        "CapAdd": options.items("cap-add"),
        "CapDrop": options.items("cap-drop"),
        "SecurityOpt": [_security_option(each) for each in options.items("security-opt")],
        "Devices": options.items("device"),
        "DeviceCgroupRules": options.items("device-cgroup-rule"),
        "DeviceRequests": _gpus(options.text("gpus")),
        "Sysctls": required_mapping(options.items("sysctl"), "sysctl"),
        "CgroupParent": options.text("cgroup-parent"),
        "CgroupnsMode": options.text("cgroupns"),
        "IpcMode": options.text("ipc"),
        "PidMode": options.text("pid"),
        "UsernsMode": options.text("userns"),
        "UTSMode": options.text("uts"),
    }


def _security_option(text: str) -> str:
    """A seccomp profile is sent as its content: the daemon may see other files than we do."""
    name, separator, value = text.partition("=")
    if not separator:
        name, separator, value = text.partition(":")
    if not separator and name != "no-new-privileges":
        raise ValueError(f'Invalid --security-opt: "{text}"')
    if name != "seccomp" or value in {"unconfined", "builtin"}:
        return text
    try:
        profile = json.loads(Path(value).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"opening seccomp profile ({value}) failed: {(error.strerror or '').lower()}"
        ) from None
    except ValueError as error:
        raise ValueError(f"compacting json for seccomp profile ({value}) failed: {error}") from None
    return "seccomp=" + json.dumps(profile, separators=(",", ":"))


def _gpus(text: str) -> list[dict[str, Any]]:
    if not text:
        return []
    count = -1 if text == "all" else int(text) if text.isdecimal() else None
    if count is None:
        raise ValueError(f"invalid --gpus {text}: write all, or a number")
    return [{"Driver": "", "Count": count, "Capabilities": [["gpu"]]}]


def _networks(options: Options) -> list[Attachment]:
    """The networks to join; --ip, --ip6, --network-alias and the like belong to the first."""
    networks: list[Attachment] = options.items("network")
    names = [each.target for each in networks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'network "{name}" is specified multiple times')
    first = networks[0] if networks else Attachment("default")
    extra = first._replace(
        aliases=(*first.aliases, *options.items("network-alias")),
        ip=first.ip or options.text("ip"),
        ip6=first.ip6 or options.text("ip6"),
        link_local=(*first.link_local, *options.items("link-local-ip")),
        mac=first.mac or options.text("mac-address"),
    )
    if not networks and extra == first:
        return []
    return [extra, *networks[1:]]
