"""A real store in a folder of the test's own, and a real registry on a loopback port."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from skep.engine.images import ImageStore, ImageUser
from skep.testing.images import make_image

USER, PASSWORD = "bee", "honey"
# bcrypt of PASSWORD, the only kind of hash that the registry takes.
HTPASSWD = "bee:$2b$04$N4ULMLj/tlMLJXAJC4nGxeBc/d4L1wxAFxVmyXA6AEocFHRs7xkh.\n"


class Store(NamedTuple):
    """A store with what it was told: `users` can be filled, `events` are recorded."""

    images: ImageStore
    root: Path
    users: list[ImageUser]
    events: list[tuple[str, str, str]]

    def on_disk(self) -> dict[str, list[str]]:
        """Names in each of the store's folders."""
        folders = ("images", "l", "layers", "tmp")
        return {name: sorted(p.name for p in (self.root / name).iterdir()) for name in folders}


EMPTY: dict[str, list[str]] = {"images": [], "l": [], "layers": [], "tmp": []}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    users: list[ImageUser] = []
    events: list[tuple[str, str, str]] = []
    root = tmp_path / "store"
    images = ImageStore(root, users=lambda: users, on_event=lambda *event: events.append(event))
    await images.open()
    yield Store(images, root, users, events)
    await images.close()


async def file_stream(path: Path) -> AsyncIterator[bytes]:
    """A file in small pieces, as an upload comes."""
    content = await asyncio.to_thread(path.read_bytes)
    for start in range(0, len(content), 1 << 16):
        yield content[start : start + (1 << 16)]


async def byte_stream(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def load_image(store: Store, name: str, **options: Any) -> str:
    """Make a small image and load it; its id."""
    path = store.root.parent / "made.tar"
    image_id = make_image(path, name, **options)
    await store.images.load(file_stream(path))
    return image_id


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


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that anybody may use."""
    yield from _serve(tmp_path_factory.mktemp("registry"), {}, "")


@pytest.fixture(scope="session")
def locked_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for USER with PASSWORD only."""
    folder = tmp_path_factory.mktemp("locked-registry")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "hive", "path": str(folder / "htpasswd")}}
    yield from _serve(folder, {"auth": auth}, f"{USER}:{PASSWORD}")


def _serve(folder: Path, extra: dict[str, object], credentials: str) -> Iterator[Registry]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
        **extra,
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
    for _ in range(200):
        with socket.socket() as caller:
            if caller.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"the registry did not come up at {address}")
