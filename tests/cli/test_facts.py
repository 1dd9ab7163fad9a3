"""version, info, stats and df: facts of the daemon as lines and figures."""

from __future__ import annotations

from typing import Any

import pytest

from skep.cli.commands.disk_usage import Usage, summary
from skep.cli.commands.version import version_text
from skep.cli.show.info_text import info_text
from skep.cli.show.usage import cpu_percent, memory_in_use, use_of


def test_versions_are_shown_in_one_column() -> None:
    client = {
        "Version": "0.1.0", "ApiVersion": "1.41", "DefaultAPIVersion": "1.50",
        "PythonVersion": "3.11.2", "Os": "linux", "Arch": "amd64",
    }  # fmt: skip
    engine = {
        "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": "amd64",
        "BuildTime": "2026-05-07T21:09:36.000000000+00:00", "GoVersion": "", "KernelVersion": "6",
    }  # fmt: skip
    server = {
        "Components": [
            {"Name": "Engine", "Version": "20.10", "Details": engine},
            {"Name": "runc", "Version": "1.1.5", "Details": {"GitCommit": "abc"}},
        ]
    }
    assert version_text({"Client": client, "Server": server}) == (
        "Client:\n"
        " Version:           0.1.0\n"
        " API version:       1.41 (downgraded from 1.50)\n"
        " Python version:    3.11.2\n"
        " OS/Arch:           linux/amd64\n"
        "\nServer:\n"
        " Engine:\n"
        "  Version:          20.10\n"
        "  API version:      1.41 (minimum version 1.12)\n"
        "  Built:            Thu May  7 21:09:36 2026\n"
        "  OS/Arch:          linux/amd64\n"
        " runc:\n"
        "  Version:          1.1.5\n"
        "  GitCommit:        abc\n"
    )


def test_info_is_told_from_the_outside_in() -> None:
    info: dict[str, Any] = {
        "Containers": 3, "ContainersRunning": 1, "ContainersStopped": 2, "Images": 1,
        "Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]],
        "Plugins": {"Volume": ["local"], "Network": ["bridge", "host"]},
        "SecurityOptions": ["name=seccomp,profile=builtin"], "NCPU": 2, "MemTotal": 2 * 1024**3,
        "Swarm": {
            "LocalNodeState": "active", "NodeID": "n1", "ControlAvailable": False,
            "NodeAddr": "10.0.0.1", "RemoteManagers": [{"Addr": "10.0.0.2:2377"}],
        },
        "Labels": ["disk=ssd"],
        "RegistryConfig": {
            "IndexConfigs": {"reg:5000": {"Secure": False}, "docker.io": {"Secure": True}},
            "InsecureRegistryCIDRs": ["127.0.0.0/8"],
        },
    }  # fmt: skip
    assert info_text(info).splitlines() == [
        " Containers: 3", "  Running: 1", "  Paused: 0", "  Stopped: 2", " Images: 1",
        " Storage Driver: overlay2", "  Backing Filesystem: extfs",
        " Plugins:", "  Volume: local", "  Network: bridge host",
        " Swarm: active", "  NodeID: n1", "  Is Manager: false", "  Node Address: 10.0.0.1",
        "  Manager Addresses:", "   10.0.0.2:2377",
        " Security Options:", "  seccomp", "   Profile: default",
        " CPUs: 2", " Total Memory: 2GiB", " Debug Mode: false", " Labels:", "  disk=ssd",
        " Experimental: false", " Insecure Registries:", "  reg:5000", "  127.0.0.0/8",
        " Live Restore Enabled: false",
    ]  # fmt: skip


def test_a_managers_info_has_the_clusters_settings() -> None:
    cluster = {
        "ID": "c1",
        "DataPathPort": 4789,
        "Spec": {
            "Dispatcher": {"HeartbeatPeriod": 5 * 10**9},
            "CAConfig": {"NodeCertExpiry": 7776000 * 10**9},
            "EncryptionConfig": {"AutoLockManagers": True},
        },
    }
    swarm = {"LocalNodeState": "active", "ControlAvailable": True, "Cluster": cluster}
    lines = info_text({"Swarm": swarm})
    for line in (
        "  ClusterID: c1\n",
        "   Heartbeat Period: 5 seconds\n",
        "   Expiry Duration: 3 months\n",
        "  Autolock Managers: true\n",
    ):
        assert line in lines


def cpu(total: int, system: int, cpus: int = 2) -> dict[str, Any]:
    return {
        "cpu_usage": {"total_usage": total},
        "system_cpu_usage": system,
        "online_cpus": cpus,
    }


@pytest.mark.parametrize(
    ("now", "before", "percent"),
    [
        (cpu(500, 2000), cpu(0, 1000), 100.0),
        (cpu(1000, 2000), cpu(0, 1000), 200.0),
        (cpu(500, 1000), cpu(500, 1000), 0.0),
        (cpu(500, 1000), {}, 100.0),
    ],
)
def test_a_whole_processor_is_a_hundred_percent(now: Any, before: Any, percent: float) -> None:
    assert cpu_percent(now, before) == percent


def test_memory_is_counted_without_the_page_cache() -> None:
    assert memory_in_use({"usage": 100, "stats": {"inactive_file": 30}}) == 70
    assert memory_in_use({"usage": 100, "stats": {"total_inactive_file": 40}}) == 60
    assert memory_in_use({"usage": 100, "stats": {"inactive_file": 300}}) == 100


def test_a_sample_becomes_figures() -> None:
    use = use_of(
        {
            "memory_stats": {"usage": 50, "limit": 200},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 3}},
            "blkio_stats": {
                "io_service_bytes_recursive": [
                    {"op": "Read", "value": 5},
                    {"op": "write", "value": 6},
                ]
            },
            "pids_stats": {"current": 4},
        }
    )
    assert (use.memory_percent, use.net_in, use.net_out, use.block_in, use.block_out, use.pids) == (
        25.0, 4.0, 2.0, 5.0, 6.0, 4,
    )  # fmt: skip


def test_disk_use_is_summed_by_kind() -> None:
    usage = {
        "LayersSize": 100,
        "Images": [{"Size": 60, "SharedSize": 0, "Containers": 1}, {"Size": 40, "Containers": 0}],
        "Containers": [{"State": "running", "SizeRw": 5}, {"State": "exited", "SizeRw": 3}],
        "Volumes": [
            {"UsageData": {"Size": 10, "RefCount": 0}},
            {"UsageData": {"Size": 20, "RefCount": 2}},
        ],
    }
    assert summary(usage) == [
        Usage("Images", 2, 1, 100, 40),
        Usage("Containers", 2, 1, 8, 3),
        Usage("Local Volumes", 2, 1, 30, 10),
        Usage("Build Cache", 0, 0, 0, 0, share=False),
    ]
