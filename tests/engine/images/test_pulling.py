"""Pulls from a real registry: docker's lines, docker's errors, each layer once."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path

import msgspec
import pytest

from skep.engine.images import RegistryError
from skep.engine.images.manifests import OCI_INDEX, OCI_MANIFEST, host_platform
from skep.kit.errors import Forbidden, InvalidArgument, NotFound, SkepError, Unauthenticated
from skep.model.image import AuthConfig, ImageConfig, ImageHealthcheck, Platform, Progress
from skep.testing.images import make_image, make_tar
from skep.testing.registry import PASSWORD, USER, Registry

from .conftest import EMPTY, Store

GOOD_AUTH = AuthConfig(username=USER, password=PASSWORD)


async def pull(store: Store, name: str, auth: AuthConfig | None = None) -> list[Progress]:
    return [line async for line in store.images.pull(name, auth)]


async def push(registry: Registry, folder: Path, name: str, text: str = "hi") -> str:
    """An image whose upper layer holds `text`, pushed; its id."""
    config = ImageConfig(healthcheck=ImageHealthcheck(test=("CMD", "true")), labels={"k": "v"})
    image_id = make_image(folder / "push.tar", name, files={"hi": text.encode()}, config=config)
    await asyncio.to_thread(registry.push, folder / "push.tar", name)
    return image_id


def statuses(lines: list[Progress]) -> list[str]:
    """What is printed, without byte counts, digests and the layers' ids."""
    words = [line.status for line in lines if line.detail is None]
    return [word.partition(" for ")[0] if "Status" in word else word for word in words]


async def test_a_pull_prints_docker_s_lines_and_keeps_the_image_id(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    """The id is the digest of the config as pushed: skopeo's conversions must not touch it."""
    image_id = await push(registry, tmp_path, "team/web:1")
    name = f"{registry.address}/team/web:1"
    lines = await pull(store, name)
    image = await store.images.resolve(name)
    assert (image.id, image.config.healthcheck) == (
        image_id,
        ImageHealthcheck(test=("CMD", "true")),
    )
    assert (lines[0].id, lines[0].status) == ("1", "Pulling from team/web")
    assert sorted(statuses(lines)[1:-2]) == sorted(
        ["Pulling fs layer", "Download complete", "Extracting", "Pull complete"] * 2
    )
    digest = (await store.images.inspect(name)).repo_digests[0].partition("@")[2]
    assert [line.status for line in lines[-2:]] == [
        f"Digest: {digest}",
        f"Status: Downloaded newer image for {name}",
    ]
    assert store.on_disk()["tmp"] == []


async def test_a_second_pull_finds_it_up_to_date(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    await push(registry, tmp_path, "again:1")
    name = f"{registry.address}/again:1"
    await pull(store, name)
    assert statuses(await pull(store, name))[-1] == "Status: Image is up to date"


async def test_layers_that_are_here_are_not_fetched_again(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    await push(registry, tmp_path, "shared:1", "one")
    await push(registry, tmp_path, "shared:2", "two")
    await pull(store, f"{registry.address}/shared:1")
    lines = await pull(store, f"{registry.address}/shared:2")
    assert statuses(lines).count("Already exists") == 1
    assert statuses(lines).count("Pull complete") == 1


async def test_a_moved_tag_leaves_the_old_image_without_one(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    old = await push(registry, tmp_path, "moved:1", "old")
    name = f"{registry.address}/moved:1"
    await pull(store, name)
    new = await push(registry, tmp_path, "moved:1", "new")
    await pull(store, name)
    tags = {row.id: row.repo_tags for row in await store.images.summaries()}
    assert tags == {new: (name,), old: ()}


async def test_an_image_is_pulled_and_found_by_digest(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    image_id = await push(registry, tmp_path, "pinned:1")
    repository = f"{registry.address}/pinned"
    found = await store.images.distribution_inspect(f"{repository}:1")
    pinned = f"{repository}@{found.descriptor.digest}"
    await pull(store, pinned)
    assert (await store.images.resolve(pinned)).id == image_id
    assert (
        await store.images.resolve(f"{repository}:any@{found.descriptor.digest}")
    ).id == image_id
    assert (await store.images.inspect(pinned)).repo_tags == ()


async def test_a_tag_beside_a_digest_says_nothing(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    """As docker's client pins a service's image; the tag may have moved on, or be gone."""
    image_id = await push(registry, tmp_path, "pinned:1")
    name = f"{registry.address}/pinned"
    digest = (await store.images.distribution_inspect(f"{name}:1", None)).descriptor.digest
    await pull(store, f"{name}:9@{digest}")
    assert (await store.images.resolve(f"{name}:9@{digest}")).id == image_id
    assert (await store.images.inspect(image_id)).repo_tags == ()
    found = await store.images.distribution_inspect(f"{name}:9@{digest}", None)
    assert found.descriptor.digest == digest


async def test_fifty_pulls_of_one_image_are_one_transfer(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    await push(registry, tmp_path, "crowd:1")
    name = f"{registry.address}/crowd:1"
    runs = await asyncio.gather(*(pull(store, name) for _ in range(50)))
    endings = {tuple(statuses(lines))[-1] for lines in runs}
    assert endings == {"Status: Downloaded newer image"}
    assert [event[0] for event in store.events] == ["pull"]


async def test_leaving_a_pull_ends_its_transfer_and_leaves_nothing(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    await push(registry, tmp_path, "left:1")
    lines = store.images.pull(f"{registry.address}/left:1")
    async for _ in lines:
        break
    await lines.aclose()  # type: ignore[attr-defined]
    assert store.on_disk()["tmp"] == []
    assert await store.images.summaries() == []


async def test_leaving_a_shared_pull_leaves_the_others_to_it(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    await push(registry, tmp_path, "mates:1")
    name = f"{registry.address}/mates:1"
    deserter = store.images.pull(name)
    await anext(deserter)
    stayer = asyncio.create_task(pull(store, name))
    await asyncio.sleep(0)
    await deserter.aclose()  # type: ignore[attr-defined]
    assert statuses(await stayer)[-1] == "Status: Downloaded newer image"


async def test_a_manifest_list_gives_this_machine_s_image(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    mine = host_platform()
    other = Platform("s390x", "linux")
    ids = make_layout(tmp_path / "layout", {mine: b"mine", other: b"other"})
    await asyncio.to_thread(registry.push_layout, tmp_path / "layout", "multi:1")
    name = f"{registry.address}/multi:1"
    await pull(store, name)
    assert (await store.images.resolve(name)).id == ids[mine]
    found = await store.images.distribution_inspect(name)
    assert found.descriptor.media_type == OCI_INDEX
    assert set(found.platforms) == {mine, other}
    async for _ in store.images.pull(name, platform=other):
        pass
    assert (await store.images.resolve(name)).id == ids[other]
    with pytest.raises(NotFound) as refused:
        async for _ in store.images.pull(name, platform=Platform("riscv64", "linux")):
            pass
    assert str(refused.value) == (
        "no matching manifest for linux/riscv64 in the manifest list entries"
    )


async def test_a_private_registry_takes_the_right_credentials(
    store: Store, locked_registry: Registry, tmp_path: Path
) -> None:
    await push(locked_registry, tmp_path, "private:1")
    name = f"{locked_registry.address}/private:1"
    await pull(store, name, GOOD_AUTH)
    digest = (await store.images.distribution_inspect(name, GOOD_AUTH)).descriptor.digest
    assert (await store.images.inspect(name)).repo_digests[0].endswith(digest)


@pytest.mark.parametrize("auth", [None, AuthConfig(username=USER, password="wrong")])
async def test_a_private_registry_refuses_others(
    store: Store, locked_registry: Registry, auth: AuthConfig | None
) -> None:
    with pytest.raises(Forbidden, match="unauthorized: authentication required"):
        await pull(store, f"{locked_registry.address}/private:1", auth)


async def test_credentials_are_on_no_command_line_and_in_no_file(
    store: Store, locked_registry: Registry, tmp_path: Path
) -> None:
    await push(locked_registry, tmp_path, "quiet:1")
    seen: list[bytes] = []
    watching = asyncio.create_task(watch_processes(seen))
    await pull(store, f"{locked_registry.address}/quiet:1", GOOD_AUTH)
    watching.cancel()
    assert any(b"skopeo" in line for line in seen)
    assert not any(PASSWORD.encode() in line for line in seen)
    files = [path for path in store.root.rglob("*") if path.is_file() and "layers" not in str(path)]
    assert not any(PASSWORD.encode() in path.read_bytes() for path in files)


@pytest.mark.parametrize("scheme", ["", "http://"])
async def test_a_login_with_the_right_credentials_succeeds(
    store: Store, locked_registry: Registry, scheme: str
) -> None:
    address = f"{scheme}{locked_registry.address}"
    plain = AuthConfig(username=USER, password=PASSWORD, server_address=address)
    encoded = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    for auth in (plain, AuthConfig(auth=encoded, server_address=address)):
        await store.images.login(auth)
    assert store.on_disk() == EMPTY


async def test_a_login_says_why_it_failed(store: Store, locked_registry: Registry) -> None:
    async def fails(error: type[SkepError], match: str, **words: str) -> None:
        with pytest.raises(error, match=match):
            await store.images.login(AuthConfig(**words))

    there = locked_registry.address
    await fails(
        Unauthenticated, "incorrect username or password",
        username=USER, password="wax", server_address=there,
    )  # fmt: skip
    await fails(
        SkepError, "connection refused", username=USER, password="x", server_address="127.0.0.1:1"
    )
    await fails(InvalidArgument, "needs a user name", username=USER, server_address=there)
    await fails(InvalidArgument, "not base64", auth="x", server_address=there)


async def watch_processes(seen: list[bytes]) -> None:
    """Collect the command lines of this test's children, again and again."""
    while True:
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in children.read_text().split():
                try:
                    seen.append(Path(f"/proc/{pid}/cmdline").read_bytes())
                except OSError:
                    continue
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("tag", ["there:2", "nowhere:1"])
async def test_what_the_registry_does_not_have_is_not_found(
    store: Store, registry: Registry, tmp_path: Path, tag: str
) -> None:
    await push(registry, tmp_path, "there:1")
    with pytest.raises(NotFound) as refused:
        await pull(store, f"{registry.address}/{tag}")
    assert str(refused.value) == (
        f"manifest for {registry.address}/{tag} not found: manifest unknown: manifest unknown"
    )
    with pytest.raises(NotFound):
        await store.images.distribution_inspect(f"{registry.address}/{tag}")


async def test_a_registry_that_is_not_there_is_named_with_the_reason(store: Store) -> None:
    with pytest.raises(RegistryError) as refused:
        await pull(store, "127.0.0.1:1/x:1")
    assert str(refused.value) == (
        'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
    )


@pytest.mark.parametrize("name", ["", "Bad", "x:y:z", "http://127.0.0.1/x"])
async def test_a_malformed_name_is_refused_without_asking_anybody(store: Store, name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid reference format"):
        await pull(store, name)


async def test_a_layer_that_is_not_what_the_config_says_is_refused(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    """The registry's bytes match the manifest, but not the image: nothing of it stays."""
    make_layout(tmp_path / "layout", {host_platform(): b"x"}, lie=True)
    await asyncio.to_thread(registry.push_layout, tmp_path / "layout", "liar:1")
    with pytest.raises(InvalidArgument, match="layer verification failed"):
        await pull(store, f"{registry.address}/liar:1")
    assert store.on_disk() == EMPTY


async def test_a_failed_pull_does_not_stand_in_the_way_of_the_next(
    store: Store, registry: Registry, tmp_path: Path
) -> None:
    name = f"{registry.address}/late:1"
    with pytest.raises(SkepError):
        await pull(store, name)
    await push(registry, tmp_path, "late:1")
    assert statuses(await pull(store, name))[-1] == "Status: Downloaded newer image"


def make_layout(
    folder: Path, contents: dict[Platform, bytes], *, lie: bool = False
) -> dict[Platform, str]:
    """An OCI layout with an image for each platform; with `lie`, of other layers than it says."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(content: bytes) -> dict[str, object]:
        value = hashlib.sha256(content).hexdigest()
        (blobs / value).write_bytes(content)
        return {"digest": f"sha256:{value}", "size": len(content)}

    ids, entries = {}, []
    for platform, content in contents.items():
        layer = make_tar({"f": content})
        diff_id = hashlib.sha256(make_tar({}) if lie else layer).hexdigest()
        rootfs = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
        config = {"os": platform.os, "architecture": platform.architecture, "rootfs": rootfs}
        described = add(json.dumps(config).encode())
        ids[platform] = str(described["digest"])
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **described},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **add(layer)}],
        }
        entry = {"mediaType": OCI_MANIFEST, **add(json.dumps(manifest).encode())}
        entries.append({**entry, "platform": msgspec.to_builtins(platform)})
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    top = {"mediaType": OCI_INDEX, **add(json.dumps(index).encode())}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return ids
