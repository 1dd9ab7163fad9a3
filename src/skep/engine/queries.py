"""What lists of the engine are asked for, in values. None is: whatever it is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec

from skep.kit.labels import ANY_LABELS, LabelQuery


class ContainerQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one field are alternatives; all fields must be met.

    `ids` are starts of ids, `names` regular expressions, `networks` names or starts of ids,
    `volumes` names or places, `published` and `exposed` ports as `80`, `80/tcp` or `80-90/tcp`.
    `before` and `since` name containers, `ancestors` images.
    """

    ids: Collection[str] | None = None
    names: Collection[str] | None = None
    states: Collection[str] | None = None
    exit_codes: Collection[int] | None = None
    health: Collection[str] | None = None
    ancestors: Collection[str] | None = None
    networks: Collection[str] | None = None
    volumes: Collection[str] | None = None
    published: Collection[str] | None = None
    exposed: Collection[str] | None = None
    is_task: bool | None = None
    labels: LabelQuery = ANY_LABELS
    before: Collection[str] = ()
    since: Collection[str] = ()


class ImageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`references` are names with `*` and `?`; `before` and `since` name images; `until` is a time
    before which an image was made. A dangling image has no tag."""

    dangling: bool | None = None
    labels: LabelQuery = ANY_LABELS
    references: Collection[str] | None = None
    before: Collection[str] = ()
    since: Collection[str] = ()
    until: datetime | None = None


EVERY_CONTAINER, EVERY_IMAGE = ContainerQuery(), ImageQuery()
