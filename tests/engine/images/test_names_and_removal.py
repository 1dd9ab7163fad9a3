"""Images are found by name, digest and id; names go one by one, the image with the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.engine.images import ImageStore, ImageUser
from skep.kit.errors import Conflict, InvalidArgument, NotFound
from skep.model.image import ImageDeletion

from .conftest import EMPTY, Store, load_image


def untagged(*names: str) -> list[ImageDeletion]:
    return [ImageDeletion(untagged=name) for name in names]


async def test_an_image_is_found_by_name_id_and_prefix(store: Store) -> None:
    image_id = await load_image(store, "web:1")
    await store.images.tag("web:1", "web")
    names = ["web:1", "web", "docker.io/library/web:1", image_id, image_id[7:], image_id[7:19]]
    names.append(image_id[:12])
    found = {(await store.images.resolve(name)).id for name in names}
    assert found == {image_id}


@pytest.mark.parametrize(
    ("name", "shown"),
    [("web", "web:latest"), ("web:2", "web:2"), ("f" * 64, "f" * 64), ("r.io/a", "r.io/a:latest")],
)
async def test_an_unknown_name_is_shown_as_it_was_understood(
    store: Store, name: str, shown: str
) -> None:
    with pytest.raises(NotFound) as refused:
        await store.images.resolve(name)
    assert str(refused.value) == f"No such image: {shown}"


async def test_a_prefix_of_two_ids_is_refused(store: Store) -> None:
    ids = [await load_image(store, f"x:{n}", files={"n": str(n).encode()}) for n in range(17)]
    first_digits = [image_id[7] for image_id in ids]
    doubled = next(digit for digit in first_digits if first_digits.count(digit) > 1)
    with pytest.raises(InvalidArgument, match="is ambiguous"):
        await store.images.resolve(doubled)


async def test_names_survive_a_restart(store: Store) -> None:
    image_id = await load_image(store, "web:1", labels={"a": "b"})
    before = await store.images.summaries()
    again = ImageStore(store.root)
    await again.open()
    assert (await again.resolve("web:1")).id == image_id
    assert await again.summaries() == before
    assert again.layers(await again.resolve("web:1")) == store.images.layers(
        await store.images.resolve("web:1")
    )
    await again.close()


async def test_the_last_name_takes_image_and_layers_along(store: Store) -> None:
    image_id = await load_image(store, "web:1")
    await store.images.tag("web:1", "other:2")
    assert await store.images.remove("web:1") == untagged("web:1")
    deletions = await store.images.remove("other:2")
    assert deletions[:2] == [*untagged("other:2"), ImageDeletion(deleted=image_id)]
    assert len(deletions) == 4
    assert store.on_disk() == EMPTY


async def test_layers_that_another_image_has_stay(store: Store) -> None:
    await load_image(store, "a:1", files={"f": b"1"})
    await load_image(store, "b:1", files={"f": b"2"})
    await store.images.remove("a:1")
    assert [path.exists() for path in store.images.layers(await store.images.resolve("b:1"))] == [
        True,
        True,
    ]
    assert len(store.on_disk()["layers"]) == 2


async def test_removing_by_id_takes_every_tag_of_one_repository_only_by_force(
    store: Store,
) -> None:
    image_id = await load_image(store, "web:1")
    await store.images.tag("web:1", "other:1")
    with pytest.raises(Conflict) as refused:
        await store.images.remove(image_id)
    assert str(refused.value) == (
        f"conflict: unable to delete {image_id[7:19]} (must be forced) - "
        "image is referenced in multiple repositories"
    )
    deletions = await store.images.remove(image_id, force=True)
    assert deletions[:2] == untagged("other:1", "web:1")
    assert store.on_disk() == EMPTY


@pytest.mark.parametrize("running", [True, False])
async def test_the_only_name_of_a_used_image_stays_unless_forced(
    store: Store, running: bool
) -> None:
    """Forced, it loses its name, and containers keep their files."""
    image_id = await load_image(store, "web:1")
    store.users.append(ImageUser("c" * 64, image_id, running))
    with pytest.raises(Conflict) as refused:
        await store.images.remove("web:1")
    assert str(refused.value) == (
        'conflict: unable to remove repository reference "web:1" (must force) - '
        f"container cccccccccccc is using its referenced image {image_id[7:19]}"
    )
    assert await store.images.remove("web:1", force=True) == untagged("web:1")
    image = await store.images.resolve(image_id)
    assert all(path.exists() for path in store.images.layers(image))


async def test_an_image_that_runs_cannot_be_removed_by_id_even_by_force(store: Store) -> None:
    image_id = await load_image(store, "web:1")
    store.users.append(ImageUser("c" * 64, image_id, True))
    for force in (False, True):
        with pytest.raises(Conflict, match=r"cannot be forced.*used by running container cccccc"):
            await store.images.remove(image_id, force=force)


async def test_one_name_of_several_goes_though_a_container_uses_the_image(store: Store) -> None:
    image_id = await load_image(store, "web:1")
    await store.images.tag("web:1", "web:2")
    store.users.append(ImageUser("c" * 64, image_id, True))
    assert await store.images.remove("web:2") == untagged("web:2")


async def test_an_image_that_something_is_made_from_stays(store: Store) -> None:
    image_id = await load_image(store, "web:1")
    with store.images.hold(image_id):
        with pytest.raises(Conflict, match="something is being made from it"):
            await store.images.remove("web:1")
        assert (await store.images.prune(tagged_too=True)).images_deleted == ()
    await store.images.remove("web:1")
    with pytest.raises(NotFound), store.images.hold(image_id):
        pass


async def test_a_prune_takes_images_without_a_name(store: Store) -> None:
    old = await load_image(store, "web:1", files={"f": b"old"})
    new = await load_image(store, "web:1", files={"f": b"new"})
    pruned = await store.images.prune()
    assert ImageDeletion(deleted=old) in pruned.images_deleted
    assert pruned.space_reclaimed == len(b"old")
    assert [row.id for row in await store.images.summaries()] == [new]


async def test_a_prune_of_all_keeps_what_containers_use(store: Store) -> None:
    await load_image(store, "free:1", files={"f": b"1"})
    used = await load_image(store, "used:1", files={"f": b"2"})
    store.users.append(ImageUser("c" * 64, used, False))
    await store.images.prune(tagged_too=True)
    assert [row.repo_tags for row in await store.images.summaries()] == [("used:1",)]


async def test_disk_usage_counts_a_shared_layer_once(store: Store) -> None:
    await load_image(store, "a:1", files={"f": b"1"})
    await load_image(store, "b:1", files={"f": b"22"})
    usage = await store.images.disk_usage()
    shared = {row.shared_size for row in usage.images}
    (common,) = shared
    assert common > 1_000_000
    assert usage.layers_size_bytes == common + 3
    assert {row.containers for row in usage.images} == {0}


@pytest.mark.parametrize("name", ["UPPER", "a@sha256:" + "a" * 64, "x:" + "y" * 129, ""])
async def test_an_image_cannot_get_an_impossible_name(store: Store, name: str) -> None:
    await load_image(store, "web:1")
    with pytest.raises(InvalidArgument):
        await store.images.tag("web:1", name)


async def test_a_crash_leaves_only_what_the_next_start_clears(store: Store) -> None:
    """Half a layer, a name without image, a link without layer: gone; a lost link: back."""
    await load_image(store, "web:1")
    image = await store.images.resolve("web:1")
    lost, kept = store.images.layers(image)
    (store.root / "tmp/layer-half/diff").mkdir(parents=True)
    (store.root / "l/dead").symlink_to("../layers/none/diff")
    lost.unlink()
    names = store.root / "names.json"
    ghost = f'{{"docker.io/library/ghost:1":{{"image_id":"sha256:{"0" * 64}",'
    content = names.read_text()
    names.write_text(ghost + '"named_at":"2026-01-01T00:00:00Z"},' + content[1:])
    again = ImageStore(store.root)
    await again.open()
    assert again.layers(image) == [lost, kept]
    assert (lost / "etc").exists() or (kept / "etc").exists()
    assert store.on_disk()["tmp"] == []
    assert store.on_disk()["l"] == sorted([lost.name, kept.name])
    with pytest.raises(NotFound):
        await again.resolve("ghost:1")
    await again.close()


async def test_layers_whose_digests_begin_alike_get_different_links(store: Store) -> None:
    await load_image(store, "web:1")
    image = await store.images.resolve("web:1")
    top, _ = store.images.layers(image)
    target = top.readlink()
    top.unlink()
    other = Path("../layers") / (top.name + "0" * 60) / "diff"
    (store.root / other.parent.name).mkdir()
    (store.root / "layers" / other.parent.name).mkdir()
    top.symlink_to(other)
    again = ImageStore(store.root)
    await again.open()
    link = again.layers(image)[0]
    assert (link.readlink(), link.name[:4], len(link.name)) == (target, top.name, 5)
    await again.close()
