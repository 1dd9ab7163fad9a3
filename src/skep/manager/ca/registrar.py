"""Lets nodes in and renews their certificates: tokens are checked, nodes recorded, keys signed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from skep.kit.clock import utc_now
from skep.kit.errors import Forbidden, InvalidArgument, SkepError, Unavailable
from skep.kit.ids import new_id
from skep.kit.share import Allowance
from skep.manager.ca import authority
from skep.model.cluster import Cluster, ClusterSecrets
from skep.model.node import Node, NodeDescription, NodeSpec, NodeStatus, Role
from skep.protocol import tokens
from skep.protocol.joining import (
    FromStranger,
    Joined,
    JoinRequest,
    Refused,
    Root,
    RootRequest,
    ToStranger,
    clock_complaint,
)
from skep.protocol.messages import PROTOCOL_VERSION, Certificate, Renewed
from skep.store.change import Create
from skep.store.store import Store

_JOINS_PER_S = 20.0
_JOINS_AT_ONCE = 200.0
_WRONG_TOKEN_WAIT_S = 0.5


class Registrar:
    """What the managers' port and the dispatcher ask of the cluster's identity."""

    def __init__(self, store: Store, clock: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._clock = clock
        self._allowance = Allowance(_JOINS_PER_S, _JOINS_AT_ONCE)

    async def answer(self, question: FromStranger) -> ToStranger:
        """What a caller without a certificate is told; never raises for what they asked."""
        try:
            if question.version != PROTOCOL_VERSION:
                raise InvalidArgument(
                    f"this manager speaks version {PROTOCOL_VERSION} of the protocol, you speak "
                    f"{question.version}: run the same version of skep on both"
                )
            if isinstance(question, RootRequest):
                return Root(self._secrets().root_certificate, self._now_s())
            return await self._admit(question)
        except SkepError as error:
            return Refused(str(error))

    async def renew(self, node_id: str, signing_request: str) -> Renewed:
        """A new certificate for a member. Raises Forbidden for a node that was removed,
        InvalidArgument for what is no signing request."""
        node = self._store.view.node(node_id)
        if node is None:
            raise Forbidden("the node is not a member of this cluster any more")
        certificate = await self._sign(signing_request, node_id, node.spec.role)
        return Renewed(certificate, self.roots())

    def roots(self) -> str:
        return authority.roots(self._secrets())

    async def _admit(self, request: JoinRequest) -> ToStranger:
        """Who has no token does not use up the allowance of those who have one."""
        role = tokens.role_of(tokens.parse(request.token), self._secrets())
        if role is None:
            await asyncio.sleep(_WRONG_TOKEN_WAIT_S)  # guessing stays slow
            raise Forbidden(
                "A valid join token is necessary to join this cluster: this one is not, or was "
                "rotated. `skep swarm join-token worker` on a manager prints the right one"
            )
        if not self._allowance.take():
            raise Unavailable("too many nodes ask to join at once: try again in a moment")
        if role == "manager":
            raise Forbidden(
                "this cluster has one manager and cannot have several yet: join as a worker "
                "(`skep swarm join-token worker` on the manager prints the token)"
            )
        if complaint := clock_complaint(request.now_s, self._now_s()):
            raise InvalidArgument(complaint)
        return await self._enrol(request, role)

    async def _enrol(self, request: JoinRequest, role: Role) -> Joined:
        """Recorded before it is answered: who holds a certificate is known."""
        node_id = new_id()
        certificate = await self._sign(request.signing_request, node_id, role)
        node = Node(
            id=node_id,
            spec=NodeSpec(role=role, availability=request.availability),
            description=NodeDescription(tls_info=certificate.issuer),
            status=NodeStatus(state="unknown", message="joined, not yet heard"),
            certificate_role=role,
        )
        await self._store.commit([Create(node, "joined")])
        return Joined(node_id, self._cluster().id, role, certificate, self.roots())

    async def _sign(self, signing_request: str, node_id: str, role: Role) -> Certificate:
        life_ns = self._cluster().spec.ca_config.node_cert_expiry
        return await asyncio.to_thread(
            authority.sign,
            self._secrets(),
            signing_request,
            node_id,
            role,
            life_ns,
            self._clock(),
        )

    def _now_s(self) -> float:
        return self._clock().timestamp()

    def _cluster(self) -> Cluster:
        cluster = self._store.view.cluster()
        if cluster is None:
            raise Unavailable("there is no cluster here")
        return cluster

    def _secrets(self) -> ClusterSecrets:
        secrets = self._store.view.cluster_secrets()
        if secrets is None:
            raise Unavailable("there is no cluster here")
        return secrets
