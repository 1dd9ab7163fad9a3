"""The cluster's identity as values to values: its root, join secrets, rotation, certificates.

Nothing is stored here and nothing is asked: `ClusterSecrets` come in and go out. A rotation has two
roots: the one that everybody trusts, and its successor, which signs from the first moment on. A
certificate of the successor carries a cross-certificate by which those who trust only the first
trust it too. When every node has renewed, the successor is the only one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from skep.kit.clock import utc_now
from skep.kit.errors import InvalidArgument, Unimplemented
from skep.manager.ca import certificates
from skep.manager.ca.certificates import Root, Subject
from skep.model.cluster import ClusterSecrets, JoinTokens
from skep.model.node import Role, TLSInfo
from skep.protocol.messages import Certificate
from skep.protocol.tokens import join_tokens, new_secret


def new_secrets(cluster_id: str, now: datetime) -> ClusterSecrets:
    """A new root and new join secrets."""
    root = certificates.new_root(now)
    return ClusterSecrets(
        id=cluster_id,
        root_certificate=root.certificate,
        root_key=root.key,
        worker_secret=new_secret(),
        manager_secret=new_secret(),
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

    Raises InvalidArgument when the request is not one.
    """
    signer = _signer(secrets)
    subject = Subject(node_id, role, secrets.id)
    life = timedelta(microseconds=life_ns / 1000)
    pem, until = certificates.sign_request(request_pem, subject, signer, life, now)
    return Certificate(
        pem=pem + secrets.rotation_cross_certificate,
        valid_from_s=now.timestamp(),
        valid_until_s=until.timestamp(),
        issuer=certificates.tls_info(signer.certificate, signer.certificate),
    )


def roots(secrets: ClusterSecrets) -> str:
    """What nodes may trust: the root, and during a rotation its successor too."""
    return secrets.root_certificate + secrets.rotation_certificate


def tls_info(secrets: ClusterSecrets) -> TLSInfo:
    """What the API shows of the cluster: the root, and who signs (its successor in a rotation)."""
    return certificates.tls_info(_signer(secrets).certificate, secrets.root_certificate)


def begin_rotation(secrets: ClusterSecrets, successor: Root, now: datetime) -> ClusterSecrets:
    """From the present root to `successor`; one that was under way before is given up for it."""
    present = Root(secrets.root_certificate, secrets.root_key)
    return replace(
        secrets,
        rotation_certificate=successor.certificate,
        rotation_key=successor.key,
        rotation_cross_certificate=certificates.cross_certificate(
            successor.certificate, present, now
        ),
    )


def finish_rotation(secrets: ClusterSecrets, new_id: Callable[[], str]) -> ClusterSecrets:
    """The successor is the only root. Tokens name the root, so there are new secrets with it."""
    successor = replace(
        secrets, root_certificate=secrets.rotation_certificate, root_key=secrets.rotation_key
    )
    return replace(_settled(successor), worker_secret=new_id(), manager_secret=new_id())


def rotate_to(
    secrets: ClusterSecrets, certificate_pem: str, key_pem: str, now: datetime
) -> ClusterSecrets:
    """A rotation to a root that somebody brings, or with neither text to a new one.

    Bringing the present root calls off a rotation, bringing the successor goes on with it.
    Raises InvalidArgument, Unimplemented.
    """
    if not certificate_pem and not key_pem:
        return begin_rotation(secrets, certificates.new_root(now), now)
    if not certificate_pem:
        raise InvalidArgument(
            "if a signing CA key is provided, the signing CA cert must also be provided"
        )
    if not key_pem:
        raise Unimplemented(
            "a CA certificate without its key needs an external certificate authority, which is "
            "not supported: give the key too (--ca-key)"
        )
    brought = certificates.given_root(certificate_pem, key_pem, now)
    if brought.certificate == secrets.root_certificate:
        return _settled(replace(secrets, root_key=brought.key))
    if brought.certificate == secrets.rotation_certificate:
        return replace(secrets, rotation_key=brought.key)
    return begin_rotation(secrets, brought, now)


class Authority:
    """What `control` asks of this room (its `CertificateAuthority`)."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock

    def join_tokens(self, secrets: ClusterSecrets) -> JoinTokens:
        return join_tokens(secrets)

    def rotate_worker_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, worker_secret=new_secret())

    def rotate_manager_token(self, secrets: ClusterSecrets) -> ClusterSecrets:
        return replace(secrets, manager_secret=new_secret())

    def rotate_root(self, secrets: ClusterSecrets, certificate: str, key: str) -> ClusterSecrets:
        return rotate_to(secrets, certificate, key, self._clock())

    def tls_info(self, secrets: ClusterSecrets) -> TLSInfo:
        return tls_info(secrets)


def _signer(secrets: ClusterSecrets) -> Root:
    if secrets.rotation_certificate:
        return Root(secrets.rotation_certificate, secrets.rotation_key)
    return Root(secrets.root_certificate, secrets.root_key)


def _settled(secrets: ClusterSecrets) -> ClusterSecrets:
    """No rotation is under way."""
    return replace(secrets, rotation_certificate="", rotation_key="", rotation_cross_certificate="")
