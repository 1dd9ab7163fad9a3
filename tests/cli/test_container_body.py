"""The flags of run and create become the body of POST /containers/create, and nothing more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skep.cli.commands.container_body import container_body
from skep.cli.commands.container_flags import RUN_FLAGS
from skep.cli.flags.parse import parse

ATTACHED = {"AttachStdout": True, "AttachStderr": True}


def body(line: str) -> dict[str, Any]:
    options, (image, *command) = parse(RUN_FLAGS, line.split(), interspersed=False)
    return container_body(options, image, command)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("web", {"Image": "web", **ATTACHED}),
        ("-d web ls -l", {"Image": "web", "Cmd": ["ls", "-l"]}),
        ("-it web", {"Image": "web", **ATTACHED, "AttachStdin": True, "OpenStdin": True,
                     "StdinOnce": True, "Tty": True}),
        ("-a stderr web", {"Image": "web", "AttachStderr": True}),
        ("-d -w /x -u me -h box -e A=1 --stop-signal INT --stop-timeout 0 web",
         {"Image": "web", "WorkingDir": "/x", "User": "me", "Hostname": "box", "Env": ["A=1"],
          "StopSignal": "INT", "StopTimeout": 0}),
        ("-d --entrypoint= web", {"Image": "web", "Entrypoint": [""]}),
        ("-d --no-healthcheck web", {"Image": "web", "Healthcheck": {"Test": ["NONE"]}}),
        ("-d --health-cmd true --health-interval 2s web",
         {"Image": "web",
          "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 2_000_000_000}}),
        ("-d -l a=b -v /data web",
         {"Image": "web", "Labels": {"a": "b"}, "Volumes": {"/data": {}}}),
        ("-d -p 80:81 web",
         {"Image": "web", "ExposedPorts": {"81/tcp": {}},
          "HostConfig": {"PortBindings": {"81/tcp": [{"HostIp": "", "HostPort": "80"}]}}}),
        ("-d --network n --network-alias a --ip 10.0.0.2 web",
         {"Image": "web", "HostConfig": {"NetworkMode": "n"},
          "NetworkingConfig": {"EndpointsConfig": {
              "n": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.2"}}}}}),
        ("-d --network a --network b web",
         {"Image": "web", "HostConfig": {"NetworkMode": "a"},
          "NetworkingConfig": {"EndpointsConfig": {"a": {}, "b": {}}}}),
    ],
)  # fmt: skip
def test_only_what_was_asked_for_is_sent(line: str, expected: dict[str, Any]) -> None:
    assert body(line) == expected


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("-v v:/x --tmpfs /t:size=1m --mount type=tmpfs,dst=/u",
         {"Binds": ["v:/x"], "Tmpfs": {"/t": "size=1m"},
          "Mounts": [{"Type": "tmpfs", "Target": "/u"}]}),
        ("-m 64m --cpus 1.5 --pids-limit 9 -c 512 --cpuset-cpus 0-1 --memory-swap -1",
         {"Memory": 64 * 1024**2, "NanoCpus": 1_500_000_000, "PidsLimit": 9, "CpuShares": 512,
          "CpusetCpus": "0-1", "MemorySwap": -1}),
        ("--memory-swappiness 0 --shm-size 1g --oom-score-adj -5 --oom-kill-disable",
         {"MemorySwappiness": 0, "ShmSize": 1024**3, "OomScoreAdj": -5, "OomKillDisable": True}),
        ("--privileged --read-only --init --cap-add NET_ADMIN --cap-drop ALL",
         {"Privileged": True, "ReadonlyRootfs": True, "Init": True, "CapAdd": ["NET_ADMIN"],
          "CapDrop": ["ALL"]}),
        ("--security-opt no-new-privileges --sysctl a.b=1 --device /dev/fuse:/dev/x:r",
         {"SecurityOpt": ["no-new-privileges"], "Sysctls": {"a.b": "1"},
          "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/x",
                       "CgroupPermissions": "r"}]}),
        ("--restart on-failure:2", {"RestartPolicy": {"Name": "on-failure",
                                                      "MaximumRetryCount": 2}}),
        ("--rm", {"AutoRemove": True}),
        ("--log-driver json-file --log-opt max-size=1m",
         {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}}),
        ("--dns 10.0.0.1 --dns-search x.org --dns-option ndots:1 --add-host db:10.0.0.2",
         {"Dns": ["10.0.0.1"], "DnsSearch": ["x.org"], "DnsOptions": ["ndots:1"],
          "ExtraHosts": ["db:10.0.0.2"]}),
        ("--pid host --ipc host --uts host --userns host --cgroupns private",
         {"PidMode": "host", "IpcMode": "host", "UTSMode": "host", "UsernsMode": "host",
          "CgroupnsMode": "private"}),
        ("--gpus all", {"DeviceRequests": [{"Driver": "", "Count": -1,
                                            "Capabilities": [["gpu"]]}]}),
        ("--ulimit nofile=5", {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}]}),
        ("--device-read-bps /dev/sda:1m", {"BlkioDeviceReadBps": [{"Path": "/dev/sda",
                                                                   "Rate": 1024**2}]}),
    ],
)  # fmt: skip
def test_limits_and_isolation_go_to_the_host_config(line: str, host: dict[str, Any]) -> None:
    assert body(f"-d {line} web")["HostConfig"] == host


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--rm --restart always web", "cannot specify both --restart and --rm"),
        ("-d -a stdout web", "cannot specify both --attach and --detach"),
        ("-a stdwhat web", "valid streams are STDIN, STDOUT and STDERR"),
        ("--no-healthcheck --health-cmd x web", "--no-healthcheck conflicts"),
        ("--memory-swappiness 101 web", "Valid memory swappiness range is 0-100"),
        ("--network a --network a web", 'network "a" is specified multiple times'),
        ("--security-opt what web", 'Invalid --security-opt: "what"'),
        ("--security-opt seccomp=/nonexistent web", "opening seccomp profile (/nonexistent)"),
        ("--expose 1:2 web", "invalid port format for --expose: 1:2"),
        ("--gpus some web", "invalid --gpus some"),
        ("--log-opt x web", 'invalid log option "x"'),
        ("--log-driver none --log-opt a=b web", "invalid logging opts for driver none"),
    ],
)
def test_flags_that_cannot_go_together_are_refused(line: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        body(line)
    assert complaint in str(caught.value)


def test_a_seccomp_profile_is_sent_as_its_content(tmp_path: Path) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text('{\n "defaultAction": "SCMP_ACT_ALLOW"\n}')
    host = body(f"-d --security-opt seccomp={profile} web")["HostConfig"]
    assert host["SecurityOpt"] == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']


def test_files_of_variables_come_before_flags(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=file\nB=file\n")
    assert body(f"-d --env-file {file} -e A=flag web")["Env"] == ["A=file", "B=file", "A=flag"]
