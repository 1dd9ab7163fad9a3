"""The Engine API's manners: versions in the path, JSON both ways, errors as `{"message": …}`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from skep import __version__
from skep.cli.client.address import Address, connect
from skep.cli.client.wire import Body, Response, Wire, quote, send
from skep.cli.errors import ApiFailure, Unreachable

NEWEST_API = (1, 50)
OLDEST_API = (1, 41)

Query = Mapping[str, Any]
Headers = Mapping[str, str]


class Client:
    """Calls to one daemon. The connection is made by the first call and kept while it lasts.

    A call waits as long as the daemon takes; with `patience_s` a silence of that many seconds
    raises TimeoutError.
    """

    def __init__(self, address: Address, patience_s: float | None = None) -> None:
        self.address = address
        self._patience_s = patience_s
        self._idle: Wire | None = None
        self._wires: list[Wire] = []
        self._ping: Response | None = None

    @property
    def ping(self) -> Response:
        """The daemon's first answer: its headers tell the API version and the swarm's state."""
        if self._ping is None:
            response = self._exchange("HEAD", "/_ping", {}, None)
            self._settle(response)
            self._ping = response
        return self._ping

    @property
    def api_version(self) -> tuple[int, int]:
        """The version both sides know, at most NEWEST_API."""
        return negotiate(self.ping.headers.get("api-version", ""))

    def get(self, path: str, query: Query | None = None, headers: Headers | None = None) -> Any:
        """GET; the answer's JSON."""
        return self._json("GET", path, query, None, headers)

    def post(
        self,
        path: str,
        body: Any = None,
        query: Query | None = None,
        headers: Headers | None = None,
    ) -> Any:
        """POST with a JSON body (or none); the answer's JSON, None when it has no body."""
        return self._json("POST", path, query, body, headers)

    def put(self, path: str, body: Any = None, query: Query | None = None) -> Any:
        return self._json("PUT", path, query, body, None)

    def delete(self, path: str, query: Query | None = None) -> Any:
        return self._json("DELETE", path, query, None, None)

    def stream(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        headers: Headers | None = None,
    ) -> Response:
        """A call whose answer is read as it comes, on a connection of its own."""
        self._idle, kept = None, self._idle
        try:
            return self._checked(self._exchange(method, self._target(path, query), headers, body))
        finally:
            self._idle = kept or self._idle

    def hijack(self, path: str, query: Query | None = None, body: Any = None) -> Response:
        """A POST that turns the connection into a plain two-way stream (`response.wire`)."""
        headers = {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body).encode()
        return self.stream("POST", path, query, payload, headers)

    def _json(
        self, method: str, path: str, query: Query | None, body: Any, headers: Headers | None
    ) -> Any:
        payload = None
        head = dict(headers or {})
        if body is not None:
            payload = json.dumps(body, ensure_ascii=False).encode()
            head["Content-Type"] = "application/json"
        response = self._checked(self._exchange(method, self._target(path, query), head, payload))
        content = response.read()
        self._settle(response)
        return json.loads(content) if content.strip() else None

    def _target(self, path: str, query: Query | None) -> str:
        major, minor = self.api_version
        return f"/v{major}.{minor}{path}{encode_query(query or {})}"

    def _exchange(self, method: str, target: str, headers: Headers | None, body: Body) -> Response:
        wire, self._idle = self._idle or self._connect(), None
        head = {
            "Host": self.address.http_host,
            "User-Agent": f"skep/{__version__}",
            **(headers or {}),
        }
        try:
            send(wire, method, target, head, body)
        except ConnectionError as error:
            # A daemon that refuses an upload answers before it has read it all.
            if body is None or isinstance(body, bytes):
                raise Unreachable(f"lost the connection to the daemon: {error}") from None
        return Response(wire, method)

    def _connect(self) -> Wire:
        wire = Wire(connect(self.address, self._patience_s))
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        """Hang up on every connection, also those whose answer was not read to its end."""
        for wire in self._wires:
            wire.close()

    def _settle(self, response: Response) -> None:
        """The body was read: keep the connection for the next call, if both sides like to."""
        if response.reusable and self._idle is None:
            self._idle = response.wire
        else:
            response.wire.close()

    def _checked(self, response: Response) -> Response:
        if response.status < 400:
            return response
        content = response.read()
        self._settle(response)
        raise ApiFailure(response.status, error_message(content, response.reason))


def negotiate(offered: str) -> tuple[int, int]:
    """The newest API version that client and daemon share, from the daemon's `1.NN`."""
    major, _, minor = offered.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        return OLDEST_API
    version = (int(major), int(minor))
    if version < OLDEST_API:
        raise Unreachable(
            f"the daemon speaks API {offered}, which is older than this client's oldest "
            f"({OLDEST_API[0]}.{OLDEST_API[1]})"
        )
    return min(version, NEWEST_API)


def encode_query(query: Query) -> str:
    """`?a=1&b=x`: None is left out, truth is 1 or 0, a list repeats, a mapping is JSON."""
    pairs = []
    for name, value in query.items():
        values = value if isinstance(value, list | tuple) else [value]
        pairs += [f"{name}={quote(_query_text(item))}" for item in values if item is not None]
    return "?" + "&".join(pairs) if pairs else ""


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def filters_query(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]] | None:
    """`--filter` pairs as the API's `filters`: a list of values for each name."""
    filters: dict[str, list[str]] = {}
    for name, value in pairs:
        filters.setdefault(name, []).append(value)
    return filters or None


def error_message(content: bytes, otherwise: str) -> str:
    """The daemon's sentence in an error's body."""
    try:
        return str(json.loads(content)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace").strip() or otherwise


def json_stream(response: Response) -> Iterator[Any]:
    """The JSON values of a body that has one after the other, each as soon as it is whole."""
    decoder = json.JSONDecoder()
    text = ""
    for piece in _text(response.chunks()):
        text = (text + piece).lstrip()
        while text:
            try:
                value, end = decoder.raw_decode(text)
            except ValueError:
                break
            yield value
            text = text[end:].lstrip()


def _text(chunks: Iterable[bytes]) -> Iterator[str]:
    """UTF-8 over pieces that may end inside a character."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for chunk in chunks:
        yield decoder.decode(chunk)
