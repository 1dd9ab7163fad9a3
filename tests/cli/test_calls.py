"""What commands ask of the daemon, and what they say of its answer."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skep.cli.commands.copy import container_target, local_target, split_place
from skep.cli.commands.daemon import DAEMON, daemon_flags
from skep.cli.commands.network import ipam_configs
from skep.cli.errors import Failure
from skep.cli.flags.parse import parse
from skep.cli.streams.archive import ChunkReader, pack, unpack

SERVICE = {
    "ID": "s1",
    "Version": {"Index": 7},
    "Spec": {
        "Name": "web",
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"ContainerSpec": {"Image": "web:1"}},
    },
}


@pytest.fixture
def ok(daemon: Any, answer: Callable[..., Any]) -> Callable[..., None]:
    """Teach the daemon an answer."""

    def teach(key: str, value: Any = None, status: int = 200) -> None:
        daemon.answer(key, answer({"json": value, "status": status}))

    return teach


def test_create_pins_the_image_to_the_registrys_digest(
    ok: Callable[..., None], daemon: Any, skep: Callable[..., Any]
) -> None:
    descriptor = {"digest": "sha256:abc"}
    platforms = [{"architecture": "amd64", "os": "linux"}, {"architecture": "arm", "os": "linux"}]
    ok("GET /distribution/web:latest/json", {"Descriptor": descriptor, "Platforms": platforms})
    ok("POST /services/create", {"ID": "s1"}, 201)
    assert skep("service", "create", "-d", "--name", "web", "web").out == "s1\n"
    task = daemon.asked("POST /services/create")[0].body["TaskTemplate"]
    assert task == {
        "ContainerSpec": {"Image": "web:latest@sha256:abc"},
        "Placement": {
            "Platforms": [
                {"Architecture": "amd64", "OS": "linux"},
                {"Architecture": "", "OS": "linux"},
            ]
        },
    }


def test_create_says_when_the_registry_does_not_answer_and_goes_on(
    ok: Callable[..., None], skep: Callable[..., Any]
) -> None:
    ok("GET /distribution/web:1/json", {"message": "no route"}, 500)
    ok("POST /services/create", {"ID": "s1"}, 201)
    result = skep("service", "create", "-d", "web:1")
    assert (result.out, result.code) == ("s1\n", 0)
    assert result.err.startswith("image web:1 could not be accessed on a registry to record\n")


def test_create_shows_convergence_to_its_end(
    ok: Callable[..., None], skep: Callable[..., Any]
) -> None:
    service = {**SERVICE, "Spec": {**SERVICE["Spec"], "UpdateConfig": {"Monitor": 1}}}  # type: ignore[dict-item]
    task = {"Slot": 1, "NodeID": "n1", "DesiredState": "running", "Status": {"State": "running"}}
    ok("POST /services/create", {"ID": "s1"}, 201)
    ok("GET /services/s1", service)
    ok("GET /tasks?filters=%7B%22service%22%3A%5B%22s1%22%5D%2C%22_up-to-date%22%3A%5B%22true%22"
       "%5D%7D", [task])  # fmt: skip
    ok("GET /nodes", [{"ID": "n1", "Status": {"State": "ready"}}])
    assert skep("service", "create", "--no-resolve-image", "web").out == (
        "s1\noverall progress: 1 out of 1 tasks\n"
        "verify: Waiting 1 seconds to verify that tasks are stable...\n"
        "verify: Service s1 converged\n"
    )


def test_update_sends_the_version_it_read_and_the_whole_spec(
    ok: Callable[..., None], daemon: Any, skep: Callable[..., Any]
) -> None:
    ok("GET /services/web", SERVICE)
    ok("POST /services/s1/update?version=7&registryAuthFrom=spec", {"Warnings": ["mind this"]})
    result = skep("service", "update", "-d", "--replicas", "3", "--env-add", "A=1", "web")
    assert (result.out, result.err) == ("web\n", "mind this\n")
    spec = daemon.asked("POST /services/s1")[0].body
    assert spec["Mode"] == {"Replicated": {"Replicas": 3}}
    assert spec["TaskTemplate"]["ContainerSpec"] == {"Image": "web:1", "Env": ["A=1"]}


def test_rollback_stands_alone(ok: Callable[..., None], skep: Callable[..., Any]) -> None:
    ok("GET /services/web", SERVICE)
    ok("POST /services/s1/update?version=7&rollback=previous", {})
    assert skep("service", "rollback", "-d", "web").out == "web\n"
    result = skep("service", "update", "--rollback", "--force", "web")
    assert result.err == "other flags may not be combined with --rollback\n"


def test_scale_does_what_it_can_and_names_the_rest(
    ok: Callable[..., None], skep: Callable[..., Any]
) -> None:
    ok("GET /services/web", SERVICE)
    ok("GET /services/agent", {**SERVICE, "Spec": {"Mode": {"Global": {}}}})
    ok("POST /services/s1/update?version=7", {})
    result = skep("service", "scale", "-d", "agent=2", "web=2", "web=many")
    assert (result.out, result.code) == ("web scaled to 2\n", 1)
    assert result.err == (
        "agent: scale can only be used with replicated or replicated-job mode\n"
        "web: invalid replicas value many: not a whole number\n"
    )


def test_a_secret_of_a_service_is_looked_up_by_name(
    ok: Callable[..., None], daemon: Any, skep: Callable[..., Any]
) -> None:
    filters = "%7B%22name%22%3A%5B%22key%22%5D%7D"
    ok(f"GET /secrets?filters={filters}", [{"ID": "id1", "Spec": {"Name": "key"}}])
    ok("POST /services/create", {"ID": "s1"}, 201)
    words = ("service", "create", "-d", "--no-resolve-image", "--secret", "key", "web")
    assert skep(*words).code == 0
    container = daemon.asked("POST /services/create")[0].body["TaskTemplate"]["ContainerSpec"]
    assert container["Secrets"] == [
        {
            "File": {"Name": "key", "UID": "0", "GID": "0", "Mode": 0o444},
            "SecretID": "id1",
            "SecretName": "key",
        }
    ]


def test_each_name_is_done_or_complained_of(
    ok: Callable[..., None], skep: Callable[..., Any]
) -> None:
    ok("DELETE /containers/a?force=1", None, 204)
    ok("DELETE /containers/b?force=1", {"message": "No such container: b"}, 404)
    result = skep("rm", "-f", "a", "b")
    assert (result.out, result.code) == ("a\n", 1)
    assert result.err == "Error response from daemon: No such container: b\n"


def test_stop_sends_its_flags(ok: Callable[..., None], skep: Callable[..., Any]) -> None:
    ok("POST /containers/a/stop?t=0&signal=INT", None, 204)
    assert skep("stop", "-t", "0", "-s", "INT", "a").out == "a\n"


@pytest.mark.parametrize(
    ("typed", "done"), [("y\n", True), ("Y\n", True), ("n\n", False), ("", False)]
)
def test_prune_asks_first(
    typed: str, done: bool, ok: Callable[..., None], daemon: Any, skep: Callable[..., Any]
) -> None:
    ok("POST /containers/prune", {"ContainersDeleted": ["a"], "SpaceReclaimed": 2000})
    result = skep("container", "prune", stdin=typed)
    assert result.out.startswith(
        "WARNING! This will remove all stopped containers.\n"
        "Are you sure you want to continue? [y/N] "
    )
    assert result.out.endswith("Deleted Containers:\na\n\nTotal reclaimed space: 2kB\n") == done
    assert bool(daemon.asked("POST")) == done


def test_swarm_init_tells_how_others_join(
    ok: Callable[..., None], daemon: Any, skep: Callable[..., Any]
) -> None:
    ok("POST /swarm/init", "node1")
    ok("GET /swarm", {"JoinTokens": {"Worker": "SWMTKN-1-a", "Manager": "SWMTKN-1-b"}})
    managers = [{"NodeID": "node1", "Addr": "10.0.0.1:2377"}]
    ok("GET /info", {"Swarm": {"NodeID": "node1", "RemoteManagers": managers}})
    result = skep("swarm", "init", "--advertise-addr", "10.0.0.1", "--task-history-limit", "2")
    assert result.out == (
        "Swarm initialized: current node (node1) is now a manager.\n\n"
        "To add a worker to this swarm, run the following command:\n\n"
        "    skep swarm join --token SWMTKN-1-a 10.0.0.1:2377\n\n"
        "To add a manager to this swarm, run 'skep swarm join-token manager' "
        "and follow the instructions.\n"
    )
    assert daemon.asked("POST /swarm/init")[0].body == {
        "ListenAddr": "0.0.0.0:2377",
        "AdvertiseAddr": "10.0.0.1",
        "SubnetSize": 24,
        "Spec": {"Labels": {}, "Orchestration": {"TaskHistoryRetentionLimit": 2}},
    }


def test_a_subnet_gets_the_ranges_and_gateways_that_lie_in_it() -> None:
    assert ipam_configs(
        ["10.1.0.0/16", "fd00::/64"],
        ["10.1.5.0/24"],
        ["10.1.0.1", "fd00::1"],
        {"printer": "10.1.0.9"},
    ) == [
        {
            "Subnet": "10.1.0.0/16",
            "IPRange": "10.1.5.0/24",
            "Gateway": "10.1.0.1",
            "AuxiliaryAddresses": {"printer": "10.1.0.9"},
        },
        {"Subnet": "fd00::/64", "Gateway": "fd00::1"},
    ]


@pytest.mark.parametrize(
    ("subnets", "ranges", "gateways", "complaint"),
    [
        ([], [], ["10.0.0.1"], "must have a corresponding subnet"),
        (["10.0.0.0/8", "10.1.0.0/16"], [], [], "multiple overlapping subnet"),
        (["10.1.0.0/16"], [], ["10.2.0.1"], "no matching subnet for 10.2.0.1"),
        (["10.1.0.0/16"], [], ["10.1.0.1", "10.1.0.2"], "cannot configure multiple gateways"),
        (["10.1.0.0/40"], [], [], "invalid CIDR address: 10.1.0.0/40"),
    ],
)
def test_addresses_that_do_not_fit_are_refused(
    subnets: list[str], ranges: list[str], gateways: list[str], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        ipam_configs(subnets, ranges, gateways, {})


def test_the_daemons_flags_go_by_the_keys_of_its_file() -> None:
    words = [
        "-H",
        "unix:///a",
        "-H",
        "tcp://127.0.0.1:1",
        "--data-root",
        "/d",
        "-l",
        "debug",
        "--label",
        "a=b",
        "--mtu",
        "1400",
        "--default-address-pool",
        "base=172.30.0.0/16,size=24",
        "--log-opt",
        "max-size=1m",
    ]
    options, _ = parse(DAEMON.flags, words)
    assert daemon_flags(options) == {
        "hosts": ["unix:///a", "tcp://127.0.0.1:1"],
        "data-root": "/d",
        "log-level": "debug",
        "labels": ["a=b"],
        "mtu": 1400,
        "default-address-pools": [{"base": "172.30.0.0/16", "size": 24}],
        "log-opts": {"max-size": "1m"},
    }


def test_a_place_is_a_path_or_a_containers_path() -> None:
    assert [split_place(text) for text in ("c1:/x", "./c1:x", "/a:b", "x", "-")] == [
        ("c1", "/x"), ("", "./c1:x"), ("", "/a:b"), ("", "x"), ("", "-"),
    ]  # fmt: skip


def test_a_copy_gets_the_name_that_cp_would_give(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.write_text("x")
    assert local_target(folder, "folder", "etc", "/etc", is_folder=True) == (folder, "etc")
    assert local_target(folder, "folder", "etc", "/etc/.", is_folder=True) == (folder, "")
    new = tmp_path / "new"
    assert local_target(new, "new", "etc", "/etc", is_folder=True) == (tmp_path, "new")
    with pytest.raises(Failure, match="the destination is a file"):
        local_target(file, "file", "etc", "/etc", is_folder=True)
    with pytest.raises(Failure, match="there is no such directory"):
        local_target(new, "new/", "hosts", "/etc/hosts", is_folder=False)
    assert container_target(file, "file", "/tmp", into_folder=True) == ("/tmp", "file")
    assert container_target(file, "file", "/tmp/x", into_folder=False) == ("/tmp", "x")
    assert container_target(folder, "folder/.", "/tmp", into_folder=True) == ("/tmp", ".")


def test_what_is_packed_comes_out_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(b"x" * 100_000)
    (source / "link").symlink_to("inner/file")
    target = tmp_path / "target"
    target.mkdir()
    unpack(ChunkReader(pack(source, "old", follow=False)), target, "old", "new", keep_owner=False)
    assert (target / "new" / "inner" / "file").read_bytes() == b"x" * 100_000
    assert (target / "new" / "link").readlink() == Path("inner/file")


def hostile(*members: tuple[str, str | None]) -> bytes:
    """An archive of files, or of links where a target is given."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, link in members:
            info = tarfile.TarInfo(name)
            if link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return content.getvalue()


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", None)],
        [("a/../../evil", None)],
        [("door", "/tmp"), ("door/evil", None)],
        [("door", ".."), ("door/evil", None)],
    ],
)
def test_an_archive_cannot_lead_out_of_its_folder(
    members: list[tuple[str, str | None]], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    reader = ChunkReader([hostile(*members)])
    with pytest.raises(Failure, match="outside of its folder"):
        unpack(reader, target, "", "", keep_owner=False)
    assert not (tmp_path / "evil").exists()


def test_an_image_is_saved_whole_or_not_at_all(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any], tmp_path: Path
) -> None:
    daemon.answer("GET /images/get?names=web", answer({"latin1": "tar", "status": 200}))
    file = tmp_path / "web.tar"
    assert skep("save", "-o", str(file), "web").code == 0
    assert file.read_text() == "tar"
    daemon.answer("GET /images/get?names=no", answer({"json": {"message": "no"}, "status": 404}))
    assert skep("save", "-o", str(tmp_path / "no.tar"), "no").code == 1
    assert [path.name for path in tmp_path.glob("*.tar*")] == ["web.tar"]


def test_an_image_is_loaded_from_standard_input(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any]
) -> None:
    said = '{"stream":"Loaded image: web:1\\n"}\n'
    daemon.answer("POST /images/load?quiet=1", answer({"latin1": said, "status": 200}))
    assert skep("load", stdin="tar bytes").out == "Loaded image: web:1\n"
    assert daemon.asked("POST /images/load")[0].body == b"tar bytes"


def test_a_pull_that_fails_says_why(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any]
) -> None:
    said = '{"status":"Pulling","id":"1"}\n{"errorDetail":{"message":"no space"},"error":"x"}\n'
    key = "POST /images/create?fromImage=web&tag=1"
    daemon.answer(key, answer({"latin1": said, "status": 200}))
    result = skep("pull", "web:1")
    assert (result.out, result.err, result.code) == ("1: Pulling\n", "no space\n", 1)
