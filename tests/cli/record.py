"""Records what dockerd answers and what docker's own client makes of it, for test_transcripts.py.

    python tests/cli/record.py unix:///path/to/docker.sock > tests/cli/recorded.json

For each command line: every call that skep makes, with dockerd's answer; then docker's output and
exit code (the truth) when it is given the same answers. The daemon should have a swarm with a
service `web`, a container `c1` with published ports and a volume, a secret `s1`, a config `conf1`,
an image `bb:1`.
Only commands that change nothing are recorded, so that one set of answers serves all.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
from datetime import UTC, datetime
from typing import Any

from skep.cli.client.wire import Response, Wire

CASES = """
ps
ps -a
ps -aq
ps -as
ps --no-trunc
ps --format 'table {{.Names}}\\t{{.Label "a"}}\\t{{upper .State}}'
ps --format '{{.Names}}: {{.Ports}}'
images
images -q
images --digests
images --no-trunc
network ls
network ls -q
network ls --no-trunc
volume ls
volume ls -q
service ls
service ls -q
service ls --format '{{.Name}} {{.Replicas}}'
service ps web
service ps -q web
service ps --no-trunc web
service ps --format '{{.Name}} {{.Node}}' web
service ps nosuch
service inspect web
service inspect --pretty web
service inspect -f '{{.Spec.Name}} {{.Version.Index}}' web
service inspect nosuch
service logs nosuch
service scale nosuch=2
service create --mode global --replicas 2 bb:1
service create -d --secret nosuch bb:1
service create -d --network nosuch bb:1
node ls
node ls -q
node ps
node inspect self
node inspect --pretty self
node update --availability drain nosuch
secret ls
secret inspect s1
secret inspect --pretty s1
secret inspect nosuch
config ls
config inspect conf1
config inspect --pretty conf1
inspect c1
inspect nosuch c1
inspect bb:1
inspect -f '{{.State.Status}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' c1
inspect -f '{{json .HostConfig.PortBindings}}' c1
image inspect bb:1
network inspect bridge
volume inspect vol1
port c1
port c1 80
port c1 81
logs nosuch
top c1
stop nosuch
kill nosuch
wait nosuch
rm nosuch nosuch2
rmi nosuch
exec nosuch ls
attach nosuch
update c1
system df
info -f '{{.Swarm.NodeID}}'
version -f '{{.Server.Version}}'
swarm join-token -q worker
swarm join-token worker
swarm unlock-key
swarm unlock
swarm ca
swarm leave
container prune
image prune
network prune
ps extra
ps --foo
ps -Z
ps -n
ps -f foo
service
service foo
run
run -p 99999:80 bb:1
run -p abc bb:1
run --rm --restart always bb:1
run --env-file /nonexistent/env bb:1
run -e =x bb:1
run --ulimit foo=1 bb:1
"""
_API = "1.41"


def main(docker_host: str) -> None:
    target = docker_host.removeprefix("unix://")
    calls: dict[str, Any] = {}
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/proxy.sock"
        _serve(path, target, calls)
        proxy = f"unix://{path}"
        for line in CASES.strip().splitlines():
            words = shlex.split(line)
            _run([sys.executable, "-m", "skep", *words], {"SKEP_HOST": proxy})
            wanted = set(calls)
            now = datetime.now(UTC).isoformat()
            truth = _run(["docker", *words], {"DOCKER_HOST": proxy})
            for extra in set(calls) - wanted:
                del calls[extra]
            cases.append({"words": words, "now": now, **truth})
    recorded = {"cases": cases, "calls": calls}
    sys.stdout.write(json.dumps(recorded, indent=0, ensure_ascii=False) + "\n")


def _run(words: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        words,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return {"out": done.stdout, "err": done.stderr, "code": done.returncode}


def _serve(path: str, target: str, calls: dict[str, Any]) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    threading.Thread(target=_accept, args=(listener, target, calls), daemon=True).start()


def _accept(listener: socket.socket, target: str, calls: dict[str, Any]) -> None:
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=_relay, args=(Wire(peer), target, calls), daemon=True).start()


def _relay(wire: Wire, target: str, calls: dict[str, Any]) -> None:
    """One connection: a request that is new goes to dockerd, on a connection of its own."""
    while True:
        try:
            method, path, _ = wire.line().decode().split(" ")
        except Exception:
            return
        headers = _read_headers(wire)
        body = _read_body(wire, int(headers.get("content-length", 0)))
        key = call_key(method, path)
        if key not in calls:
            calls[key] = _ask(target, method, path, headers, body)
        status, content = calls[key]["status"], _content(calls[key])
        head = f"Api-Version: {_API}\r\nContent-Type: application/json\r\n"
        length = f"Content-Length: {len(content)}\r\n\r\n"
        wire.socket.sendall(f"HTTP/1.1 {status} X\r\n{head}{length}".encode() + content)


def _ask(
    target: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> dict[str, Any]:
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    upstream.connect(target)
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    upstream.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    response = Response(Wire(upstream), method)
    content = response.read()
    upstream.close()
    return _answer(response, content)


def _content(answer: dict[str, Any]) -> bytes:
    if "latin1" in answer:
        return str(answer["latin1"]).encode("latin-1")
    return json.dumps(answer["json"], separators=(",", ":"), ensure_ascii=False).encode()


def call_key(method: str, path: str) -> str:
    """`GET /services?status=true`, without the API version."""
    parts = path.split("/", 2)
    if len(parts) > 2 and parts[1].startswith("v1."):
        path = "/" + parts[2]
    return f"{method} {path}"


def _answer(response: Response, content: bytes) -> dict[str, Any]:
    answer: dict[str, Any] = {"status": response.status}
    try:
        answer["json"] = json.loads(content)
    except ValueError:
        answer["latin1"] = content.decode("latin-1")
    return answer


def _read_headers(wire: Wire) -> dict[str, str]:
    headers = {}
    while line := wire.line():
        name, _, text = line.decode().partition(":")
        headers[name.lower()] = text.strip()
    return headers


def _read_body(wire: Wire, size: int) -> bytes:
    body = b""
    while len(body) < size:
        body += wire.some(size - len(body))
    return body


if __name__ == "__main__":
    main(sys.argv[1])
