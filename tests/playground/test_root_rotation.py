"""`swarm ca`: the cluster's root changes under nodes that work, are away, or die meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from skep.protocol.tokens import root_digest
from skep.testing.daemon import Printed, until
from skep.testing.playground import SLEEPER, PlaygroundHost

SEED = random.SystemRandom().randrange(10**6)
BEGIN = "-----BEGIN CERTIFICATE-----"


def skep(nodes: PlaygroundHost, *words: str) -> Printed:
    """Our own command line, speaking to n1."""
    done = subprocess.run(
        [sys.executable, "-m", "skep", *words],
        env={**os.environ, "SKEP_HOST": nodes.place("n1").host}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Printed(done.returncode, done.stdout, done.stderr)


def token(nodes: PlaygroundHost, role: str = "worker") -> str:
    return nodes.ok("swarm", "join-token", "-q", role)


def root(nodes: PlaygroundHost) -> str:
    return nodes.ok("swarm", "ca") + "\n"


def is_rotating(nodes: PlaygroundHost) -> bool:
    rotating: bool = nodes.get("/swarm")["RootRotationInProgress"]
    return rotating


def trusted_by(nodes: PlaygroundHost, name: str) -> str:
    return (nodes.place(name).data_root / "swarm/roots.pem").read_text()


def until_only_root(nodes: PlaygroundHost) -> None:
    """The rotation is over, and every node trusts the new root and no other."""
    until(lambda: not is_rotating(nodes), on_timeout=nodes.story)
    only = root(nodes)
    until(
        lambda: {trusted_by(nodes, name) for name in nodes.names} == {only},
        on_timeout=nodes.story,
    )


def line_of(nodes: PlaygroundHost, name: str) -> str:
    """The node's connection to the manager's port, by its own end."""
    with nodes.at(name):
        rows = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    established = [row.split() for row in rows if row.split()[3] == "01"]
    (line,) = [local for _, local, remote, *_ in established if remote.endswith(":0949")]
    return line


def test_a_rotation_changes_root_and_tokens_and_disturbs_nothing(nodes: PlaygroundHost) -> None:
    nodes.create("web", "--replicas", "6", *SLEEPER)
    nodes.until_running("web", 6)
    before = root(nodes), token(nodes), token(nodes, "manager")
    tasks = [(task["ID"], task["Status"]["Timestamp"]) for task in nodes.tasks("web")]
    lines = [line_of(nodes, name) for name in ("n2", "n3")]
    shown = nodes.ok("swarm", "ca", "--rotate")
    assert shown.endswith(root(nodes).rstrip())
    until_only_root(nodes)
    after = root(nodes), token(nodes), token(nodes, "manager")
    assert not set(before) & set(after)
    for changed in after[1:]:
        assert changed.split("-")[:3] == ["SWMTKN", "1", root_digest(after[0])]
    assert [line_of(nodes, name) for name in ("n2", "n3")] == lines
    nodes.until_settled("web", 6)
    assert [(t["ID"], t["Status"]["Timestamp"]) for t in nodes.tasks("web")] == tasks


def test_tokens_of_the_old_root_let_nobody_in(nodes: PlaygroundHost, outsider: str) -> None:
    old = token(nodes)
    nodes.ok("swarm", "ca", "--rotate", "--quiet")
    refused = nodes.docker("swarm", "join", "--token", old, "10.213.0.1:2377", node=outsider)
    assert refused.code == 1
    assert "remote CA does not match fingerprint" in refused.err
    assert "root was rotated since the token was printed" in refused.err
    secret = f"{token(nodes).rpartition('-')[0]}-{old.rpartition('-')[2]}"
    refused = nodes.docker("swarm", "join", "--token", secret, "10.213.0.1:2377", node=outsider)
    assert refused.code == 1
    assert "A valid join token is necessary to join this cluster" in refused.err
    nodes.ok("swarm", "join", "--token", token(nodes), "10.213.0.1:2377", node=outsider)
    nodes.until_state(outsider, "ready")


def test_a_node_that_is_away_keeps_the_rotation_open_and_a_second_may_overtake(
    nodes: PlaygroundHost,
) -> None:
    old, old_token = root(nodes), token(nodes)
    nodes.partition("n3")
    try:
        nodes.ok("swarm", "ca", "--rotate", "--detach")
        until(lambda: trusted_by(nodes, "n2").count(BEGIN) == 2)
        first = trusted_by(nodes, "n2")
        assert is_rotating(nodes)
        assert first.startswith(old)
        assert (root(nodes), token(nodes)) == (old, old_token)
        assert "Root Rotation In Progress: true" in nodes.ok("info")
        until(lambda: tls_status(nodes) == {"n1": "Ready", "n2": "Ready", "n3": "Needs Rotation"})
        nodes.ok("swarm", "ca", "--rotate", "--detach")
        until(lambda: trusted_by(nodes, "n2") not in (old, first))
        assert trusted_by(nodes, "n2").startswith(old)
        assert trusted_by(nodes, "n3") == old
        time.sleep(0.5)
        assert is_rotating(nodes)
        nodes.kill("n3")
        nodes.start("n3")
        nodes.heal()
        until_only_root(nodes)
        until(lambda: tls_status(nodes) == dict.fromkeys(nodes.names, "Ready"))
        assert root(nodes) not in first
    finally:
        nodes.heal()
        nodes.until_state("n3", "ready")


def test_a_node_may_join_while_the_root_changes(nodes: PlaygroundHost, outsider: str) -> None:
    """The token names the old root, and the manager shows a certificate of the new one."""
    nodes.partition("n2")
    try:
        nodes.ok("swarm", "ca", "--rotate", "--detach")
        until(lambda: trusted_by(nodes, "n1").count(BEGIN) == 2)
        nodes.ok("swarm", "join", "--token", token(nodes), "10.213.0.1:2377", node=outsider)
        nodes.until_state(outsider, "ready")
        assert is_rotating(nodes)
        assert trusted_by(nodes, outsider) == trusted_by(nodes, "n1")
    finally:
        nodes.heal()
    until_only_root(nodes)
    nodes.until_state("n2", "ready")


def tls_status(nodes: PlaygroundHost) -> dict[str, str]:
    """As docker's client judges the nodes' certificates."""
    shown = nodes.ok("node", "ls", "--format", "{{.Hostname}}={{.TLSStatus}}")
    return dict(line.split("=") for line in shown.splitlines())


def test_removing_the_node_that_will_not_come_back_ends_a_rotation(
    nodes: PlaygroundHost, outsider: str
) -> None:
    nodes.ok("swarm", "join", "--token", token(nodes), "10.213.0.1:2377", node=outsider)
    nodes.until_state(outsider, "ready")
    nodes.ok("swarm", "leave", node=outsider)
    nodes.until_state(outsider, "down")
    nodes.ok("swarm", "ca", "--rotate", "--detach")
    until(lambda: trusted_by(nodes, "n2").count(BEGIN) == 2)
    nodes.ok("node", "rm", outsider)
    until(lambda: not is_rotating(nodes))


@pytest.mark.parametrize("turn", range(2))
@pytest.mark.parametrize("who", ["n1", "n2"])
def test_a_daemon_killed_in_the_middle_of_a_rotation_takes_part_later(
    nodes: PlaygroundHost, who: str, turn: int
) -> None:
    """The manager or a worker, at any moment: before it was told, while it renews, before the old
    root is dropped."""
    chance = random.Random(SEED + turn)
    print(f"seed {SEED + turn}")
    old = root(nodes)
    daemon = nodes.daemon_pid(who)
    client = nodes.begin("swarm", "ca", "--rotate", "--detach")
    time.sleep(chance.uniform(0.02, 0.12))
    os.kill(daemon, signal.SIGKILL)
    said, _ = client.communicate(timeout=30)
    until(lambda: not Path(f"/proc/{daemon}").exists())
    nodes.until_answers(who)
    for name in nodes.names:
        nodes.until_state(name, "ready")
    until_only_root(nodes)
    if client.returncode == 0:
        assert root(nodes) != old, f"the rotation that was answered is lost: {said}"


def test_our_own_command_says_how_far_it_is(nodes: PlaygroundHost) -> None:
    old = root(nodes)
    shown = skep(nodes, "swarm", "ca", "--rotate")
    assert shown.code == 0, shown.err
    assert "rotated TLS certificates: 3/3 nodes\n" in shown.out
    assert "rotated CA certificates: 3/3 nodes\n" in shown.out
    assert shown.out.endswith(root(nodes))
    assert root(nodes) != old
    assert skep(nodes, "swarm", "ca") == Printed(0, root(nodes), "")
    assert skep(nodes, "swarm", "ca", "--rotate", "-q") == Printed(0, "", "")
    assert not is_rotating(nodes)
    assert skep(nodes, "swarm", "ca", "--rotate", "-d") == Printed(0, "", "")
    until_only_root(nodes)


def test_the_life_of_certificates_is_changed_with_the_root(nodes: PlaygroundHost) -> None:
    refused = nodes.docker("swarm", "ca", "--rotate", "--cert-expiry", "59m")
    assert "minimum certificate expiry time is: 1h0m0s" in refused.err
    try:
        nodes.ok("swarm", "ca", "--rotate", "--quiet", "--cert-expiry", "48h")
        assert "Expiry Duration: 2 days" in nodes.ok("info")
        until_only_root(nodes)
        life = timedelta(hours=48) + timedelta(hours=1)
        assert {lived(nodes, name) for name in nodes.names} == {life}
    finally:
        nodes.ok("swarm", "update", "--cert-expiry", "2160h")


def lived(nodes: PlaygroundHost, name: str) -> timedelta:
    """How long the node's certificate is valid, of which one hour lies before it was made."""
    pem = (nodes.place(name).data_root / "swarm/node.pem").read_bytes()
    certificate = x509.load_pem_x509_certificates(pem[pem.index(BEGIN.encode()) :])[0]
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


@pytest.mark.parametrize("client", ["docker", "skep"])
def test_a_root_is_brought(nodes: PlaygroundHost, tmp_path: Path, client: str) -> None:
    certificate, key = brought(tmp_path)
    words = ("swarm", "ca", "--rotate", "--ca-cert", str(certificate))
    speak: Any = nodes.docker if client == "docker" else lambda *words: skep(nodes, *words)
    assert "--ca-key" in speak(*words).err
    not_pem = tmp_path / "not.pem"
    not_pem.write_text("")
    refused = speak("swarm", "ca", "--rotate", "--ca-cert", str(not_pem), "--ca-key", str(key))
    assert refused.code != 0
    assert "file contents must be in PEM format" in refused.err
    assert speak(*words, "--ca-key", str(key)).code == 0
    until_only_root(nodes)
    assert root(nodes) == certificate.read_text()
    assert "PRIVATE KEY" not in str(nodes.get("/swarm"))


def brought(folder: Path) -> tuple[Path, Path]:
    """Files of a root as somebody's own tools make it: the certificate, the key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Root")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / "root.pem", folder / "root.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return files
