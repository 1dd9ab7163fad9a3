"""A real registry (Debian's docker-registry) on a loopback port, and images put into it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

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
def serve_registry(
    folder: Path, settings: dict[str, Any] | None = None, credentials: str = ""
) -> Iterator[Registry]:
    """A registry that keeps its things in `folder`, in the network namespace of the thread.

    settings      more of its config.yml.
    credentials   "user:password" that `settings` lets in.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        **(settings or {}),
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
            yield Registry(address, credentials)
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
