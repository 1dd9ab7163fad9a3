"""The node's identity on its disk: its key, its certificate, and whom it trusts.

<folder>/roots.pem    certificates of the cluster's root (two during a rotation)
<folder>/node.pem     the node's key, its certificate and what links that to the root: mode 0600,
                      the key is never sent anywhere
<folder>/node.json    when the certificate is valid, and what the API shows of its root
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec
from msgspec.structs import replace

from skep.kit.errors import UNDECODABLE, Unavailable
from skep.kit.files import write_atomically
from skep.model.node import TLSInfo
from skep.protocol.messages import Certificate
from skep.protocol.tls import CertificateFiles, member_context, server_context

_EARLIEST, _LATEST = 0.5, 0.8
"""A certificate is renewed at a random point of this part of its life (swarmkit ca/renewer.go)."""
_END = "-----END CERTIFICATE-----\n"
_JOIN_ANEW = "leave the cluster with `skep swarm leave --force` and join it again"


class Expired(Unavailable):
    """The certificate is worth nothing any more: no manager will listen."""


class Identity:
    """`load` an existing one, or `install` the first."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.files = CertificateFiles(
            roots=folder / "roots.pem", key_and_certificate=folder / "node.pem"
        )
        self._facts = folder / "node.json"
        self._chance = chance
        self._certificate: Certificate | None = None
        self._roots = ""
        self._client: ssl.SSLContext | None = None
        self._server: ssl.SSLContext | None = None

    @property
    def tls_info(self) -> TLSInfo:
        """What the API shows: who signed the certificate, and which root the node trusts. During
        a rotation that is the present one, as everywhere in the API: it vouches for the other."""
        if self._certificate is None:
            return TLSInfo()
        return replace(self._certificate.issuer, trust_root=_first(self._roots))

    def load(self) -> None:
        """Raises Unavailable when the node's identity is gone or damaged."""
        try:
            self._certificate = msgspec.json.decode(self._facts.read_bytes(), type=Certificate)
            self._roots = self.files.roots.read_text()
        except (OSError, *UNDECODABLE) as error:
            raise _unreadable(error) from None

    def install(self, key: str, certificate: Certificate, roots: str) -> None:
        """Use this from now on, for connections to come; those that stand go on. Blocking.

        A crash in between leaves a certificate that works; at worst it is renewed once more. Raises
        Unavailable for what is no certificate of the key: it could never call again with that.
        """
        proof = key + certificate.pem
        with NamedTemporaryFile(prefix=".node.pem.", dir=self._facts.parent) as draft:
            draft.write(proof.encode())
            draft.flush()
            _check(lambda context: context.load_cert_chain(draft.name))
        _check(lambda context: context.load_verify_locations(cadata=roots))
        write_atomically(self.files.roots, roots.encode(), 0o644)
        write_atomically(self.files.key_and_certificate, proof.encode(), 0o600)
        write_atomically(self._facts, msgspec.json.encode(certificate), 0o644)
        self._certificate, self._roots = certificate, roots
        self._client = self._server = None

    async def trust(self, roots: str) -> bool:
        """Trust these roots from now on and no others; whether that is a change. Raises Unavailable
        for what are no certificates: with those no manager would ever be reached again."""
        if not roots or roots == self._roots:
            return False
        _check(lambda context: context.load_verify_locations(cadata=roots))
        await asyncio.to_thread(write_atomically, self.files.roots, roots.encode(), 0o644)
        self._roots = roots
        self._client = self._server = None
        return True

    def renew_in_s(self, now_s: float) -> float:
        """How long to wait before the next renewal."""
        if self._certificate is None:
            return 0.0
        born = self._certificate.valid_from_s
        life = self._certificate.valid_until_s - born
        return max(0.0, born + life * self._chance.uniform(_EARLIEST, _LATEST) - now_s)

    def check_valid(self, now_s: float) -> None:
        """Raises Expired: only a new join helps then."""
        if self._certificate is not None and now_s > self._certificate.valid_until_s:
            raise Expired(
                "Swarm certificates have expired. To replace them, leave the swarm and join again."
                " (The node was away for longer than they live, or its clock is wrong.)"
            )

    def client_context(self) -> ssl.SSLContext:
        """For lines to managers. Kept until certificates change, because each costs memory.
        Raises Unavailable when the files are damaged."""
        if self._client is None:
            self._client = self._context(member_context)
        return self._client

    def server_context(self) -> ssl.SSLContext:
        """For the managers' port; like `client_context`."""
        if self._server is None:
            self._server = self._context(server_context)
        return self._server

    def _context(self, make: Callable[[CertificateFiles], ssl.SSLContext]) -> ssl.SSLContext:
        try:
            return make(self.files)
        except OSError as error:  # ssl.SSLError is one
            raise _unreadable(error) from None


def _check(load: Callable[[ssl.SSLContext], None]) -> None:
    """Raises Unavailable when TLS would not take what a manager sent."""
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except (OSError, ValueError, TypeError) as error:  # ssl.SSLError is an OSError
        raise Unavailable(f"the manager sent certificates that are none: {error}") from None


def _first(certificates: str) -> str:
    """Of several in PEM."""
    first, end, _ = certificates.partition(_END)
    return first + end


def _unreadable(error: Exception) -> Unavailable:
    return Unavailable(f"the node's certificate cannot be read ({error}): {_JOIN_ANEW}")
