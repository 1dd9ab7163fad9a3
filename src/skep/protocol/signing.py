"""A node's own key and the request to have it signed. The key never leaves the node."""

from __future__ import annotations


def new_request() -> tuple[str, str]:
    """A new ECDSA P-256 key and a signing request for it, both as PEM text."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        request.public_bytes(Encoding.PEM).decode(),
    )
