"""Images come and go as archives: loaded all or not at all, saved for any docker to load."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from skep.engine.images import ImageStore
from skep.kit.errors import InvalidArgument, NotFound
from skep.model.image import ImageConfig, ImageHealthcheck
from skep.testing.images import make_image, make_tar, write_archive

from .conftest import EMPTY, Store, byte_stream, file_stream, load_image

CONFIG = ImageConfig(
    user="1000:1000",
    env=("PATH=/bin", "A=b"),
    cmd=("httpd",),
    entrypoint=("/entry",),
    volumes={"/data": {}},
    exposed_ports={"80/tcp": {}},
    labels={"k": "v"},
    stop_signal="SIGINT",
    working_dir="/www",
    healthcheck=ImageHealthcheck(test=("CMD", "true"), interval=1_000_000_000, retries=2),
    shell=("/bin/ash", "-c"),
    on_build=("RUN x",),
)


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def document(*layers: bytes, **fields: Any) -> bytes:
    rootfs = {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]}
    return json.dumps({"os": "linux", "architecture": "amd64", "rootfs": rootfs, **fields}).encode()


async def test_an_archive_brings_its_image_with_its_whole_config(store: Store) -> None:
    image_id = await load_image(
        store, "web:1", config=CONFIG, cmd=("httpd",), files={"www/index.html": b"hi"}
    )
    image = await store.images.resolve("web:1")
    assert (image.id, image.config) == (image_id, CONFIG)
    top, bottom = store.images.layers(image)
    assert (top / "www/index.html").read_bytes() == b"hi"
    assert (bottom / "bin/sh").readlink() == Path("busybox")
    assert store.events == [("load", image_id, "web:1")]


@pytest.mark.parametrize(
    "packer", [["gzip"], ["zstd"], ["xz", "-0"], ["bzip2"]], ids=lambda p: p[0]
)
async def test_an_archive_may_be_packed(store: Store, tmp_path: Path, packer: list[str]) -> None:
    image_id = make_image(tmp_path / "a.tar", "web:1")
    packed = await output_of(*packer, "-c", str(tmp_path / "a.tar"))
    loaded = await store.images.load(byte_stream(packed))
    assert [(image.id, image.names) for image in loaded] == [(image_id, ("web:1",))]


async def test_what_is_saved_can_be_loaded_elsewhere(store: Store, tmp_path: Path) -> None:
    first = await load_image(store, "a:1", files={"f": b"1"})
    second = await load_image(store, "b:2", files={"f": b"2"})
    await store.images.tag("a:1", "r.example/a:x")
    saved = await save(store, tmp_path / "saved.tar", "a:1", "r.example/a:x", "b:2")
    other = ImageStore(tmp_path / "other")
    await other.open()
    loaded = await other.load(file_stream(saved))
    assert [(image.id, image.names) for image in loaded] == [
        (first, ("a:1", "r.example/a:x")),
        (second, ("b:2",)),
    ]
    await other.close()


async def test_a_saved_archive_is_docker_s_and_oci_s(store: Store, tmp_path: Path) -> None:
    image_id = await load_image(store, "a:1")
    saved = await save(store, tmp_path / "saved.tar", "a:1")
    for name in (f"docker-archive:{saved}:a:1", f"oci-archive:{saved}:1"):
        shown = await output_of("skopeo", "inspect", "--raw", "--config", name)
        assert sha256(shown) == image_id


async def test_layers_shared_by_images_are_saved_once(store: Store, tmp_path: Path) -> None:
    await load_image(store, "a:1", files={"f": b"1"})
    await load_image(store, "b:1", files={"f": b"2"})
    saved = await save(store, tmp_path / "saved.tar", "a:1", "b:1")
    with tarfile.open(saved) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert sum(size > 1_000_000 for size in sizes(saved)) == 1


async def test_saving_an_unknown_image_fails_before_the_first_byte(store: Store) -> None:
    with pytest.raises(NotFound, match="No such image: nope:latest"):
        await store.images.save(["nope"])


async def test_an_oci_layout_in_a_tar_is_loaded(store: Store, tmp_path: Path) -> None:
    """With packed layers, an index inside the index, and the name in an annotation."""
    layer = make_tar({"f": b"x"})
    members, manifest = oci_parts(layer, gzip.compress(layer))
    inner = {"schemaVersion": 2, "manifests": [with_platform(manifest)]}
    entry = add_blob(members, json.dumps(inner).encode())
    entry["annotations"] = {"io.containerd.image.name": "docker.io/library/web:3"}
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    (loaded,) = await store.images.load(byte_stream(make_tar(members)))
    assert loaded.names == ("web:3",)
    (path,) = store.images.layers(await store.images.resolve("web:3"))
    assert (path / "f").read_bytes() == b"x"


async def test_an_oci_blob_that_is_not_what_its_digest_says_is_refused(store: Store) -> None:
    layer = make_tar({"f": b"x"})
    members, manifest = oci_parts(layer, gzip.compress(layer))
    members["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode()
    blob = next(name for name, content in members.items() if content[:2] == b"\x1f\x8b")
    members[blob] = gzip.compress(make_tar({"f": b"evil"}))
    with pytest.raises(InvalidArgument, match="layer verification failed for digest"):
        await store.images.load(byte_stream(make_tar(members)))
    assert store.on_disk() == EMPTY


async def test_a_config_full_of_nulls_is_an_image(store: Store) -> None:
    """Go writes null for an empty list, and times to the nanosecond."""
    config = {
        "created": "2026-03-01T10:20:30.123456789+02:00",
        "config": {"Cmd": None, "Env": None, "Labels": None, "Healthcheck": None, "Volumes": None},
        "rootfs": {"type": "layers", "diff_ids": None},
        "history": None,
    }
    entries = [{"Config": "c", "RepoTags": ["empty:1"], "Layers": None}]
    content = manifest_archive(entries, c=json.dumps(config).encode())
    await store.images.load(byte_stream(content))
    image = await store.images.resolve("empty:1")
    assert (image.config, image.diff_ids, image.size_bytes) == (ImageConfig(), (), 0)
    assert await store.images.history("empty:1") == []


GOOD = make_tar({"f": b"good"})


def docker_archive(folder: Path, config: bytes, *layers: bytes) -> bytes:
    path = folder / "crafted.tar"
    write_archive(path, "bad:1", config, layers)
    return path.read_bytes()


def manifest_archive(entries: object, **members: bytes) -> bytes:
    return make_tar({"manifest.json": json.dumps(entries).encode(), **members})


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no archive at all" * 100, id="text"),
        pytest.param(gzip.compress(b"text"), id="packed text"),
        pytest.param(b"\x1f\x8b" + bytes(50), id="broken gzip"),
        pytest.param(make_tar({"readme": b"x"}), id="no manifest"),
        pytest.param(make_tar({"manifest.json": b"{"}), id="manifest is no JSON"),
        pytest.param(manifest_archive([{"Config": 3}]), id="manifest of wrong types"),
        pytest.param(manifest_archive([{"Config": "c", "Layers": []}]), id="config is missing"),
        pytest.param(manifest_archive([{"Config": "../../etc/passwd"}]), id="config outside"),
        pytest.param(manifest_archive([{"Config": "c"}], c=b"[]"), id="config is no object"),
        pytest.param(
            manifest_archive([{"Config": "c"}], c=b'{"rootfs":{"diff_ids":["sha256:../x"]}}'),
            id="layer digest is a path",
        ),
        pytest.param(
            manifest_archive([{"Config": "c", "Layers": ["l"]}], c=document(GOOD)),
            id="layer is missing",
        ),
        pytest.param(
            manifest_archive([{"Config": "c", "Layers": []}], c=document(GOOD)), id="too few layers"
        ),
        pytest.param(
            manifest_archive([{"Config": "c", "RepoTags": ["Bad Name"]}], c=document()),
            id="impossible name",
        ),
        pytest.param(make_tar({"index.json": b'{"schemaVersion":2}'}), id="index of nothing"),
    ],
)
async def test_a_corrupt_archive_gets_one_clear_error_and_leaves_nothing(
    store: Store, content: bytes
) -> None:
    with pytest.raises(InvalidArgument):
        await store.images.load(byte_stream(content))
    assert store.on_disk() == EMPTY
    assert await store.images.summaries() == []


async def test_a_layer_that_is_another_layer_is_refused(store: Store, tmp_path: Path) -> None:
    content = docker_archive(tmp_path, document(GOOD), make_tar({"f": b"evil"}))
    with pytest.raises(InvalidArgument, match="layer verification failed"):
        await store.images.load(byte_stream(content))
    assert store.on_disk() == EMPTY


async def test_one_bad_layer_takes_its_good_neighbours_along(store: Store, tmp_path: Path) -> None:
    hostile = make_tar({"../escape": b"x"})
    content = docker_archive(tmp_path, document(GOOD, hostile), GOOD, hostile)
    with pytest.raises(InvalidArgument, match="corrupt layer"):
        await store.images.load(byte_stream(content))
    assert store.on_disk() == EMPTY


async def test_a_bad_archive_leaves_other_images_alone(store: Store, tmp_path: Path) -> None:
    await load_image(store, "good:1")
    before = store.on_disk()
    with pytest.raises(InvalidArgument):
        await store.images.load(byte_stream(docker_archive(tmp_path, document(GOOD), b"x")))
    assert store.on_disk() == before


async def test_a_root_filesystem_becomes_an_image(store: Store) -> None:
    image_id = await store.images.import_(
        byte_stream(gzip.compress(make_tar({"bin/x": b"#!"}))),
        "mine:1",
        changes=[
            'CMD ["/bin/x", "-v"]',
            "ENTRYPOINT run it",
            'ENV A=1 B="2 3"',
            "ENV A 4",
            "EXPOSE 80 53/udp",
            "LABEL k=v",
            "USER bee",
            "WORKDIR /w",
            "VOLUME /v",
            "STOPSIGNAL SIGQUIT",
            "HEALTHCHECK --interval=5s --retries=3 CMD curl x",
        ],
        message="from afar",
    )
    image = await store.images.resolve("mine:1")
    assert image.id == image_id
    assert image.config == ImageConfig(
        cmd=("/bin/x", "-v"),
        entrypoint=("/bin/sh", "-c", "run it"),
        env=("A=4", "B=2 3"),
        exposed_ports={"80/tcp": {}, "53/udp": {}},
        labels={"k": "v"},
        user="bee",
        working_dir="/w",
        volumes={"/v": {}},
        stop_signal="SIGQUIT",
        healthcheck=ImageHealthcheck(
            test=("CMD-SHELL", "curl x"), interval=5_000_000_000, retries=3
        ),
    )
    (path,) = store.images.layers(image)
    assert (path / "bin/x").read_bytes() == b"#!"
    assert [row.comment for row in await store.images.history("mine:1")] == ["from afar"]


@pytest.mark.parametrize(
    "change", ["RUN x", "CMD", "ENV =x", "EXPOSE web", 'LABEL a="b', "HEALTHCHECK x"]
)
async def test_a_change_that_makes_no_sense_is_refused(store: Store, change: str) -> None:
    with pytest.raises(InvalidArgument):
        await store.images.import_(byte_stream(GOOD), "mine:1", changes=[change])
    assert store.on_disk() == EMPTY


async def test_importing_what_is_no_tar_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="corrupt layer"):
        await store.images.import_(byte_stream(b"x" * 2000), "mine:1")
    assert store.on_disk() == EMPTY


async def output_of(*command: str) -> bytes:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


async def save(store: Store, path: Path, *names: str) -> Path:
    with path.open("wb") as file:
        async for chunk in await store.images.save(names):
            file.write(chunk)
    return path


def sizes(path: Path) -> list[int]:
    with tarfile.open(path) as archive:
        return [member.size for member in archive]


def add_blob(members: dict[str, bytes], content: bytes) -> dict[str, Any]:
    digest = sha256(content)
    members[f"blobs/{digest.replace(':', '/')}"] = content
    return {"digest": digest, "size": len(content)}


def oci_parts(layer: bytes, packed: bytes) -> tuple[dict[str, bytes], dict[str, Any]]:
    members: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    manifest = {
        "schemaVersion": 2,
        "config": add_blob(members, document(layer)),
        "layers": [add_blob(members, packed)],
    }
    return members, add_blob(members, json.dumps(manifest).encode())


def with_platform(descriptor: dict[str, Any]) -> dict[str, Any]:
    return {**descriptor, "platform": {"os": "linux", "architecture": "amd64"}}
