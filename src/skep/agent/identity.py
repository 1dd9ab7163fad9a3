"""The node's identity on its disk: its key, its certificate, and whom it trusts.

<folder>/roots.pem    certificates of the cluster's root (two during a rotation)
<folder>/node.pem     the node's certificate and what links it to the root
<folder>/node.key     its key, mode 0600, never sent anywhere
<folder>/node.json    when the certificate is valid, and what the API shows of its root
"""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path

import msgspec

from skep.kit.errors import Unavailable
from skep.kit.files import write_atomically
from skep.model.node import TLSInfo
from skep.protocol.messages import Certificate
from skep.protocol.signing import new_request
from skep.protocol.tls import CertificateFiles, member_context, reload

_EARLIEST, _LATEST = 0.5, 0.8
"""A certificate is renewed at a random point of this part of its life (swarmkit ca/renewer.go)."""


class Identity:
    """`load` an existing one, or `install` the first."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.files = CertificateFiles(
            roots=folder / "roots.pem", key_and_certificate=folder / "node.pem"
        )
        self._facts = folder / "node.json"
        self._chance = chance
        self._certificate: Certificate | None = None
        self._contexts: list[ssl.SSLContext] = []
        self._client: ssl.SSLContext | None = None

    @property
    def issuer(self) -> TLSInfo:
        return self._certificate.issuer if self._certificate else TLSInfo()

    def load(self) -> None:
        """Raises Unavailable when the node's identity is gone or damaged."""
        try:
            self._certificate = msgspec.json.decode(self._facts.read_bytes(), type=Certificate)
        except (OSError, msgspec.MsgspecError) as error:
            raise Unavailable(
                f"the node's certificate cannot be read ({error}): leave the cluster with "
                "`skep swarm leave --force` and join it again"
            ) from None

    def install(self, key: str, certificate: Certificate, roots: str) -> None:
        """Use this from now on, for connections to come. Blocking: it waits for the disk."""
        write_atomically(self.files.roots, roots.encode(), 0o644)
        proof = key + certificate.pem
        write_atomically(self.files.key_and_certificate, proof.encode(), 0o600)
        write_atomically(self._facts, msgspec.json.encode(certificate), 0o600)
        self._certificate = certificate
        self._reload()

    async def trust(self, roots: str) -> None:
        """Trust these roots from now on."""
        if roots and roots != await asyncio.to_thread(self.files.roots.read_text):
            await asyncio.to_thread(write_atomically, self.files.roots, roots.encode(), 0o644)
            self._reload()

    async def request(self) -> tuple[str, str]:
        """A new key and its signing request; the key is ours to `install` with the answer."""
        return await asyncio.to_thread(new_request)

    def renew_in_s(self, now_s: float) -> float:
        """How long to wait before the next renewal."""
        if self._certificate is None:
            return 0.0
        born, life = self._certificate.valid_from_s, self._life_s()
        due = born + life * self._chance.uniform(_EARLIEST, _LATEST)
        return max(0.0, due - now_s)

    def check_valid(self, now_s: float) -> None:
        """Raises Unavailable when the certificate has expired: only a new join helps."""
        if self._certificate is not None and now_s > self._certificate.valid_until_s:
            raise Unavailable(
                "Swarm certificates have expired: the node was away for longer than they live. "
                "Leave with `skep swarm leave --force` and join again (or set the clock right)"
            )

    def client_context(self) -> ssl.SSLContext:
        """For lines to managers. Kept, because each costs memory."""
        if self._client is None:
            self._client = self.keep(member_context(self.files))
        return self._client

    def keep(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """Renew this context too when the certificate is renewed."""
        self._contexts.append(context)
        return context

    def _life_s(self) -> float:
        assert self._certificate is not None
        return self._certificate.valid_until_s - self._certificate.valid_from_s

    def _reload(self) -> None:
        """Trusted roots can only be added to a context; a retired one goes with the process, and
        is refused by the cluster long before."""
        for context in self._contexts:
            reload(context, self.files)
