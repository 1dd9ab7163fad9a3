"""The Engine API's sockets."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from skep import http
from skep.api.door import EngineApi
from skep.api.request import Request
from skep.http.router import Router
from skep.node import Node

_SOCKET_GROUP = "docker"


class Server(http.Server):
    """Answers the Engine API for one node on `unix:///path` and `tcp://host:port`."""

    def __init__(
        self, node: Node, listeners: Sequence[str], tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(EngineApi(node, _router()), listeners, group=_SOCKET_GROUP, tls=tls)


def _router() -> Router[Request]:
    """The table of routes, imported only when a server is made."""
    from skep.api.routes.table import ROUTES

    return Router(ROUTES)
