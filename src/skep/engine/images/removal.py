"""What `docker rmi NAME` takes away: names, and with the last one the image. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from skep.kit.errors import Conflict
from skep.model.reference import Reference

_SHORT_ID_CHARS = 12


class ImageUser(msgspec.Struct, frozen=True):
    """A container that was made from an image."""

    container_id: str
    image_id: str
    running: bool


class Removal(msgspec.Struct, frozen=True):
    """Names to drop, and whether the image goes with them."""

    untag: tuple[Reference, ...]
    delete: bool


def plan_removal(
    image_id: str,
    names: Sequence[Reference],
    asked: Reference | None,
    users: Sequence[ImageUser],
    force: bool,
) -> Removal:
    """Decide a removal of an image that has `names`, asked for by one of them or (None) by id.

    An image that containers use stays, without names, when `force` takes the last one. Raises
    Conflict in docker's words.
    """
    if asked is None:
        return _by_id(image_id, names, users, force)
    return _by_name(image_id, names, asked, users, force)


def _by_name(
    image_id: str,
    names: Sequence[Reference],
    asked: Reference,
    users: Sequence[ImageUser],
    force: bool,
) -> Removal:
    if users and not force and _is_one_name(names):
        raise Conflict(
            f'conflict: unable to remove repository reference "{asked.familiar}" (must force) - '
            f"container {short_id(users[0].container_id)} is using its referenced image "
            f"{short_id(image_id)}"
        )
    left = [name for name in names if name != asked]
    own_digests = [n for n in left if n.digest and n.repository == asked.repository]
    last_tag = not any(n.tag and n.repository == asked.repository for n in left)
    untag = [asked, *own_digests] if asked.tag and last_tag else [asked]
    return Removal(tuple(untag), delete=len(untag) == len(names) and not users)


def _by_id(
    image_id: str, names: Sequence[Reference], users: Sequence[ImageUser], force: bool
) -> Removal:
    short = short_id(image_id)
    if not force and len(names) > 1 and not _is_one_name(names):
        raise Conflict(
            f"conflict: unable to delete {short} (must be forced) - "
            "image is referenced in multiple repositories"
        )
    for user in users:
        if user.running:
            raise Conflict(
                f"conflict: unable to delete {short} (cannot be forced) - "
                f"image is being used by running container {short_id(user.container_id)}"
            )
    if users and not (force and names):
        raise Conflict(
            f"conflict: unable to delete {short} (must be forced) - "
            f"image is being used by stopped container {short_id(users[0].container_id)}"
        )
    return Removal(tuple(names), delete=not users)


def short_id(full: str) -> str:
    """The first 12 digits, as people are shown ids."""
    return full.removeprefix("sha256:")[:_SHORT_ID_CHARS]


def _is_one_name(names: Sequence[Reference]) -> bool:
    """One tag, whatever digests of the same repository stand beside it."""
    return len({n.repository for n in names}) <= 1 and sum(bool(n.tag) for n in names) <= 1
