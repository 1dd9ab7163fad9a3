"""One request as a route sees it: the node, the API version, and checked parameters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, TypeVar

from skep.api import query
from skep.api.node import Node
from skep.api.versions import ApiVersion
from skep.api.web import BaseRequest
from skep.kit.clock import NS_PER_S
from skep.kit.errors import InvalidArgument, SkepError, Unavailable
from skep.kit.numbers import INT64_MAX, INT64_MIN
from skep.manager.control.filters import Filters, parse_filters
from skep.model.base import decode_json
from skep.model.image import RegistryAuth
from skep.model.system import SwarmInfo

if TYPE_CHECKING:
    from skep.manager.control import Control

T = TypeVar("T")

MAX_JSON_BYTES = 8 * 1024 * 1024
_BODY_TIMEOUT_S = 60.0
_CHUNK_BYTES = 256 * 1024
_AUTH_HEADER = "X-Registry-Auth"


_NO_MANAGER = "This node is not a swarm manager. "
_NO_MANAGER_ADVICE = {
    "active": (
        "Worker nodes can't be used to view or modify cluster state. Please run this command on a "
        "manager node or promote the current node to a manager."
    ),
    "error": "It could not start its part in the swarm: see `docker info`, or leave with --force.",
    "pending": "It is still joining the swarm: try again in a moment.",
}


class BodyTooLarge(SkepError):
    http_status = 413


class BodyTooSlow(SkepError):
    http_status = 408


class Request:
    """A request that matched a route. `params` are the named parts of its path."""

    __slots__ = ("http", "node", "params", "version")

    def __init__(
        self, http: BaseRequest, node: Node, version: ApiVersion, params: Mapping[str, str]
    ) -> None:
        self.http = http
        self.node = node
        self.version = version
        self.params = params

    @property
    def control(self) -> Control:
        """The cluster; raises Unavailable, in docker's words, where this node is no manager."""
        control = self.node.control
        if control is None:
            raise no_manager(self.node.swarm.info())
        return control

    def text(self, name: str, default: str = "") -> str:
        return self.http.rel_url.query.get(name, default)

    def texts(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return self.http.rel_url.query.getall(name, [])

    def given(self, name: str) -> bool:
        return name in self.http.rel_url.query

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean; `default` when it is not given at all."""
        text = self.http.rel_url.query.get(name)
        return default if text is None else query.parse_flag(text)

    def integer(
        self,
        name: str,
        default: int | None = None,
        low: int = INT64_MIN,
        high: int = INT64_MAX,
    ) -> int:
        """A whole number; raises InvalidArgument when it is missing and there is no default."""
        text = self.text(name)
        if text:
            return query.parse_integer(text, name, low, high)
        if default is None:
            raise InvalidArgument(f"{name} is required: add ?{name}=<number> to the request")
        return default

    def filters(self) -> Filters:
        return parse_filters(self.text("filters"))

    def time_ns(self, name: str) -> int | None:
        """A moment in ns since 1970, None for no bound."""
        return query.parse_time_ns(self.text(name), name, time.time_ns())

    def time_s(self, name: str) -> float | None:
        """A moment in seconds since 1970, None for no bound."""
        moment_ns = self.time_ns(name)
        return None if moment_ns is None else moment_ns / NS_PER_S

    def object_version(self) -> int:
        """The version of the object that the caller read, which every update must state."""
        version = self.integer("version")
        if version < 0:
            raise InvalidArgument(f"invalid swarm object version '{version}'")
        return version

    async def json(self, kind: type[T]) -> T:
        """The body as `kind`; raises InvalidArgument with the path of the wrong field."""
        body = await self._json_body()
        if not body:
            raise InvalidArgument("invalid JSON: got EOF while reading request body")
        return decode_json(body, kind)

    async def json_or_none(self, kind: type[T]) -> T | None:
        """The body as `kind`, None when the request has none."""
        body = await self._json_body()
        return decode_json(body, kind) if body else None

    async def _json_body(self) -> bytes:
        content = self.http.content
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                while chunk := await content.readany():
                    body += chunk
                    if len(body) > MAX_JSON_BYTES:
                        raise BodyTooLarge(
                            f"request body too large: at most {MAX_JSON_BYTES} bytes of JSON"
                        )
        except TimeoutError:
            raise BodyTooSlow(
                f"the request body did not come within {_BODY_TIMEOUT_S:g} s"
            ) from None
        if body:
            self._check_json_type()
        return bytes(body)

    def _check_json_type(self) -> None:
        kind = self.http.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise InvalidArgument(
                f"unsupported Content-Type header ({kind}): must be 'application/json'"
            )

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes in; the sender is held up while nobody asks for more."""
        async for chunk in self.http.content.iter_chunked(_CHUNK_BYTES):
            yield chunk

    def registry_auth_text(self) -> str:
        """X-Registry-Auth as sent, "" when there is none."""
        return self.http.headers.get(_AUTH_HEADER, "")

    def registry_auth(self) -> RegistryAuth | None:
        """The registry credentials of the caller; None for anonymous."""
        text = self.registry_auth_text()
        if not text:
            return None
        auth = decode_json(query.decode_base64(text, _AUTH_HEADER), RegistryAuth, _AUTH_HEADER)
        return auth if auth != RegistryAuth() else None


def terminal_size(request: Request) -> tuple[int, int]:
    """Rows and columns of a client's terminal: the kernel has 16 bits for each."""
    return request.integer("h", None, 0, 65535), request.integer("w", None, 0, 65535)


def no_manager(swarm: SwarmInfo) -> Unavailable:
    """Why the cluster cannot be asked through this node, and what to do."""
    if swarm.local_node_state == "locked":
        return Unavailable(
            "Swarm is encrypted and needs to be unlocked before it can be used. "
            'Please use "docker swarm unlock" to unlock it.'
        )
    advice = _NO_MANAGER_ADVICE.get(
        swarm.local_node_state,
        'Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
        "and try again.",
    )
    return Unavailable(_NO_MANAGER + advice)
