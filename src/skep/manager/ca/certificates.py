"""X.509 for the cluster, on PEM text: roots, nodes' certificates, and what can be read from them.

The cryptography library does the work (the one that Python's world trusts), imported when first
used, because a worker that holds its certificate needs none of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from skep.kit.errors import InvalidArgument
from skep.model.node import Role, TLSInfo

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_ROOT_NAME = "swarm-ca"
_ROOT_LIFE = timedelta(days=20 * 365)
_SHORTEST_ROOT_LIFE = timedelta(days=365)
_BACKDATED = timedelta(hours=1)
_SMALLEST_RSA_BITS = 2048


class Root(msgspec.Struct, frozen=True):
    """A root's certificate and its private key, PEM."""

    certificate: str
    key: str


class Subject(msgspec.Struct, frozen=True):
    """Whom a certificate is for: CN node id, OU swarm-<role>, O cluster id."""

    node_id: str
    role: Role
    cluster_id: str


def new_root(now: datetime) -> Root:
    """ECDSA P-256, CN swarm-ca, 20 years, signed by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ROOT_NAME)])
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    built = _authority(name, key.public_key(), now, now + _ROOT_LIFE, key_id).issuer_name(name)
    return Root(_pem(built.sign(key, hashes.SHA256())), _key_pem(key))


def given_root(certificate_pem: str, key_pem: str, now: datetime) -> Root:
    """A root that somebody brings. Raises InvalidArgument when it cannot be a cluster's root:
    one certificate, of an authority, for at least another year, with the key that fits."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = x509.load_pem_x509_certificates(certificate_pem.encode())
    except ValueError:
        raise InvalidArgument("could not parse the desired CA certificate") from None
    if len(found) != 1:
        raise InvalidArgument("the desired CA certificate cannot contain multiple certificates")
    certificate = found[0]
    try:
        key: Any = load_pem_private_key(key_pem.encode(), None)
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise InvalidArgument("could not parse the CA key: it must be PEM, not encrypted") from None
    _check_authority(certificate, now)
    _check_key(key)
    if certificate.public_key() != key.public_key():
        raise InvalidArgument("the CA key does not fit the CA certificate")
    return Root(_pem(certificate), _key_pem(key))


def cross_certificate(root_pem: str, signer: Root, now: datetime) -> str:
    """The same authority (name and key) as `root_pem`, vouched for by another root: who trusts
    only `signer` trusts it too."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    root = x509.load_pem_x509_certificate(root_pem.encode())
    issuer, key = _load(signer)
    until = min(root.not_valid_after_utc, issuer.not_valid_after_utc)
    built = _authority(root.subject, root.public_key(), now, until, _key_id(root))
    vouched = built.issuer_name(issuer.subject).add_extension(_vouched_by(issuer), critical=False)
    return _pem(vouched.sign(key, hashes.SHA256()))


def sign_request(
    request_pem: str, subject: Subject, signer: Root, life: timedelta, now: datetime
) -> tuple[str, datetime]:
    """A node's certificate for the key in a signing request, and when it ends.

    The subject is ours, whatever the request says. Raises InvalidArgument when the request is not
    one, or is not signed with its own key.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    request = _request(request_pem)
    issuer, key = _load(signer)
    until = min(now + life, issuer.not_valid_after_utc)
    names = [x509.DNSName(f"swarm-{subject.role}"), x509.DNSName(subject.node_id)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(_vouched_by(issuer), critical=False)
        .add_extension(_both_ends(), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate), until


def tls_info(issuer_pem: str, trusted_pem: str) -> TLSInfo:
    """What the API shows: which root signs, and which are trusted."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    issuer = x509.load_pem_x509_certificate(issuer_pem.encode())
    return TLSInfo(
        trust_root=trusted_pem,
        cert_issuer_subject=issuer.subject.public_bytes(),
        cert_issuer_public_key=issuer.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        ),
    )


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


def _check_authority(certificate: x509.Certificate, now: datetime) -> None:
    from cryptography import x509

    try:
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        raise InvalidArgument("the desired CA certificate is not an authority's") from None
    if not limits.ca:
        raise InvalidArgument("the desired CA certificate is not an authority's")
    if limits.path_length == 0:
        raise InvalidArgument(
            "the desired CA certificate allows no authority below it (path length 0): it could "
            "never be rotated"
        )
    if certificate.not_valid_before_utc > now:
        raise InvalidArgument("the desired CA certificate is not valid yet")
    if certificate.not_valid_after_utc < now + _SHORTEST_ROOT_LIFE:
        raise InvalidArgument("CA certificate expires too soon: it must be valid for a year")


def _check_key(key: object) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    strong = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _SMALLEST_RSA_BITS
    if not (strong or isinstance(key, ec.EllipticCurvePrivateKey)):
        raise InvalidArgument(
            f"the CA key must be an elliptic curve key, or RSA with {_SMALLEST_RSA_BITS} bits"
        )


def _authority(
    name: x509.Name,
    key: PublicKeyTypes,
    now: datetime,
    until: datetime,
    key_id: x509.SubjectKeyIdentifier,
) -> x509.CertificateBuilder:
    """An authority's certificate, but for who vouches for it."""
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(key_id, critical=False)
    )


def _name(subject: Subject) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.cluster_id),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"swarm-{subject.role}"),
            x509.NameAttribute(NameOID.COMMON_NAME, subject.node_id),
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


def _vouched_by(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Two roots of one cluster may have the same name: this tells which of them signed."""
    from cryptography import x509

    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_key_id(issuer))


def _key_id(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """What an authority calls its own key: not for every authority the key's digest."""
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key: Any = certificate.public_key()
        return x509.SubjectKeyIdentifier.from_public_key(key)


def _load(root: Root) -> tuple[x509.Certificate, Any]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = x509.load_pem_x509_certificate(root.certificate.encode())
    return certificate, load_pem_private_key(root.key.encode(), None)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode()


def _key_pem(key: Any) -> str:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()
