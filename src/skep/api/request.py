"""One request as a route sees it: the node, the API version, and checked parameters."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from skep.api import query
from skep.api.filters import Filters, parse_filters
from skep.api.versions import HEADERS, ApiVersion
from skep.http.request import HttpRequest
from skep.http.web import BaseRequest
from skep.kit.errors import InvalidArgument, NoCluster
from skep.kit.numbers import INT64_MAX, INT64_MIN
from skep.model.base import decode_json
from skep.model.image import AuthConfig, decode_registry_auth
from skep.node import Node

if TYPE_CHECKING:
    from skep.manager.control import Control

T = TypeVar("T")

MAX_JSON_BYTES = 8 * 1024 * 1024


class Request(HttpRequest):
    """A request of the Engine API that matched a route."""

    __slots__ = ("node", "version")

    answer_headers = HEADERS

    def __init__(
        self, http: BaseRequest, node: Node, version: ApiVersion, params: Mapping[str, str]
    ) -> None:
        super().__init__(http, params)
        self.node = node
        self.version = version

    @property
    def control(self) -> Control:
        """The cluster; raises NoCluster where this node is no manager."""
        control = self.node.control
        if control is None:
            raise NoCluster
        return control

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

    def object_version(self) -> int:
        """The version of the object that the caller read, which every update must state."""
        version = self.integer("version")
        if version < 0:
            raise InvalidArgument(f"invalid swarm object version '{version}'")
        return version

    async def json(self, kind: type[T]) -> T:
        """The body as `kind`; raises InvalidArgument with the path of the wrong field."""
        value = await self.json_or_none(kind)
        if value is None:
            raise InvalidArgument("invalid JSON: got EOF while reading request body")
        return value

    async def json_or_none(self, kind: type[T]) -> T | None:
        """The body as `kind`, None when the request has none."""
        body = await self._json_body()
        return decode_json(body, kind, lenient=not self._is_from_skep()) if body else None

    def _is_from_skep(self) -> bool:
        """Other clients send keys of their own; of skep's that would be a fault to hear of."""
        return self.http.headers.get("User-Agent", "").startswith("skep/")

    async def _json_body(self) -> bytes:
        body = await self.body(MAX_JSON_BYTES, "JSON")
        if body:
            self._check_json_type()
        return body

    def _check_json_type(self) -> None:
        kind = self.http.headers.get("Content-Type", "")
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise InvalidArgument(
                f"unsupported Content-Type header ({kind}): must be 'application/json'"
            )

    def registry_auth_text(self) -> str:
        """X-Registry-Auth as sent, "" when it names nobody; raises InvalidArgument when it cannot
        be read: said here, not by every task of a service that is to pull with it."""
        return self._auth_header() if self.registry_auth() is not None else ""

    def registry_auth(self) -> AuthConfig | None:
        """The registry credentials of the caller; None for anonymous."""
        return decode_registry_auth(self._auth_header())

    def _auth_header(self) -> str:
        return self.http.headers.get("X-Registry-Auth", "")


def terminal_size(request: Request) -> tuple[int, int]:
    """Rows and columns of a client's terminal: the kernel has 16 bits for each."""
    return request.integer("h", None, 0, 65535), request.integer("w", None, 0, 65535)
