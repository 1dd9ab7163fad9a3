"""`swarm join` and `swarm leave`: who is let in, who is told why not, what stays of it.

The unmodified docker client speaks to n3, which is in no cluster.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from skep.kit.clock import utc_now
from skep.manager import founding
from skep.manager.ca import authority, registrar
from skep.protocol.messages import PROTOCOL_VERSION
from skep.protocol.signing import new_request
from skep.testing.control_plane import ControlPlane
from skep.testing.daemon import Printed, until
from skep.testing.playground import SLEEPER, PlaygroundHost

MANAGER = "10.213.0.1:2377"
ELSEWHERE = 2378
"""A port of n1 for what is not its manager."""
AT_ONCE_S = 3.0


def token(nodes: PlaygroundHost, role: str = "worker", node: str = "n1") -> str:
    return nodes.ok("swarm", "join-token", "-q", role, node=node)


def state(nodes: PlaygroundHost, name: str) -> str:
    return str(nodes.get("/info", name)["Swarm"]["LocalNodeState"])


def is_as_before(nodes: PlaygroundHost, name: str) -> bool:
    """In no cluster, as `docker info` says and the disk does."""
    folder = nodes.place(name).data_root / "swarm"
    return " Swarm: inactive" in nodes.ok("info", node=name) and not folder.exists()


def join(nodes: PlaygroundHost, name: str, *words: str) -> tuple[Printed, float]:
    """What docker's client printed, and how long it took."""
    began = time.monotonic()
    done = nodes.docker("swarm", "join", *words, node=name, timeout_s=60)
    return done, time.monotonic() - began


def is_refused(
    nodes: PlaygroundHost, name: str, *words: str, says: str, within_s: float = AT_ONCE_S
) -> None:
    """One clear line in good time, and nothing is changed by it."""
    known = {node["ID"] for node in nodes.get("/nodes")}
    refused, took_s = join(nodes, name, *words)
    assert refused.code == 1
    assert refused.out == ""
    (line,) = refused.err.splitlines()
    assert line.startswith("Error response from daemon: ")
    assert says in line
    assert took_s < within_s
    assert is_as_before(nodes, name)
    assert {node["ID"] for node in nodes.get("/nodes")} == known


def test_a_wrong_token_is_refused(nodes: PlaygroundHost, outsider: str) -> None:
    right = token(nodes)
    head, digest, secret = right.rsplit("-", 2)
    malformed = "invalid join token"
    for wrong, says in (
        ("", malformed),
        ("SWMTKN-1-short", malformed),
        (f"SWMTKN-2-1-{digest}-{secret}", malformed),
        (f"{right} ", malformed),
        (f"{head}-{digest}-{secret[::-1]}", "A valid join token is necessary to join this cluster"),
        (f"{head}-{digest[::-1]}-{secret}", "remote CA does not match fingerprint"),
        (token(nodes, "manager"), "this cluster has one manager and cannot have several yet"),
    ):
        is_refused(nodes, outsider, "--token", wrong, MANAGER, says=says)
    nodes.ok("swarm", "join", "--token", right, MANAGER, node=outsider)


def test_an_address_where_nobody_can_be_is_refused_at_once(
    nodes: PlaygroundHost, outsider: str
) -> None:
    for address, says in (
        ("10.213.0.1:1", "cannot connect to the manager at 10.213.0.1:1: Connection refused"),
        ("10.213.0.2", "cannot connect to the manager at 10.213.0.2:2377: Connection refused"),
        ("nowhere.invalid:2377", "cannot find the manager nowhere.invalid:2377"),
        ("10.213.0.1:99999", "the port must be 1 to 65535"),
    ):
        is_refused(nodes, outsider, "--token", token(nodes), address, says=says)


def test_own_addresses_that_make_no_sense_are_refused(nodes: PlaygroundHost, outsider: str) -> None:
    right = token(nodes)
    for flag, wrong, says in (
        ("--advertise-addr", "0.0.0.0", "advertise address must be a non-zero IP address"),
        ("--listen-addr", "nonsense", "listen address must be an IP address or network interface"),
        ("--data-path-addr", "10.213.0.3:80", "data path address must be a non-zero IP address"),
    ):
        is_refused(nodes, outsider, "--token", right, flag, wrong, MANAGER, says=says)


def test_addresses_that_do_not_answer_are_given_up_in_time(
    nodes: PlaygroundHost, outsider: str
) -> None:
    """Both at once, to save time: one drops what is sent to it, one takes the call and is mute."""
    right = token(nodes)
    nodes.ok("swarm", "leave", node="n2")
    try:
        with drops(nodes, outsider), mute(nodes), ThreadPoolExecutor(2) as pool:
            trying = [
                pool.submit(join, nodes, name, "--token", right, f"10.213.0.1:{ELSEWHERE}")
                for name in (outsider, "n2")
            ]
            dropped, silent = (each.result() for each in trying)
        assert "did not answer within 10 s: check the address" in dropped[0].err
        assert "took the call and said nothing for 10 s" in silent[0].err
        for refused, took_s in (dropped, silent):
            assert refused.code == 1
            assert 9.9 < took_s < 13
        assert is_as_before(nodes, outsider)
        assert is_as_before(nodes, "n2")
    finally:
        nodes.until_state("n2", "down")
        nodes.ok("node", "rm", "n2")
        nodes.ok("swarm", "join", "--token", right, MANAGER, node="n2")
        nodes.until_state("n2", "ready")


@contextmanager
def drops(nodes: PlaygroundHost, name: str) -> Iterator[None]:
    """Nothing that the node sends to ELSEWHERE arrives."""
    rule = f"add rule inet away out tcp dport {ELSEWHERE} drop"
    table = "add table inet away; add chain inet away out { type filter hook output priority 0; };"
    with nodes.at(name):
        subprocess.run(["nft", f"{table} {rule}"], check=True)
    try:
        yield
    finally:
        with nodes.at(name):
            subprocess.run(["nft", "delete table inet away"], check=True)


@contextmanager
def mute(nodes: PlaygroundHost) -> Iterator[None]:
    """At ELSEWHERE calls are taken and never answered."""
    with nodes.at("n1"):
        port = socket.create_server(("10.213.0.1", ELSEWHERE))
    with port:
        yield


def test_a_port_of_something_else_is_told_from_a_manager_s(
    nodes: PlaygroundHost, outsider: str, tmp_path: Path
) -> None:
    right = token(nodes)
    where = f"10.213.0.1:{ELSEWHERE}"
    for answer, says in (
        (_web_page, "is that a manager's port"),
        (_hang_up, "is that a manager's port"),
        (_tls_1_2(tmp_path), "no TLS 1.3 with"),
        (_tls_web_page(tmp_path), "is a manager of the same version of skep there?"),
    ):
        with answers(nodes, answer):
            is_refused(nodes, outsider, "--token", right, where, says=says)


Answer = Callable[[socket.socket], None]


def _web_page(line: socket.socket) -> None:
    line.recv(4096)
    line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def _hang_up(line: socket.socket) -> None:
    line.recv(1)


def _tls_1_2(folder: Path) -> Answer:
    context = _any_certificate(folder)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return lambda line: context.wrap_socket(line, server_side=True).close()


def _tls_web_page(folder: Path) -> Answer:
    context = _any_certificate(folder)

    def answer(line: socket.socket) -> None:
        with context.wrap_socket(line, server_side=True) as secured:
            _web_page(secured)

    return answer


def _any_certificate(folder: Path) -> ssl.SSLContext:
    key, request = new_request()
    secrets = authority.new_secrets("another", utc_now())
    file = folder / "any.pem"
    given = authority.sign(secrets, request, "any", "manager", 3600 * 10**9, utc_now())
    file.write_text(key + given.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@contextmanager
def answers(nodes: PlaygroundHost, answer: Answer) -> Iterator[None]:
    """At ELSEWHERE every call is answered so, and hung up on."""

    def serve() -> None:
        while True:
            try:
                line, _ = port.accept()
            except OSError:
                return  # closed: the test is over
            with line:
                try:
                    answer(line)
                except OSError:
                    continue  # the caller did not like it

    with nodes.at("n1"):
        port = socket.create_server(("10.213.0.1", ELSEWHERE))
    serving = threading.Thread(target=serve)
    serving.start()
    try:
        yield
    finally:
        port.shutdown(socket.SHUT_RDWR)
        serving.join()
        port.close()


@asynccontextmanager
async def another_cluster(nodes: PlaygroundHost, folder: Path) -> AsyncIterator[ControlPlane]:
    """At ELSEWHERE is the manager of another cluster, a part of this process."""
    plane = ControlPlane(folder)
    plane.address = f"10.213.0.1:{ELSEWHERE}"
    with nodes.at("n1"):
        await plane.start()
    try:
        yield plane
    finally:
        await plane.close()


async def refuses(plane: ControlPlane, nodes: PlaygroundHost, name: str, says: str) -> None:
    """With a token of its own it refuses the node, saying why."""
    right = plane.manager.control.cluster.join_tokens().worker
    words = ("--token", right, plane.address)
    await asyncio.to_thread(is_refused, nodes, name, *words, says=says)
    assert len(plane.manager.store.view.nodes()) == 1


async def test_a_token_of_another_cluster_is_refused(
    nodes: PlaygroundHost, outsider: str, tmp_path: Path
) -> None:
    async with another_cluster(nodes, tmp_path):
        words = ("--token", token(nodes), f"10.213.0.1:{ELSEWHERE}")
        says = "is of another cluster than the join token"
        await asyncio.to_thread(is_refused, nodes, outsider, *words, says=says)


async def test_another_version_is_refused(
    nodes: PlaygroundHost, outsider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "PROTOCOL_VERSION", 99)
    async with another_cluster(nodes, tmp_path) as plane:
        says = f"this manager speaks version 99 of the protocol, you speak {PROTOCOL_VERSION}"
        await refuses(plane, nodes, outsider, says)


@pytest.mark.parametrize(("off_h", "side"), [(-2, "ahead of"), (2, "behind")])
async def test_a_clock_that_is_off_is_told(
    nodes: PlaygroundHost, outsider: str, tmp_path: Path, off_h: int, side: str
) -> None:
    async with another_cluster(nodes, tmp_path) as plane:
        plane.manager.registrar._clock = lambda: utc_now() + timedelta(hours=off_h)
        said = f"7200 s {side} the manager's: set both right"
        await refuses(plane, nodes, outsider, said)


async def test_a_root_that_is_not_valid_yet_is_not_trusted(
    nodes: PlaygroundHost, outsider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clocks agree now; when the cluster was made its manager's was two days ahead."""
    monkeypatch.setattr(founding, "utc_now", lambda: utc_now() + timedelta(days=2))
    async with another_cluster(nodes, tmp_path) as plane:
        await refuses(plane, nodes, outsider, "cannot be trusted: certificate is not yet valid")


def test_a_node_changes_clusters(nodes: PlaygroundHost, outsider: str) -> None:
    """n2 leaves and begins its own; n3 joins it, and comes back."""
    nodes.ok("swarm", "leave", node="n2")
    nodes.ok("swarm", "init", node="n2")
    theirs = token(nodes, node="n2")
    assert theirs.split("-")[2] != token(nodes).split("-")[2]
    says = "is of another cluster than the join token"
    is_refused(nodes, outsider, "--token", token(nodes), "10.213.0.2", says=says)
    nodes.ok("swarm", "join", "--token", theirs, "10.213.0.2", node=outsider)
    assert nodes.get("/info", "n2")["Swarm"]["Nodes"] == 2
    assert names(nodes, "n2") == ["n2", "n3"]
    nodes.ok("swarm", "leave", node=outsider)
    until(lambda: "n3 Down" in nodes.ok("node", "ls", "--format", LISTED, node="n2").splitlines())
    refused = nodes.docker("swarm", "leave", node="n2")
    assert refused.code == 1
    assert "Use `--force` to ignore this message" in refused.err
    assert state(nodes, "n2") == "active"
    nodes.ok("swarm", "leave", "--force", node="n2")
    assert is_as_before(nodes, "n2")
    assert nodes.docker("swarm", "leave", node="n2").err.endswith("not part of a swarm\n")
    nodes.until_state("n2", "down")
    nodes.ok("node", "rm", "n2")
    for name in ("n2", "n3"):
        nodes.ok("swarm", "join", "--token", token(nodes), MANAGER, node=name)
        nodes.until_state(name, "ready")
    assert names(nodes, "n1") == ["n1", "n2", "n3"]


def test_a_worker_whose_cluster_ended_says_so_and_joins_another(
    nodes: PlaygroundHost, outsider: str
) -> None:
    """Where its manager was is another cluster's."""
    nodes.ok("swarm", "leave", node="n2")
    try:
        nodes.ok("swarm", "init", node="n2")
        nodes.ok("swarm", "join", "--token", token(nodes, node="n2"), "10.213.0.2", node=outsider)
        nodes.ok("swarm", "leave", "--force", node="n2")
        nodes.ok("swarm", "init", node="n2")
        says = "the manager at 10.213.0.2:2377 cannot be trusted"
        until(lambda: says in nodes.get("/info", outsider)["Swarm"]["Error"])
        assert names(nodes, "n2") == ["n2"]
        nodes.ok("swarm", "leave", node=outsider)
        nodes.ok("swarm", "join", "--token", token(nodes), MANAGER, node=outsider)
        assert nodes.get("/info", outsider)["Swarm"]["Error"] == ""
    finally:
        nodes.ok("swarm", "leave", "--force", node="n2")
        nodes.until_state("n2", "down")
        nodes.ok("node", "rm", "n2")
        nodes.ok("swarm", "join", "--token", token(nodes), MANAGER, node="n2")
        nodes.until_state("n2", "ready")


LISTED = "{{.Hostname}} {{.Status}}"


def names(nodes: PlaygroundHost, node: str) -> list[str]:
    return nodes.ok("node", "ls", "--format", "{{.Hostname}}", node=node).splitlines()


def test_a_node_that_leaves_is_down_runs_nothing_and_is_removed(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "3", *SLEEPER)
    nodes.until_running("web", 3)
    gone = nodes.node_id("n3")
    try:
        assert nodes.ok("swarm", "leave", node="n3") == "Node left the swarm."
        assert is_as_before(nodes, "n3")
        assert nodes.containers("n3", running=False) == set()
        nodes.until_running("web", 3, but_on="n3")
        nodes.until_state("n3", "down")
        nodes.ok("swarm", "join", "--token", token(nodes), MANAGER, node="n3")
        assert nodes.node_id("n3") != gone
        assert sorted(names(nodes, "n1")) == ["n1", "n2", "n3", "n3"]
        assert "ambiguous (2 matches found)" in nodes.docker("node", "rm", "n3").err
    finally:
        nodes.ok("node", "rm", gone)
    nodes.until_state("n3", "ready")


def test_a_running_node_is_removed_by_force_and_says_so(
    nodes: PlaygroundHost, outsider: str
) -> None:
    nodes.ok("swarm", "join", "--token", token(nodes), MANAGER, node=outsider)
    nodes.create("web", "--constraint", f"node.hostname=={outsider}", *SLEEPER)
    nodes.until_running("web", 1)
    refused = nodes.docker("node", "rm", outsider)
    assert refused.code == 1
    assert "is not down and can't be removed" in refused.err
    nodes.ok("node", "rm", "--force", outsider)
    until(lambda: state(nodes, outsider) == "error")
    shown = nodes.ok("info", node=outsider)
    assert " Swarm: error" in shown
    assert "Error: the node was removed from the cluster" in shown
    until(lambda: not nodes.containers(outsider, running=False))
    nodes.ok("swarm", "leave", node=outsider)
    assert is_as_before(nodes, outsider)


def test_what_a_node_says_of_itself_when_it_joins_is_kept(
    nodes: PlaygroundHost, outsider: str
) -> None:
    words = [
        "--availability", "drain", "--advertise-addr", "10.213.0.3:2399", "--listen-addr",
        "10.213.0.3:2399", "--data-path-addr", "lo",
    ]  # fmt: skip
    nodes.create("everywhere", "--mode", "global", *SLEEPER)
    said = nodes.ok("swarm", "join", "--token", token(nodes), *words, MANAGER, node=outsider)
    assert said == "This node joined a swarm as a worker."
    nodes.until_state(outsider, "ready")
    assert nodes.get("/info", outsider)["Swarm"]["NodeAddr"] == "10.213.0.3"
    shown = nodes.ok("node", "inspect", "--format", "{{.Spec.Availability}}", outsider)
    assert shown == "drain"
    nodes.until_running("everywhere", 2, but_on=outsider)
    nodes.ok("node", "update", "--availability", "active", outsider)
    nodes.until_running("everywhere", 3)


def test_with_no_manager_in_sight_a_worker_says_so_and_can_leave(
    nodes: PlaygroundHost, outsider: str
) -> None:
    right = token(nodes)
    nodes.ok("swarm", "join", "--token", right, MANAGER, node=outsider)
    nodes.kill("n1")
    try:
        until(lambda: nodes.get("/info", outsider)["Swarm"]["Error"])
        shown = nodes.ok("info", node=outsider)
        assert " Swarm: active" in shown
        assert "10.213.0.1:2377" in shown
        assert nodes.ok("swarm", "leave", node=outsider) == "Node left the swarm."
        assert is_as_before(nodes, outsider)
        refused, _ = join(nodes, outsider, "--token", right, MANAGER)
        assert "Connection refused" in refused.err
    finally:
        nodes.start("n1")
    nodes.until_state("n2", "ready")
    until(lambda: nodes.get("/info", "n2")["Swarm"]["Error"] == "")


def test_a_node_that_is_cut_off_leaves_all_the_same(nodes: PlaygroundHost, outsider: str) -> None:
    """The line still stands, and nobody answers on it. What people run themselves runs on."""
    right = token(nodes)
    own = nodes.ok("run", "--detach", "web:1", "sleep", "600", node=outsider)
    nodes.ok("swarm", "join", "--token", right, MANAGER, node=outsider)
    nodes.create("web", "--mode", "global", *SLEEPER)
    nodes.until_running("web", 3)
    nodes.partition(outsider)
    try:
        began = time.monotonic()
        nodes.ok("swarm", "leave", node=outsider)
        assert time.monotonic() - began < 6
        assert is_as_before(nodes, outsider)
        assert nodes.containers(outsider, running=False) == set()
        assert nodes.ok("ps", "--quiet", "--no-trunc", node=outsider) == own
    finally:
        nodes.heal()
        nodes.ok("rm", "--force", own, node=outsider)
    nodes.until_state(outsider, "down")
    nodes.ok("swarm", "join", "--token", right, MANAGER, node=outsider)


def test_a_worker_that_starts_with_no_manager_in_sight_waits(nodes: PlaygroundHost) -> None:
    nodes.kill("n3")
    nodes.partition("n3")
    nodes.start("n3")
    try:
        shown = nodes.ok("info", node="n3")
        assert " Swarm: pending" in shown
        assert "NodeID: " in shown
    finally:
        nodes.heal()
    until(lambda: state(nodes, "n3") == "active")
    nodes.until_state("n3", "ready")


def test_keys_are_where_they_must_be_and_nowhere_else(nodes: PlaygroundHost) -> None:
    """A worker has its own key and no other, and forgets the token; the cluster's root key and its
    tokens are in the manager's store."""
    secrets = [token(nodes).rpartition("-")[2], token(nodes, "manager").rpartition("-")[2]]
    for name in nodes.names:
        folder = nodes.place(name).data_root / "swarm"
        assert folder.stat().st_mode & 0o777 == 0o700
        with_keys = {path.name for path in folder.rglob("*") if holds(path, "PRIVATE KEY")}
        store = {"store.db", "store.db-wal"} if name == "n1" else set()
        assert "node.pem" in with_keys <= {"node.pem", *store}
        assert (name == "n1") == bool(with_keys & store)
        assert (folder / "node.pem").read_text().count("BEGIN PRIVATE KEY") == 1
        for path in with_keys | store:
            assert (folder / path).stat().st_mode & 0o777 == 0o600
        everywhere = [nodes.place(name).data_root, nodes.place(name).exec_root]
        with_tokens = {
            path.name
            for root in everywhere
            for path in root.rglob("*")
            if "images" not in path.parts and any(holds(path, secret) for secret in secrets)
        }
        assert with_tokens <= store


def holds(path: Path, text: str) -> bool:
    return path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()


def test_the_root_s_key_is_told_to_nobody(nodes: PlaygroundHost) -> None:
    told = str([nodes.get(path) for path in ("/swarm", "/info", "/nodes")])
    assert "BEGIN CERTIFICATE" in told
    assert "PRIVATE KEY" not in told
