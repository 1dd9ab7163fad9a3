"""A client of the Engine API over a unix socket: the same for whoever answers."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

_VERSION = "/v1.41"
_TIMEOUT_S = 60.0


class ApiError(Exception):
    """The daemon's own words."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """One kept connection. Raises ApiError for an error status, OSError when nobody answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection = _Connection(path)

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, query=query)

    def post(self, path: str, body: object = None, **query: Any) -> Any:
        return self.call("POST", path, body=body, query=query)

    def call(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, Any] | None = None
    ) -> Any:
        """Values of `query` that are no text are sent as JSON, as `filters` is."""
        content = None if body is None else json.dumps(body).encode()
        answer = self._exchange(method, path, content, "application/json", query or {})
        return json.loads(answer) if answer else None

    def load(self, archive: Path) -> None:
        """`docker load`."""
        self._exchange("POST", "/images/load", archive.read_bytes(), "application/x-tar", {})

    def seconds_to_get(self, path: str) -> float:
        """From the request's first byte to the answer's last."""
        begin = time.perf_counter()
        self._exchange("GET", path, None, "application/json", {})
        return time.perf_counter() - begin

    def answers(self) -> bool:
        try:
            self.get("/info")
        except (OSError, http.client.HTTPException, ApiError):
            self.close()
            return False
        return True

    def close(self) -> None:
        self._connection.close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, kind: str, query: Mapping[str, Any]
    ) -> bytes:
        words = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in query.items()
        }
        target = f"{_VERSION}{path}" + (f"?{urlencode(words)}" if words else "")
        try:
            self._connection.request(method, target, body, {"Content-Type": kind})
            response = self._connection.getresponse()
            content = response.read()
        except BaseException:
            self.close()
            raise
        if response.status >= 400:
            raise ApiError(f"{method} {path}: {content.decode(errors='replace').strip()}")
        return content
