"""Transcripts with docker's unmodified client: columns, words and exit codes are dockerd's.

What is expected here was compared with Debian's dockerd 20.10.24 given the same words. In the
expectations `shape` stands for what differs each time: ID, AGO, TOKEN, HOST.
"""

from __future__ import annotations

import hashlib
import random
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skep import __version__
from skep.model.base import encode_json
from skep.model.image import ImageDocument, RootFS
from skep.testing.daemon import DaemonHost, Printed, until
from skep.testing.images import make_image, make_tar, write_archive
from skep.testing.registry import PASSWORD, USER, Registry, serve_registry

QUICK = ("--update-monitor", "500ms", "--rollback-monitor", "500ms")
"""Docker's client watches a converged service for as long as the update monitor."""
QUICK_STOP = ("--stop-grace-period", "1s")

NO_DIGEST = """\
image web:{} could not be accessed on a registry to record
its digest. Each node will access web:{} independently,
possibly leading to different nodes running different
versions of the image.

"""
NO_MANAGER = (
    'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or '
    '"docker swarm join" to connect this node to swarm and try again.\n'
)

_SHAPES = (
    (r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}", "TOKEN"),
    (r"(?m)^[0-9a-z]{12}(?=  )", "ID"),  # one in fifty has no digit
    (r"\b[0-9a-f]{64}\b|\b[0-9a-z]{25}\b|\b(?=\w*[0-9])[0-9a-z]{12}\b", "ID"),
    (r"(?i)\b(less than a|about an?|\d+) (second|minute|hour)s?( ago)?", "AGO"),
    (rf"\b{re.escape(socket.gethostname())}\b", "HOST"),
    (r" {2,}", "  "),
    (r" +$", ""),
)


def shape(text: str) -> str:
    """What differs each time as words, columns two blanks apart."""
    for pattern, word in _SHAPES:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def refused(words: str) -> Printed:
    return Printed(1, "", f"Error response from daemon: {words}\n")


@pytest.fixture
def alone(daemon: DaemonHost) -> Iterator[DaemonHost]:
    """A daemon in no cluster."""
    daemon.docker("swarm", "leave", "--force")
    yield daemon
    daemon.clear()
    daemon.docker("swarm", "leave", "--force")


@pytest.fixture
def host(alone: DaemonHost) -> DaemonHost:
    """A daemon that is a manager."""
    alone.ok("swarm", "init")
    return alone


@pytest.fixture(scope="module")
def registry(daemon: DaemonHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """On the host's loopback, with app:1 in it."""
    folder = tmp_path_factory.mktemp("registry")
    with serve_registry(folder) as registry:
        make_image(folder / "app.tar", "app:1", cmd=("sleep", "600"))
        registry.push(folder / "app.tar", "app:1")
        yield registry


# -- the swarm --------------------------------------------------------------------------------


def test_a_swarm_is_made_and_left(alone: DaemonHost) -> None:
    assert alone.docker("node", "ls") == (1, "", NO_MANAGER)
    assert alone.docker("service", "ls") == (1, "", NO_MANAGER)
    made = alone.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    assert (made.code, shape(made.out), made.err) == (
        0,
        """\
Swarm initialized: current node (ID) is now a manager.

To add a worker to this swarm, run the following command:

    docker swarm join --token TOKEN 127.0.0.1:2377

To add a manager to this swarm, run 'docker swarm join-token manager' and follow the instructions.
""".replace("    docker", "  docker"),
        "\n" if made.err else "",
    )
    assert alone.docker("swarm", "init") == refused(
        'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and '
        "join another one."
    )
    assert alone.docker("swarm", "leave") == refused(
        "You are attempting to leave the swarm on a node that is participating as a manager. "
        "Removing the last manager erases all current state of the swarm. Use `--force` to ignore "
        "this message."
    )
    assert alone.docker("swarm", "leave", "-f") == (0, "Node left the swarm.\n", "")
    assert alone.docker("swarm", "leave", "-f") == refused("This node is not part of a swarm")


def test_a_node_that_left_runs_no_tasks_and_can_begin_again(host: DaemonHost) -> None:
    host.ok("service", "create", "-d", "--name", "web", "-p", "4000:5000", "web:1")
    host.until_running("web", 1)
    host.ok("swarm", "leave", "-f")
    host.until_clean()
    assert host.ok("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
    assert host.ok("network", "ls", "--format", "{{.Name}}").split() == ["bridge", "host", "none"]
    host.ok("swarm", "init")
    assert host.docker("service", "ls", "-q") == (0, "", "")


def test_join_tokens_are_told_and_changed(host: DaemonHost) -> None:
    worker = host.ok("swarm", "join-token", "-q", "worker")
    told = host.ok("swarm", "join-token", "worker")
    assert shape(told) == (
        "To add a worker to this swarm, run the following command:\n\n"
        "  docker swarm join --token TOKEN 10.77.0.1:2377\n"
    )
    assert worker in told
    assert worker != host.ok("swarm", "join-token", "-q", "manager")
    assert worker != host.ok("swarm", "join-token", "-q", "--rotate", "worker")


def test_the_node_is_listed_and_inspected(host: DaemonHost) -> None:
    assert shape(host.ok("node", "ls")) == (
        "ID  HOSTNAME  STATUS  AVAILABILITY  MANAGER STATUS  ENGINE VERSION\n"
        f"ID *  HOST  Ready  Active  Leader  {__version__}"
    )
    pretty = shape(host.ok("node", "inspect", "self", "--pretty"))
    for line in (
        "ID:\t\t\tID",
        "Hostname:\tHOST",
        " State:\t\t\tReady",
        " Availability:\tActive",
        " Raft Status:\t\tReachable",
        " Leader:\t\tYes",
        " Operating System:\tlinux",
        " Network:\t\tbridge, host, null, overlay",
        f"Engine Version:\t\t{__version__}",
    ):
        assert line in re.sub(r":\s+\t", ":\t", pretty).splitlines() or line in pretty
    assert host.docker("node", "ps").rows[0][0] == "ID"


def test_information_and_versions(host: DaemonHost) -> None:
    info = host.ok("info")
    for line in (
        "Server:",
        f" Server Version: {__version__}",
        " Storage Driver: overlay2",
        " Logging Driver: json-file",
        " Swarm: active",
        "  Is Manager: true",
        "  Managers: 1",
        "  Nodes: 1",
        "   Task History Retention Limit: 5",
        "   Election Tick: 10",
        "   Expiry Duration: 3 months",
        "  Manager Addresses:",
        " Default Runtime: runc",
    ):
        assert line in info.splitlines()
    version = host.ok("version").splitlines()
    assert "Server: skep" in version
    assert "  API version:      1.50 (minimum version 1.24)" in version
    assert host.ok("version", "--format", "{{.Server.APIVersion}}") == "1.50"


# -- services ---------------------------------------------------------------------------------


def test_the_life_of_a_service(host: DaemonHost) -> None:
    made = host.docker("service", "create", *QUICK, "--name", "web_app", "-p", "4000:5000", "web:1")
    service_id, *progress = made.out.splitlines()
    assert (made.code, len(service_id), made.err) == (0, 25, NO_DIGEST.format(1, 1))
    assert "overall progress: 1 out of 1 tasks" in progress
    assert progress[-1].rstrip() == f"verify: Service {service_id} converged"
    assert shape(host.ok("service", "ls")) == (
        "ID  NAME  MODE  REPLICAS  IMAGE  PORTS\n"
        "ID  web_app  replicated  1/1  web:1  *:4000->5000/tcp"
    )
    assert shape(host.ok("service", "ps", "web_app")) == (
        "ID  NAME  IMAGE  NODE  DESIRED STATE  CURRENT STATE  ERROR  PORTS\n"
        "ID  web_app.1  web:1  HOST  Running  Running AGO"
    )

    scaled = host.docker("service", "scale", "web_app=5")
    assert (scaled.code, scaled.err) == (0, "")
    assert scaled.out.splitlines()[0] == "web_app scaled to 5"
    assert "overall progress: 5 out of 5 tasks" in scaled.out
    assert scaled.out.splitlines()[-1] == "verify: Service web_app converged"
    assert host.ok("service", "ls", "--format", "{{.Replicas}}") == "5/5"

    updated = host.docker("service", "update", "--image", "web:2", "web_app")
    assert (updated.code, updated.err) == (0, NO_DIGEST.format(2, 2))
    assert updated.out.splitlines()[0] == "web_app"
    assert updated.out.splitlines()[-1] == "verify: Service web_app converged"
    history = shape(host.ok("service", "ps", "web_app")).splitlines()
    assert history[1:3] == [
        "ID  web_app.1  web:2  HOST  Running  Running AGO",
        "ID  \\_ web_app.1  web:1  HOST  Shutdown  Shutdown AGO",
    ]
    assert len(history) == 11

    back = host.docker("service", "rollback", "web_app")
    assert (back.code, back.err) == (0, "")
    assert back.out.splitlines()[:2] == ["web_app", "rollback: manually requested rollback"]
    assert back.out.splitlines()[-1] == "verify: Service web_app converged"
    assert host.ok("service", "ls", "--format", "{{.Image}}") == "web:1"

    assert host.docker("service", "rm", "web_app") == (0, "web_app\n", "")
    assert host.docker("service", "rm", "web_app") == refused("service web_app not found")
    assert host.docker("service", "ps", "web_app") == (1, "", "no such service: web_app\n")
    assert host.docker("service", "scale", "web_app=2") == (
        1,
        "",
        "web_app: Error response from daemon: service web_app not found\n",
    )


def test_a_service_is_inspected_in_words(host: DaemonHost) -> None:
    service_id = host.ok(
        "service", "create", "-q", *QUICK, "--name", "web_app", "-p", "4000:5000", "web:1"
    )
    assert (
        shape(host.ok("service", "inspect", "--pretty", "web_app"))
        == """
ID:\t\tID
Name:\t\tweb_app
Service Mode:\tReplicated
 Replicas:\t1
Placement:
UpdateConfig:
 Parallelism:\t1
 On failure:\tpause
 Monitoring Period: 500ms
 Max failure ratio: 0
 Update order:  stop-first
RollbackConfig:
 Parallelism:\t1
 On failure:\tpause
 Monitoring Period: 500ms
 Max failure ratio: 0
 Rollback order:  stop-first
ContainerSpec:
 Image:\t\tweb:1
 Init:\t\tfalse
Resources:
Endpoint Mode:\tvip
Ports:
 PublishedPort = 4000
  Protocol = tcp
  TargetPort = 5000
  PublishMode = ingress
"""
    )
    assert host.ok("service", "inspect", "-f", "{{.ID}}", "web_app") == service_id
    assert host.docker("service", "inspect", "nobody") == (
        1, "[]\n", "Error: no such service: nobody\n",
    )  # fmt: skip
    host.ok("service", "update", "-q", "--force", "web_app")
    pretty = shape(host.ok("service", "inspect", "--pretty", "web_app"))
    assert (
        "UpdateStatus:\n State:\t\tcompleted\n Started:\tAGO\n Completed:\tAGO\n"
        " Message:\tupdate completed\n"
    ) in pretty


def test_logs_of_a_service_are_followed_over_its_tasks(host: DaemonHost) -> None:
    host.ok("service", "create", "-q", *QUICK, "--name", "web_app", "web:1")
    (task,) = host.running("web_app")
    assert host.ok("service", "logs", "web_app") == (
        f"web_app.1.{task['ID'][:12]}@{socket.gethostname()}    | serving one"
    )
    following = host.begin("service", "logs", "-f", "--raw", "web_app")
    assert following.stdout is not None
    assert following.stdout.readline() == "serving one\n"
    host.ok("service", "update", "-q", "--image", "web:2", "web_app")
    assert {following.stdout.readline(), following.stdout.readline()} == {"bye\n", "serving two\n"}
    following.send_signal(signal.SIGINT)
    following.communicate(timeout=20)


# -- images and containers --------------------------------------------------------------------


def test_images_are_loaded_listed_tagged_and_removed(alone: DaemonHost, tmp_path: Path) -> None:
    image_id = make_image(tmp_path / "box.tar", "box:1").removeprefix("sha256:")
    assert alone.docker("load", "-i", str(tmp_path / "box.tar")) == (0, "Loaded image: box:1\n", "")
    listed = alone.ok("images", "box").splitlines()
    assert shape(listed[0]) == "REPOSITORY  TAG  IMAGE ID  CREATED  SIZE"
    assert re.fullmatch(rf"box +1 +{image_id[:12]} +\d+ \w+ ago +\d+(\.\d+)?MB", listed[1])
    alone.ok("tag", "box:1", "box:2")
    assert alone.docker("rmi", "box:2") == (0, "Untagged: box:2\n", "")
    removed = alone.docker("rmi", "box:1")
    assert shape(removed.out).splitlines()[:2] == ["Untagged: box:1", "Deleted: sha256:ID"]
    assert alone.docker("rmi", "box:1") == refused("No such image: box:1")


@pytest.mark.parametrize("kind", ["garbage", "truncated", "empty", "lying", "escaping"])
def test_an_archive_that_is_corrupt_or_hostile_is_refused(
    alone: DaemonHost, tmp_path: Path, kind: str
) -> None:
    """One error, nothing stored, nothing outside of the store."""
    path = tmp_path / "bad.tar"
    path.write_bytes(bad_archive(kind, tmp_path))
    loaded = alone.docker("load", "-i", str(path))
    assert loaded.code == 1
    assert len(loaded.err.splitlines()) == 1
    assert loaded.err.strip() != ""
    assert alone.docker("images", "-q", "bad").out == ""
    assert alone.leftovers() == []
    assert not list(tmp_path.parent.rglob("escaped")) + list(alone.folder.rglob("escaped"))


def bad_archive(kind: str, folder: Path) -> bytes:
    """What is wrong: the bytes, half of them, all of them, a layer's digest, a name in a layer."""
    make_image(folder / "good.tar", "bad:1", files={"data": b"x" * 100_000})
    whole = (folder / "good.tar").read_bytes()
    if kind == "truncated":
        return whole[: len(whole) // 2]
    if kind == "lying":
        return whole.replace(b"x" * 1000, b"y" * 1000)
    if kind == "escaping":
        layer = make_tar({"../../../escaped": b"x"})
        document = encode_json(
            ImageDocument(
                architecture="amd64",
                os="linux",
                rootfs=RootFS((f"sha256:{hashlib.sha256(layer).hexdigest()}",)),
            )
        )
        write_archive(folder / "escaping.tar", "bad:1", document, [layer])
        return (folder / "escaping.tar").read_bytes()
    return b"" if kind == "empty" else random.Random(1).randbytes(10_000)


def test_an_image_is_pulled_from_a_registry(alone: DaemonHost, registry: Registry) -> None:
    name = f"{registry.address}/app:1"
    pulled = alone.docker("pull", name)
    assert (pulled.code, pulled.err) == (0, "")
    first, *layers, digest, status, what = pulled.out.splitlines()
    assert first == "1: Pulling from app"
    assert all(re.fullmatch(r"[0-9a-f]{12}: [A-Z][\w ]+", line) for line in layers)
    assert re.fullmatch(r"Digest: sha256:[0-9a-f]{64}", digest)
    assert (status, what) == (f"Status: Downloaded newer image for {name}", name)
    again = alone.ok("pull", name).splitlines()
    assert again[-2] == f"Status: Image is up to date for {name}"
    missing = alone.docker("pull", f"{registry.address}/app:9")
    assert missing.code == 1
    assert f"manifest for {registry.address}/app:9 not found: manifest unknown" in missing.err
    alone.ok("rmi", name)


def test_a_service_of_a_registry_keeps_the_digest(host: DaemonHost, registry: Registry) -> None:
    name = f"{registry.address}/app:1"
    made = host.docker("service", "create", "-q", *QUICK, *QUICK_STOP, "--name", "app", name)
    assert (made.code, made.err) == (0, "")
    image = host.ok("service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", "app")
    assert re.fullmatch(rf"{name}@sha256:[0-9a-f]{{64}}", image)
    assert host.ok("service", "ls", "--format", "{{.Image}}") == name


def test_a_private_registry_wants_a_login(
    host: DaemonHost, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The client keeps what the daemon found to be right, and sends it along from then on."""
    folder = tmp_path_factory.mktemp("locked-registry")
    with serve_registry(folder, locked=True) as registry:
        make_image(folder / "app.tar", "own:1", cmd=("sleep", "600"))
        registry.push(folder / "app.tar", "own:1")
        name, words = f"{registry.address}/own:1", ("login", "-u", USER, "--password-stdin")
        assert "unauthorized" in host.docker("pull", name).err
        wrong = host.docker(*words, registry.address, stdin=b"wax")
        assert (wrong.code, wrong.err) == (
            1,
            "Error response from daemon: unauthorized: incorrect username or password\n",
        )
        right = host.docker(*words, registry.address, stdin=PASSWORD.encode())
        assert (right.code, right.out) == (0, "Login Succeeded\n")
        made = host.docker(
            "service", "create", "-q", *QUICK, *QUICK_STOP, "--with-registry-auth",
            "--name", "own", name,
        )  # fmt: skip
        assert (made.code, made.err) == (0, "")
        host.until_running("own", 1)
        assert host.ok("logout", registry.address) == (
            f"Removing login credentials for {registry.address}"
        )


def test_the_life_of_a_container(alone: DaemonHost) -> None:
    ran = alone.docker(
        "run", "-d", "-it", "-p", "8080:8080", "-v", "honey:/data", "-e", "PORT=8080",
        "--name", "box", "web:1",
    )  # fmt: skip
    assert (ran.code, shape(ran.out), ran.err) == (0, "ID\n", "")
    assert shape(alone.ok("ps")) == (
        "CONTAINER ID  IMAGE  COMMAND  CREATED  STATUS  PORTS  NAMES\n"
        'ID  web:1  "/serve"  AGO  Up AGO  0.0.0.0:8080->8080/tcp, [::]:8080->8080/tcp  box'
    )
    until(lambda: alone.docker("logs", "box").out == "serving one\r\n")
    assert alone.who(8080).version == "one"
    assert alone.ok("port", "box").splitlines() == [
        "8080/tcp -> 0.0.0.0:8080",
        "8080/tcp -> [::]:8080",
    ]
    assert alone.docker("rm", "box").code == 1
    assert alone.docker("stop", "box") == (0, "box\n", "")
    assert shape(alone.ok("ps")) == ("CONTAINER ID  IMAGE  COMMAND  CREATED  STATUS  PORTS  NAMES")
    assert shape(alone.ok("ps", "-a")).splitlines()[1] == (
        'ID  web:1  "/serve"  AGO  Exited (0) AGO  box'
    )
    assert alone.ok("logs", "box") == "serving one\r\nbye\r"
    assert alone.docker("rm", "box") == (0, "box\n", "")
    assert alone.docker("rm", "box") == refused("No such container: box")
    assert alone.docker("logs", "box") == refused("No such container: box")
    assert shape(alone.ok("volume", "ls")) == "DRIVER  VOLUME NAME\nlocal  honey"
    assert alone.docker("volume", "rm", "honey") == (0, "honey\n", "")


def test_a_container_in_the_foreground(alone: DaemonHost) -> None:
    assert alone.docker("run", "--rm", "web:1", "echo", "hi") == (0, "hi\n", "")
    assert alone.docker("run", "--rm", "web:1", "sh", "-c", "echo no >&2; exit 7") == (
        7,
        "",
        "no\n",
    )
    assert alone.docker("run", "--rm", "-i", "web:1", "cat", stdin=b"bees") == (0, "bees", "")
    assert alone.ok("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("web:1", "nosuch"), 127, 'exec: "nosuch": executable file not found in $PATH'),
        (("web:1", "/etc"), 126, 'exec: "/etc": '),
        (("-p", "80:80:80:80", "web:1"), 125, "invalid"),
        (("--mount", "type=bind,src=/nosuch,dst=/x", "web:1"), 125,
         'invalid mount config for type "bind": bind source path does not exist: /nosuch'),
        (("--memory", "1m", "web:1"), 125, "Minimum memory limit allowed is 6MB"),
        (("WEB:1",), 125, "repository name (library/WEB) must be lowercase"),
        (("--name", "a b", "web:1"), 125,
         "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (("--network", "nosuch", "web:1"), 125, "network nosuch not found"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be(
    alone: DaemonHost, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ran = alone.docker("run", "--rm", *words)
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(("docker: ", "invalid ", "Unable "))
    assert sentence in ran.err
    until(lambda: alone.ok("ps", "-aq") == "")


def test_an_image_that_is_nowhere(alone: DaemonHost) -> None:
    ran = alone.docker("run", "--rm", "nosuch:1")
    assert ran.code == 125
    assert ran.err.splitlines()[0] == "Unable to find image 'nosuch:1' locally"
    assert ran.err.splitlines()[1].startswith("docker: Error response from daemon: ")


def test_a_terminal_is_attached_and_its_size_is_told(alone: DaemonHost) -> None:
    """Docker's client itself on a terminal, as a person has it."""
    command = ["script", "-qec", "stty rows 33 cols 99; docker run --rm -it web:1 sh", "/dev/null"]
    done = subprocess.run(
        command, input=b"sleep 0.3; stty size; exit 5\n", capture_output=True,
        env=alone.environment(), timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 5
    assert "33 99" in done.stdout.decode()
