"""Who the process is and what it may do, seen from inside."""

from __future__ import annotations

import socket

import pytest

from skep.kit.errors import InvalidArgument, NotFound
from skep.model.container import DeviceMapping
from skep.model.service import Ulimit
from skep.testing.engine_host import EngineHost

PASSWD = b"root:x:0:0:root:/root:/bin/sh\nbee:x:1000:1000::/home/bee:/bin/sh\n"
GROUP = b"root:x:0:\nbee:x:1000:\nhive:x:2000:bee\n"


async def test_a_user_is_looked_up_in_the_image(host: EngineHost) -> None:
    await host.load_image("users:1", files={"etc/passwd": PASSWD, "etc/group": GROUP})
    words = {"image": "users:1"}
    by_name = await host.output("id -u; id -g; id -G; echo $HOME", user="bee", **words)
    assert by_name == "1000\n1000\n1000 2000\n/home/bee\n"
    assert await host.output("id -u; id -g", user="bee:hive", **words) == "1000\n2000\n"
    assert await host.output("id -u; id -g", user="77", **words) == "77\n0\n"
    more = await host.output("id -G", host={"group_add": ["hive"]}, **words)
    assert set(more.split()) >= {"0", "2000"}
    ghost = await host.create(user="ghost", **words)
    with pytest.raises(InvalidArgument, match="unable to find user ghost"):
        await host.engine.containers.start(ghost)


async def test_a_passwd_that_is_a_link_to_the_hosts_is_not_followed(host: EngineHost) -> None:
    """A link leads inside the root or nowhere."""
    id_ = await host.run()
    await host.engine.containers.stop(id_, timeout_s=0)
    upper = host.settings.data_root / "containers" / id_ / "diff"
    (upper / "etc").mkdir(exist_ok=True)
    (upper / "etc/passwd").symlink_to("../../../../../../../../etc/passwd")
    await host.engine.containers.start(id_)
    assert await host.state(id_) == "running"


async def test_the_command_gets_dockers_variables(host: EngineHost) -> None:
    shown = await host.output("env", env=["A=1", "PATH=/bin"], hostname="box")
    assert set(shown.split()) >= {"A=1", "PATH=/bin", "HOSTNAME=box", "HOME=/root"}


async def test_a_working_folder_that_is_missing_is_made(host: EngineHost) -> None:
    assert await host.output("pwd", working_dir="/made/for/us") == "/made/for/us\n"


async def test_limits_reach_the_kernel(host: EngineHost) -> None:
    words = {
        "memory": 32 << 20,
        "pids_limit": 50,
        "ulimits": [Ulimit(name="nofile", soft=100, hard=200)],
        "shm_size": 1 << 20,
        "sysctls": {"net.ipv4.ip_default_ttl": "44"},
        "oom_score_adj": 500,
    }
    shown = await host.output(
        "ulimit -n; mount | grep /dev/shm; cat /proc/sys/net/ipv4/ip_default_ttl"
        " /proc/self/oom_score_adj",
        host=words,
    )
    lines = shown.splitlines()
    assert (lines[0], lines[2], lines[3]) == ("100", "44", "500")
    assert "size=1024k" in lines[1]
    id_ = await host.shell("echo here; exec sleep 100", host=words)
    await host.until_log(id_, "here\n")  # until then it is runc, which has threads
    stats = await anext(await host.engine.containers.stats(id_, stream=False, one_shot=True))
    assert (stats.memory_stats.limit, stats.pids_stats.limit) == (32 << 20, 50)
    assert stats.pids_stats.current == 1
    assert isinstance(stats.networks, dict)
    assert set(stats.networks) == {"eth0"}


async def test_a_memory_hog_is_killed_and_marked(host: EngineHost) -> None:
    id_ = await host.shell(
        "x=0123456789; while :; do x=$x$x; done",
        host={"memory": 8 << 20, "memory_swap": 8 << 20},
    )
    await host.engine.containers.wait(id_)
    state = (await host.engine.containers.inspect(id_)).state
    assert (state.exit_code, state.oom_killed) == (137, True)


async def test_capabilities_are_dockers_less_and_more_as_asked(host: EngineHost) -> None:
    async def bounding(**words: object) -> int:
        shown = await host.output("grep CapBnd /proc/self/status", host=words)
        return int(shown.split()[1], 16)

    plain = await bounding()
    assert plain == 0xA80425FB
    assert await bounding(cap_drop=["ALL"]) == 0
    assert await bounding(cap_drop=["all"], cap_add=["NET_ADMIN"]) == 1 << 12
    assert await bounding(privileged=True) > plain
    with pytest.raises(InvalidArgument, match="invalid capability"):
        await host.create(host={"cap_add": ["FLY"]})


async def test_devices_are_those_that_were_named(host: EngineHost) -> None:
    wish = DeviceMapping(path_on_host="/dev/null", path_in_container="/dev/mine")
    assert await host.output("test -c /dev/mine && echo yes", host={"devices": [wish]}) == "yes\n"
    ghost = DeviceMapping(path_on_host="/dev/none")
    with pytest.raises(InvalidArgument, match="error gathering device information"):
        await host.create(host={"devices": [ghost]})


async def test_an_init_is_pid_one_when_asked_for(host: EngineHost) -> None:
    shown = await host.output("cat /proc/1/comm", host={"init": True})
    assert shown.strip() in {"docker-init", "tini", "tini-static"}


async def test_namespaces_are_shared_when_asked_for(host: EngineHost) -> None:
    first = await host.run("sleep", "777", name="first")
    assert "sleep 777" in await host.output("ps", host={"pid_mode": "container:first"})
    assert await host.output("hostname", host={"uts_mode": "host"}) == f"{socket.gethostname()}\n"
    await host.engine.containers.remove(first, force=True)
    with pytest.raises(NotFound, match="No such container: first"):
        await host.create(host={"pid_mode": "container:first"})


async def test_security_options(host: EngineHost) -> None:
    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status"
    plain = (await host.output(script)).split()
    assert plain == ["NoNewPrivs:", "0", "Seccomp:", "2"]
    words = {"security_opt": ["no-new-privileges", "seccomp=unconfined"]}
    assert (await host.output(script, host=words)).split() == ["NoNewPrivs:", "1", "Seccomp:", "0"]
    with pytest.raises(InvalidArgument, match="invalid --security-opt"):
        await host.create(host={"security_opt": ["what=ever"]})
