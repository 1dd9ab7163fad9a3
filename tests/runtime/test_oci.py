"""A bundle's value as the OCI runtime's configuration."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skep.runtime.bundle import Bundle, Device, DeviceRule, Limits, Mount, Rlimit, User
from skep.runtime.door import ExecSpec
from skep.runtime.oci import all_mounts, oci_config, oci_exec_process, oci_resources


def config(*, unified: bool = True, **words: Any) -> dict[str, Any]:
    bundle = Bundle(
        **({"id": "c", "rootfs": "/r", "argv": ("run",), "cgroup_path": "/s/c"} | words)
    )
    return oci_config(bundle, unified=unified)


def namespaces(**words: Any) -> dict[str, str | None]:
    found = config(**words)["linux"]["namespaces"]
    return {namespace["type"]: namespace.get("path") for namespace in found}


def test_the_smallest_bundle_has_its_own_everything_but_network() -> None:
    assert namespaces() == {"mount": None, "pid": None, "ipc": None, "uts": None, "cgroup": None}


def test_shared_namespaces_are_left_out_and_given_ones_are_entered() -> None:
    assert namespaces(host_pid=True, host_ipc=True, host_uts=True, unified=False) == {"mount": None}
    given = namespaces(netns="/run/n", pid_namespace="/proc/7/ns/pid", cgroup_namespace=False)
    assert given == {
        "mount": None, "network": "/run/n", "pid": "/proc/7/ns/pid", "ipc": None, "uts": None,
    }  # fmt: skip


def test_the_host_name_needs_a_namespace_of_its_own() -> None:
    assert config(hostname="h")["hostname"] == "h"
    shared = config(hostname="h", domainname="d", host_uts=True)
    assert "hostname" not in shared
    assert "sysctl" not in shared["linux"]


def test_settings_are_those_asked_for_as_the_sandbox_has_ours() -> None:
    asked = {"net.core.somaxconn": "9"}
    assert config(netns="/run/n", sysctls=asked)["linux"]["sysctl"] == asked
    assert "sysctl" not in config(netns="/run/n")["linux"]


def test_privileged_has_no_masks_no_read_only_paths_and_every_device() -> None:
    linux = config(privileged=True)["linux"]
    assert "maskedPaths" not in linux
    assert "readonlyPaths" not in linux
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    sys = next(m for m in config(privileged=True)["mounts"] if m["destination"] == "/sys")
    assert "ro" not in sys["options"]


def test_devices_are_denied_then_allowed_in_order() -> None:
    rule = DeviceRule(allow=True, kind="c", major=10, minor=200, access="rw")
    device = Device(path="/dev/net/tun", kind="c", major=10, minor=200)
    linux = config(devices=(device,), device_rules=(rule,))["linux"]
    assert linux["resources"]["devices"] == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
    ]
    assert linux["devices"] == [
        {"path": "/dev/net/tun", "type": "c", "major": 10, "minor": 200,
         "fileMode": 0o666, "uid": 0, "gid": 0},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Limits(), {}),
        (Limits(nano_cpus=1_500_000_000), {"cpu": {"quota": 150_000, "period": 100_000}}),
        (Limits(nano_cpus=3_000_000), {"cpu": {"quota": 1_000, "period": 333_334}}),
        (Limits(nano_cpus=1_000_000), {"cpu": {"quota": 1_000, "period": 1_000_000}}),
        (Limits(cpu_quota_us=5, cpu_period_us=7), {"cpu": {"quota": 5, "period": 7}}),
        (Limits(cpuset_cpus="0-1", cpu_shares=2), {"cpu": {"shares": 2, "cpus": "0-1"}}),
        (Limits(memory_bytes=10), {"memory": {"limit": 10, "swap": 20}}),
        (
            Limits(memory_bytes=10, memory_swap_bytes=-1),
            {"memory": {"limit": 10, "swap": -1}},
        ),
        (Limits(oom_kill_disable=True), {"memory": {"disableOOMKiller": True}}),
        (
            Limits(pids_limit=5, blkio_weight=10),
            {"pids": {"limit": 5}, "blockIO": {"weight": 10}},
        ),
    ],
)
def test_limits_are_written_only_when_said(resources: Limits, expected: dict[str, Any]) -> None:
    assert oci_resources(resources) == expected


def test_unlimited_is_the_largest_number() -> None:
    limits = config(rlimits=(Rlimit(name="core", soft=0, hard=-1),))["process"]["rlimits"]
    assert limits == [{"type": "RLIMIT_CORE", "soft": 0, "hard": 2**64 - 1}]


def test_an_init_stands_before_the_program() -> None:
    made = config(init="/usr/bin/tini-static")
    assert made["process"]["args"] == ["/sbin/docker-init", "--", "run"]
    assert made["mounts"][-1] == {
        "destination": "/sbin/docker-init", "source": "/usr/bin/tini-static",
        "type": "bind", "options": ["bind", "ro"],
    }  # fmt: skip


def test_own_mounts_replace_the_defaults_and_come_last() -> None:
    own = (Mount(destination="/dev", source="/dev"), Mount(destination="/data", source="/d"))
    bundle = Bundle(id="c", rootfs="/r", argv=("x",), mounts=own)
    places = [mount.destination for mount in all_mounts(bundle)]
    assert places == ["/proc", "/sys", "/sys/fs/cgroup", "/dev", "/data"]


def test_no_capability_is_inheritable() -> None:
    sets = config()["process"]["capabilities"]
    assert sorted(sets) == ["bounding", "effective", "permitted"]
    assert len(sets["bounding"]) == 14


def test_a_configuration_is_json_with_its_filter_as_it_was_encoded() -> None:
    made = config(seccomp=msgspec.Raw(b'{"defaultAction":"SCMP_ACT_ERRNO"}'))
    decoded = msgspec.json.decode(msgspec.json.encode(made))
    assert decoded["linux"]["seccomp"] == {"defaultAction": "SCMP_ACT_ERRNO"}


def test_an_exec_is_confined_like_its_container_unless_it_says_more() -> None:
    process = config(no_new_privileges=True, apparmor_profile="p", oom_score_adj=5)["process"]
    spec = ExecSpec(exec_id="e", argv=("id",), user=User(uid=1, gid=2, additional_gids=(3,)))
    assert oci_exec_process(spec, process) == {
        "terminal": False,
        "user": {"uid": 1, "gid": 2, "additionalGids": [3]},
        "args": ["id"],
        "env": [],
        "cwd": "/",
        "noNewPrivileges": True,
        "capabilities": process["capabilities"],
        "oomScoreAdj": 5,
        "apparmorProfile": "p",
    }
    more = ExecSpec(exec_id="e", argv=("id",), capabilities=frozenset({"CAP_KILL"}))
    assert oci_exec_process(more, process)["capabilities"]["effective"] == ["CAP_KILL"]
