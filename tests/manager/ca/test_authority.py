"""The cluster's identity as values: what is signed, what a rotation does, which roots are taken."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.manager.ca import authority, certificates
from skep.manager.ca.authority import begin_rotation, finish_rotation, new_secrets, rotate_to, sign
from skep.model.cluster import ClusterSecrets
from skep.model.node import Role
from skep.protocol.signing import new_request
from skep.protocol.tls import MANAGER_NAME, CertificateFiles, member_context, server_context
from skep.protocol.tokens import join_tokens, parse, role_of

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def secrets() -> ClusterSecrets:
    return new_secrets("cluster1", NOW)


def leaf(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates(pem.encode())[0]


def brought(
    key: Any = None,
    *,
    ca: bool = True,
    path_length: int | None = None,
    years: float = 5,
    born: datetime = NOW - timedelta(days=1),
    key_id: bool = True,
) -> tuple[str, Any]:
    """A root as somebody else's tools would make it."""
    key = key or ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Root")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(born)
        .not_valid_after(NOW + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if key_id:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(b"its own name"), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode(), key


def pem(key: Any, encryption: Any = NoEncryption()) -> str:  # noqa: B008
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return text.decode()


def meets(folder: Path, server: ClusterSecrets, client: ClusterSecrets, **trusted: str) -> bool:
    """Whether a manager with a certificate of `server` and a worker with one of `client` take each
    other for members. `server_trusts` and `client_trusts` are roots in PEM."""

    def files(name: str, secrets: ClusterSecrets, role: Role, roots: str) -> CertificateFiles:
        key, request = new_request()
        certificate = sign(secrets, request, name, role, HOUR_NS, NOW)
        here = CertificateFiles(folder / f"{name}.roots", folder / f"{name}.pem")
        here.roots.write_text(roots)
        here.key_and_certificate.write_text(key + certificate.pem)
        return here

    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_roots = trusted.get("server_trusts", authority.roots(server))
    client_roots = trusted.get("client_trusts", authority.roots(client))
    at_server = server_context(files("m1", server, "manager", server_roots)).wrap_bio(
        up, down, server_side=True
    )
    at_client = member_context(files("w1", client, "worker", client_roots)).wrap_bio(
        down, up, server_hostname=MANAGER_NAME
    )
    try:
        for _ in range(4):
            for end in (at_client, at_server):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError:
        return False
    return at_server.getpeercert() not in (None, {})


def test_a_certificate_says_who_the_node_is_whatever_it_asked_for(secrets: ClusterSecrets) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "m1")])
    asked = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    request = asked.public_bytes(Encoding.PEM).decode()
    given = sign(secrets, request, "w1", "worker", 3 * HOUR_NS, NOW)
    certificate = leaf(given.pem)
    assert certificate.subject.rfc4514_string() == "CN=w1,OU=swarm-worker,O=cluster1"
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + timedelta(hours=3)
    assert given.valid_until_s == (NOW + timedelta(hours=3)).timestamp()
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["swarm-worker", "w1"]
    assert set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == {
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    }
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_root_is_swarm_s(secrets: ClusterSecrets) -> None:
    root = leaf(secrets.root_certificate)
    assert root.subject.rfc4514_string() == "CN=swarm-ca"
    public = root.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert root.not_valid_after_utc == NOW + timedelta(days=20 * 365)


def test_a_certificate_does_not_outlive_its_root(secrets: ClusterSecrets) -> None:
    late = NOW + timedelta(days=20 * 365 - 1)
    given = sign(secrets, new_request()[1], "w1", "worker", 90 * 24 * HOUR_NS, late)
    assert leaf(given.pem).not_valid_after_utc == NOW + timedelta(days=20 * 365)


@pytest.mark.parametrize("request_pem", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_what_is_no_signing_request_is_refused(secrets: ClusterSecrets, request_pem: str) -> None:
    with pytest.raises(InvalidArgument, match="no certificate signing request"):
        sign(secrets, request_pem, "w1", "worker", HOUR_NS, NOW)


def test_keys_that_are_not_elliptic_are_refused(secrets: ClusterSecrets) -> None:
    key = rsa.generate_private_key(65537, 2048)
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = asked.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    with pytest.raises(InvalidArgument, match="elliptic curve"):
        sign(secrets, request, "w1", "worker", HOUR_NS, NOW)


def test_tokens_lead_to_roles_and_are_rotated_each_by_itself(secrets: ClusterSecrets) -> None:
    tokens = join_tokens(secrets)
    assert role_of(parse(tokens.worker), secrets) == "worker"
    assert role_of(parse(tokens.manager), secrets) == "manager"
    rotated = authority.Authority().rotate_worker_token(secrets)
    assert role_of(parse(tokens.worker), rotated) is None
    assert role_of(parse(tokens.manager), rotated) == "manager"


def test_while_roots_change_old_and_new_certificates_know_each_other(
    secrets: ClusterSecrets, tmp_path: Path
) -> None:
    rotating = begin_rotation(secrets, certificates.new_root(NOW), NOW)
    old, both = secrets.root_certificate, authority.roots(rotating)
    assert both == old + rotating.rotation_certificate
    pairs = [(s, c) for s in (secrets, rotating) for c in (secrets, rotating)]
    for trusted_by_server in (old, both):
        for trusted_by_client in (old, both):
            assert all(
                meets(
                    tmp_path,
                    server,
                    client,
                    server_trusts=trusted_by_server,
                    client_trusts=trusted_by_client,
                )
                for server, client in pairs
            )


def test_when_a_rotation_ends_the_old_root_is_worth_nothing(
    secrets: ClusterSecrets, tmp_path: Path
) -> None:
    rotating = begin_rotation(secrets, certificates.new_root(NOW), NOW)
    after = finish_rotation(rotating, iter(["worker", "manager"]).__next__)
    assert after == replace(
        secrets,
        root_certificate=rotating.rotation_certificate,
        root_key=rotating.rotation_key,
        worker_secret="worker",
        manager_secret="manager",
    )
    new = after.root_certificate
    assert meets(tmp_path, rotating, rotating, server_trusts=new, client_trusts=new)
    assert meets(tmp_path, after, rotating, server_trusts=new, client_trusts=new)
    assert not meets(
        tmp_path, after, secrets, server_trusts=new, client_trusts=authority.roots(rotating)
    )
    assert join_tokens(after).worker.split("-")[2] != join_tokens(secrets).worker.split("-")[2]


def test_a_second_rotation_may_overtake_the_first(secrets: ClusterSecrets, tmp_path: Path) -> None:
    """Those who renewed to the root between are members all the time."""
    first = begin_rotation(secrets, certificates.new_root(NOW), NOW)
    second = begin_rotation(first, certificates.new_root(NOW), NOW)
    assert meets(tmp_path, first, second, client_trusts=authority.roots(second))
    assert meets(tmp_path, second, first)


@pytest.mark.parametrize("key_id", [True, False])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_root_can_be_brought(
    secrets: ClusterSecrets, tmp_path: Path, kind: str, key_id: bool
) -> None:
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else None
    certificate, key = brought(key, key_id=key_id)
    rotating = rotate_to(secrets, certificate, pem(key), NOW)
    assert rotating.rotation_certificate == certificate
    assert meets(tmp_path, secrets, rotating)
    assert meets(tmp_path, rotating, secrets)
    after = finish_rotation(rotating, lambda: "x")
    assert meets(tmp_path, after, rotating, server_trusts=certificate, client_trusts=certificate)
    again = begin_rotation(after, certificates.new_root(NOW), NOW)
    assert meets(tmp_path, again, after, client_trusts=certificate)


def test_bringing_the_present_root_calls_a_rotation_off(secrets: ClusterSecrets) -> None:
    rotating = rotate_to(secrets, "", "", NOW)
    assert rotating.rotation_certificate
    assert rotate_to(rotating, secrets.root_certificate, secrets.root_key, NOW) == secrets


def test_bringing_the_successor_again_changes_nothing(secrets: ClusterSecrets) -> None:
    certificate, key = brought()
    rotating = rotate_to(secrets, certificate, pem(key), NOW)
    assert rotate_to(rotating, certificate, pem(key), NOW) == rotating


def _refused() -> list[Any]:
    good, key = brought()
    weak = brought(rsa.generate_private_key(65537, 1024))
    odd = brought(ed25519.Ed25519PrivateKey.generate())
    locked = pem(key, BestAvailableEncryption(b"secret"))
    return [
        pytest.param("nonsense", pem(key), "could not parse the desired CA cert", id="no cert"),
        pytest.param(good + good, pem(key), "cannot contain multiple", id="two"),
        pytest.param(good, "nonsense", "could not parse the CA key", id="no key"),
        pytest.param(good, locked, "could not parse the CA key", id="encrypted"),
        pytest.param(good, pem(brought()[1]), "does not fit", id="another key"),
        pytest.param(weak[0], pem(weak[1]), "RSA with 2048 bits", id="weak"),
        pytest.param(odd[0], pem(odd[1]), "must be an elliptic curve key", id="ed25519"),
        pytest.param(*_pair(ca=False), "not an authority's", id="a leaf"),
        pytest.param(*_pair(path_length=0), "path length 0", id="last of its kind"),
        pytest.param(*_pair(years=0.5), "CA certificate expires too soon", id="short-lived"),
        pytest.param(*_pair(born=NOW + timedelta(hours=2)), "not valid yet", id="unborn"),
        pytest.param("", pem(key), "the signing CA cert must also be provided", id="key alone"),
    ]


def _pair(**how: Any) -> tuple[str, str]:
    certificate, key = brought(**how)
    return certificate, pem(key)


@pytest.mark.parametrize(("certificate", "key", "message"), _refused())
def test_what_cannot_be_a_root_is_refused(
    secrets: ClusterSecrets, certificate: str, key: str, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        rotate_to(secrets, certificate, key, NOW)


def test_a_root_without_its_key_is_refused_by_name(secrets: ClusterSecrets) -> None:
    with pytest.raises(Unimplemented, match="external certificate authority, which is not supp"):
        rotate_to(secrets, brought()[0], "", NOW)
