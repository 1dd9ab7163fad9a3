"""A daemon of paper: a unix socket that gives the answers it was handed, and keeps the calls."""

from __future__ import annotations

import io
import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skep.cli.app import run
from skep.cli.client.wire import Wire
from skep.cli.session import Session

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """What a call is answered with: JSON (or bytes), or a function that takes the connection."""

    json: Any = None
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    takes_over: Callable[[socket.socket], None] | None = None


@dataclass
class Call:
    """What was asked: `key` is `GET /services?status=true`, without the API version."""

    key: str
    body: Any
    headers: dict[str, str]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


class PaperDaemon:
    """Answers by call key; several answers to one key are given in turn, the last for ever."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[Call] = []
        self.answers: dict[str, list[Answer]] = {}
        self.answer("HEAD /_ping", Answer(headers={"Api-Version": "1.50"}))
        self._server = _Server(str(path), _Handler)
        self._server.daemon_of_paper = self
        threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"unix://{self.path}"

    def answer(self, key: str, *answers: Answer) -> None:
        self.answers[key] = list(answers)

    def asked(self, prefix: str) -> list[Call]:
        return [call for call in self.calls if call.key.startswith(prefix)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_answer(self, call: Call) -> Answer:
        self.calls.append(call)
        waiting = self.answers.get(call.key)
        if not waiting:
            return Answer({"message": f"nobody taught me to answer {call.key}"}, status=500)
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    daemon_of_paper: PaperDaemon


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        wire = Wire(self.request)
        try:
            while self._one(wire):
                pass
        except Exception:
            return  # The client hung up.

    def _one(self, wire: Wire) -> bool:
        method, target, _ = wire.line().decode().split(" ")
        headers = {}
        while line := wire.line():
            name, _, text = line.decode().partition(":")
            headers[name.lower()] = text.strip()
        content = _body(wire, headers)
        parts = target.split("/", 2)
        path = "/" + parts[2] if parts[1].startswith("v1.") else target
        parsed: Any = content
        if headers.get("content-type") == "application/json" and content:
            parsed = json.loads(content)
        answer = self.server.daemon_of_paper.next_answer(Call(f"{method} {path}", parsed, headers))
        _send(self.request, answer, bodyless=method == "HEAD")
        if answer.takes_over:
            answer.takes_over(self.request)
            return False
        return True


def _body(wire: Wire, headers: dict[str, str]) -> bytes:
    content = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(wire.line(), 16):
            content += _exactly(wire, size)
            wire.line()
        wire.line()
        return content
    return _exactly(wire, int(headers.get("content-length", 0)))


def _exactly(wire: Wire, size: int) -> bytes:
    content = b""
    while len(content) < size:
        content += wire.some(size - len(content))
    return content


def _send(connection: socket.socket, answer: Answer, *, bodyless: bool) -> None:
    body = answer.body
    if body is None:
        body = b"" if answer.json is None else json.dumps(answer.json).encode()
    headers = dict(answer.headers)
    if answer.takes_over:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
        body = b""
    else:
        headers["Content-Length"] = str(0 if bodyless else len(body))
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    status = 101 if answer.takes_over else answer.status
    head = f"HTTP/1.1 {status} X\r\n{head}\r\n"
    connection.sendall(head.encode() + (b"" if bodyless else body))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[PaperDaemon]:
    paper = PaperDaemon(tmp_path / "skep.sock")
    yield paper
    paper.close()


@pytest.fixture
def skep(
    daemon: PaperDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Result]:
    """`skep("ps", "-a", stdin="…")`: run the program in this process against `daemon`."""

    def call(*words: str, stdin: str = "", now: datetime = NOW) -> Result:
        out, err = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
            patch.setenv("SKEP_HOST", daemon.host)
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            patch.setattr(sys, "stdout", shown := io.TextIOWrapper(out, write_through=True))
            patch.setattr(sys, "stderr", said := io.TextIOWrapper(err, write_through=True))
            patch.setattr(Session, "now", property(lambda _: now))
            code = run(list(words))
        shown.flush()
        said.flush()
        return Result(code, out.getvalue().decode(), err.getvalue().decode())

    return call


@pytest.fixture
def answer() -> Callable[[dict[str, Any]], Answer]:
    """An Answer from its form in recorded.json."""

    def make(recorded: dict[str, Any]) -> Answer:
        headers = {"Api-Version": "1.41"}
        body = recorded["latin1"].encode("latin-1") if "latin1" in recorded else None
        return Answer(recorded.get("json"), recorded["status"], body, headers)

    return make


@pytest.fixture
def program(daemon: PaperDaemon, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """Command line and environment of the program as a process of its own."""
    environment = {
        **os.environ,
        "SKEP_HOST": daemon.host,
        "DOCKER_CONFIG": str(tmp_path / "config"),
    }
    return [sys.executable, "-m", "skep"], environment
