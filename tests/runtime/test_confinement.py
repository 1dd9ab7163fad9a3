"""What a container with docker's defaults may not do, tried from inside."""

from __future__ import annotations

import pytest

from skep.runtime import capabilities
from skep.runtime.bundle import DeviceRule, Mount, User
from skep.runtime.seccomp import default_profile
from skep.testing.container_host import ContainerHost

WITH_ADMIN = capabilities.DEFAULT | {"CAP_SYS_ADMIN"}


@pytest.mark.parametrize("flag", ["-U", "-m", "-n", "-p", "-i", "-u"])
async def test_no_new_namespaces(host: ContainerHost, flag: str) -> None:
    assert "Operation not permitted" in await host.output(f"unshare {flag} true")


async def test_the_filter_lets_an_administrator_make_namespaces(host: ContainerHost) -> None:
    script = "unshare -u hostname inner && echo done"
    output = await host.output(script, capabilities=WITH_ADMIN, seccomp=default_profile(WITH_ADMIN))
    assert output == "done\n0"


async def test_the_filter_is_on_and_holds_without_capability_checks(host: ContainerHost) -> None:
    """With every capability but the default filter, mount(2) is refused by the filter alone."""
    every = capabilities.of_this_host()
    script = "mount -t tmpfs none /tmp && echo mounted"
    refused = await host.output(script, capabilities=every)
    assert "mounted" not in refused
    assert "mounted" in await host.output(script, capabilities=every, seccomp=None)


async def test_the_fourteen_default_capabilities(host: ContainerHost) -> None:
    masks = await host.output('while read line; do case "$line" in Cap*) echo $line; esac; done'
                              " < /proc/self/status")  # fmt: skip
    found = dict(line.split() for line in masks.splitlines() if line.startswith("Cap"))
    assert len(capabilities.DEFAULT) == 14
    for kind in ("CapPrm:", "CapEff:", "CapBnd:"):
        assert capabilities.from_mask(int(found[kind], 16)) == capabilities.DEFAULT
    assert int(found["CapInh:"], 16) == int(found["CapAmb:"], 16) == 0


async def test_another_user_has_no_capabilities(host: ContainerHost) -> None:
    user = User(uid=1000, gid=1001, additional_gids=(7,))
    output = await host.output("id; touch /root-only; cat /proc/self/status", user=user)
    assert "uid=1000 gid=1001 groups=7" in output
    assert "Permission denied" in output
    assert "CapEff:\t0000000000000000" in output


@pytest.mark.parametrize("path", ["/proc/timer_list", "/proc/keys"])
async def test_masked_files_are_empty(host: ContainerHost, path: str) -> None:
    assert await host.output(f"wc -c < {path}") == "0\n0"


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity"])
async def test_the_kernels_switches_are_read_only(host: ContainerHost, path: str) -> None:
    assert "Read-only file system" in await host.output(f"echo h > {path}")


async def test_sys_and_cgroups_are_read_only(host: ContainerHost) -> None:
    script = "for it in /sys/fs/cgroup/*/tasks /sys/fs/cgroup/cgroup.procs; do echo 1 > $it; done"
    output = await host.output(f"{script}; mkdir /sys/mine")
    assert output.count("Read-only file system") >= 1


async def test_devices_are_the_harmless_ones(host: ContainerHost) -> None:
    nodes = (await host.output("ls /dev")).split()
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "mqueue"} <= set(
        nodes
    )
    assert not {"mem", "kmsg", "sda", "vda", "kvm"} & set(nodes)


async def test_a_device_needs_a_rule(host: ContainerHost) -> None:
    """/dev/loop-control's numbers are 10:237; opening it by an own node is refused."""
    script = "busybox mknod /tmp/kmsg c 1 11 && cat < /tmp/kmsg > /dev/null && echo read"
    extra = {"mounts": (Mount(destination="/tmp", source="tmpfs", type="tmpfs", options=("dev",)),)}
    assert "Operation not permitted" in await host.output(f"export PATH=/bin; {script}", **extra)


async def test_privileged_lifts_the_device_filter(host: ContainerHost) -> None:
    script = "busybox mknod /tmp/zero2 c 1 5 && busybox head -c 3 /tmp/zero2 | wc -c"
    mounts = (Mount(destination="/tmp", source="tmpfs", type="tmpfs", options=("dev",)),)
    output = await host.output(
        script,
        mounts=mounts,
        privileged=True,
        seccomp=None,
        capabilities=capabilities.of_this_host(),
        device_rules=(DeviceRule(allow=True),),
    )
    assert output == "3\n0"


async def test_no_new_privileges_is_set(host: ContainerHost) -> None:
    status = await host.output("cat /proc/self/status", no_new_privileges=True)
    assert "NoNewPrivs:\t1" in status


async def test_a_read_only_root(host: ContainerHost) -> None:
    assert "Read-only file system" in await host.output("touch /file", readonly_rootfs=True)


async def test_pid_1_is_the_program_and_the_host_name_is_its_own(host: ContainerHost) -> None:
    assert await host.output("echo $$; hostname", hostname="web.1") == "1\nweb.1\n0"


async def test_the_domain_name_is_the_containers(host: ContainerHost) -> None:
    output = await host.output("cat /proc/sys/kernel/domainname", domainname="example.test")
    assert output == "example.test\n0"
