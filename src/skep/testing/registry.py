"""A real registry (Debian's docker-registry) on a loopback port, and images put into it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

USER, PASSWORD = "bee", "honey"
# bcrypt of PASSWORD, the only kind of hash that the registry takes.
_HTPASSWD = "bee:$2b$04$N4ULMLj/tlMLJXAJC4nGxeBc/d4L1wxAFxVmyXA6AEocFHRs7xkh.\n"
_PATIENCE_S = 10.0


class Registry(NamedTuple):
    """A running docker-registry, e.g. `127.0.0.1:40001`."""

    address: str
    credentials: str = ""

    def push(self, archive: Path, name: str) -> None:
        """Put a `docker load`-able archive there as `name` (`repo:tag`)."""
        options = [f"--dest-creds={self.credentials}"] if self.credentials else []
        self._skopeo("copy", *options, "--dest-tls-verify=false", f"docker-archive:{archive}", name)

    def push_layout(self, layout: Path, name: str) -> None:
        """Put an OCI layout there, with all its platforms."""
        self._skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout}", name)

    def _skopeo(self, *arguments: str) -> None:
        *options, name = arguments
        subprocess.run(
            ["skopeo", "--insecure-policy", *options, f"docker://{self.address}/{name}"],
            check=True, capture_output=True, timeout=30,
        )  # fmt: skip


@contextlib.contextmanager
def serve_registry(folder: Path, *, locked: bool = False) -> Iterator[Registry]:
    """A registry that keeps its things in `folder`, in the network namespace of the thread.

    `locked`: for USER with PASSWORD only.
    """
    (folder / "htpasswd").write_text(_HTPASSWD)
    htpasswd = {"realm": "hive", "path": str(folder / "htpasswd")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        **({"auth": {"htpasswd": htpasswd}} if locked else {}),
    }
    (folder / "config.yml").write_bytes(msgspec.json.encode(config))  # JSON is YAML
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            ["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
        ) as server,
    ):
        try:
            _await_answer(address)
            yield Registry(address, f"{USER}:{PASSWORD}" if locked else "")
        finally:
            server.kill()


def _await_answer(address: str) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        with socket.socket() as caller:
            if caller.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"the registry did not come up at {address}")
