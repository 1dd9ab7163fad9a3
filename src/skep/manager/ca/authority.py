"""The certificate authority as values to values: a root, certificates from requests, tokens.

Nothing is stored here and nothing is asked: keys come in as PEM text and go out as PEM text. The
cryptography library does the work (the one that Python's world trusts), imported when first used,
because a worker that holds its certificate needs none of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.model.cluster import ClusterSecrets, JoinTokens
from skep.model.node import Role, TLSInfo
from skep.protocol.messages import Certificate
from skep.protocol.tokens import join_tokens, new_secret

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_ROOT_NAME = "swarm-ca"
_ROOT_LIFE = timedelta(days=20 * 365)
_BACKDATED = timedelta(hours=1)
_SHORTEST_NS = 3600 * 10**9


def new_root(cluster_id: str, now: datetime) -> ClusterSecrets:
    """A new root (ECDSA P-256, CN swarm-ca, 20 years) and new join secrets."""
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _root_certificate(key, now)
    return ClusterSecrets(
        id=cluster_id,
        root_certificate=_pem(certificate),
        root_key=_key_pem(key),
        worker_secret=new_secret(),
        manager_secret=new_secret(),
    )


def tls_info(root_certificate: str) -> TLSInfo:
    """What the API shows of a root."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = x509.load_pem_x509_certificate(root_certificate.encode())
    return TLSInfo(
        trust_root=root_certificate,
        cert_issuer_subject=certificate.subject.public_bytes(),
        cert_issuer_public_key=certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
    )


def sign(
    secrets: ClusterSecrets,
    request_pem: str,
    node_id: str,
    role: Role,
    life_ns: int,
    now: datetime,
) -> Certificate:
    """A certificate for the key in a signing request, followed by what links it to the root.

    The subject is ours, whatever the request says: CN node id, OU swarm-<role>, O cluster id.
    Raises InvalidArgument when the request is not one, or its signature does not fit its key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    request = _request(request_pem)
    rotating = bool(secrets.rotation_certificate)
    issuer_pem = secrets.rotation_certificate if rotating else secrets.root_certificate
    issuer_key = load_pem_private_key(
        (secrets.rotation_key if rotating else secrets.root_key).encode(), None
    )
    issuer = x509.load_pem_x509_certificate(issuer_pem.encode())
    life = timedelta(microseconds=max(life_ns, _SHORTEST_NS) / 1000)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_subject(node_id, role, secrets.id))
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(f"swarm-{role}"), x509.DNSName(node_id)]),
            critical=False,
        )
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(_issued_by(issuer.public_key()), critical=False)
        .add_extension(_both_ends(), critical=False)
        .sign(issuer_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    return Certificate(
        pem=_pem(certificate) + secrets.rotation_cross_certificate,
        valid_from_s=now.timestamp(),
        valid_until_s=(now + life).timestamp(),
        issuer=tls_info(issuer_pem),
    )


def roots(secrets: ClusterSecrets) -> str:
    """What nodes may trust: the root, and during a rotation its successor too."""
    return secrets.root_certificate + secrets.rotation_certificate


def begin_rotation(secrets: ClusterSecrets, now: datetime) -> ClusterSecrets:
    """A second root beside the first, and a cross-certificate by which those who trust only the
    first trust it too. Until `finish_rotation` both are valid; new certificates are the second's.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _root_certificate(key, now)
    old_root = x509.load_pem_x509_certificate(secrets.root_certificate.encode())
    old_key = load_pem_private_key(secrets.root_key.encode(), None)
    assert isinstance(old_key, ec.EllipticCurvePrivateKey)
    cross = _root_certificate(key, now, issuer=old_root, issuer_key=old_key)
    return replace(
        secrets,
        rotation_certificate=_pem(certificate),
        rotation_key=_key_pem(key),
        rotation_cross_certificate=_pem(cross),
    )


def finish_rotation(secrets: ClusterSecrets) -> ClusterSecrets:
    """Every node has renewed: the second root is the only one. New join secrets with it."""
    return replace(
        secrets,
        root_certificate=secrets.rotation_certificate,
        root_key=secrets.rotation_key,
        worker_secret=new_secret(),
        manager_secret=new_secret(),
        rotation_certificate="",
        rotation_key="",
        rotation_cross_certificate="",
    )


class Authority:
    """What `control` asks of this room (its `CertificateAuthority`)."""

    def join_tokens(self, secrets: ClusterSecrets) -> JoinTokens:
        return join_tokens(secrets)

    def rotate_worker_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, worker_secret=new_secret())

    def rotate_manager_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, manager_secret=new_secret())


def _request(pem: str) -> x509.CertificateSigningRequest:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise InvalidArgument(f"this is no certificate signing request: {error}") from None
    if not isinstance(request.public_key(), ec.EllipticCurvePublicKey):
        raise InvalidArgument("a node's key must be an elliptic curve key (P-256)")
    if not request.is_signature_valid:
        raise InvalidArgument("the signing request is not signed with its own key")
    return request


def _root_certificate(
    key: EllipticCurvePrivateKey,
    now: datetime,
    issuer: x509.Certificate | None = None,
    issuer_key: EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ROOT_NAME)])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer is not None else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(_issued_by((issuer_key or key).public_key()), critical=False)
        .sign(issuer_key or key, hashes.SHA256())
    )


def _subject(node_id: str, role: Role, cluster_id: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"swarm-{role}"),
            x509.NameAttribute(NameOID.COMMON_NAME, node_id),
        ]
    )


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _both_ends() -> x509.ExtendedKeyUsage:
    """A node is a client of managers, a manager a server of nodes; etcd members are both."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def _issued_by(key: PublicKeyTypes) -> x509.AuthorityKeyIdentifier:
    """Two roots of one cluster have the same name: this tells which of them signed."""
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)  # type: ignore[arg-type]


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
