"""Which images a list shows, and what it says of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from skep.engine.images.listing import Listed, history, select, summary
from skep.engine.queries import ImageQuery
from skep.kit.labels import LabelQuery
from skep.model.image import (
    HistoryEntry,
    HistoryItem,
    Image,
    ImageConfig,
    ImageDocument,
    ImageSummary,
    RootFS,
)
from skep.model.reference import parse_reference

from .conftest import Store, load_image

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def listed(letter: str, age_h: float, *names: str, **labels: str) -> Listed:
    document = ImageDocument(
        created=NOON - timedelta(hours=age_h), config=ImageConfig(labels=labels or None)
    )
    image = Image(id=f"sha256:{letter * 64}", document=document, size_bytes=10)
    return Listed(image, tuple(parse_reference(name) for name in names))


NEW = listed("a", 1, "web:2", "r.io/team/web:2", tier="front")
MIDDLE = listed("b", 2, "web:1", tier="back", team="x")
OLD = listed("c", 3, f"web@sha256:{'d' * 64}")
ALL = [MIDDLE, NEW, OLD]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [NEW, MIDDLE, OLD]),
        ({"dangling": True}, [OLD]),
        ({"dangling": False}, [NEW, MIDDLE]),
        ({"labels": LabelQuery(["tier"])}, [NEW, MIDDLE]),
        ({"labels": LabelQuery(["tier=back", "team"])}, [MIDDLE]),
        ({"labels": LabelQuery(lacking=["tier=back"])}, [NEW, OLD]),
        ({"references": ["web"]}, [NEW, MIDDLE, OLD]),
        ({"references": ["web:1"]}, [MIDDLE]),
        ({"references": ["*:2"]}, [NEW]),
        ({"references": ["r.io/*/web"]}, [NEW]),
        ({"references": ["r.io/*"]}, []),
        ({"references": ["w?b:1", "nope"]}, [MIDDLE]),
        ({"until": NOON - timedelta(minutes=90)}, [MIDDLE, OLD]),
        ({"until": NOON}, [NEW, MIDDLE, OLD]),
    ],
)
def test_a_query_keeps_the_matching_images_newest_first(
    query: dict[str, Any], expected: list[Listed]
) -> None:
    assert select(ALL, ImageQuery(**query)) == expected


def test_before_and_since_are_other_images_times() -> None:
    assert select(ALL, ImageQuery(), before=MIDDLE.created) == [OLD]
    assert select(ALL, ImageQuery(), since=MIDDLE.created) == [NEW]


def test_a_row_has_familiar_names() -> None:
    assert summary(NEW, shared_size=-1, containers=3) == ImageSummary(
        id=NEW.image.id,
        repo_tags=("web:2", "r.io/team/web:2"),
        created=int(NEW.created.timestamp()),
        size=10,
        labels={"tier": "front"},
        containers=3,
    )


def test_history_matches_steps_with_layers_from_the_bottom_up() -> None:
    steps = (
        HistoryEntry(created_by="ADD base", created=NOON),
        HistoryEntry(created_by="ENV a=b", empty_layer=True),
        HistoryEntry(created_by="COPY x", comment="buildkit"),
    )
    document = ImageDocument(rootfs=RootFS(("1", "2")), history=steps)
    item = Listed(Image(id="sha256:e", document=document, size_bytes=7), (NEW.names[0],))
    assert history(item, [5, 2]) == [
        HistoryItem(
            id="sha256:e", created_by="COPY x", size=2, comment="buildkit", tags=("web:2",)
        ),
        HistoryItem(created_by="ENV a=b"),
        HistoryItem(created_by="ADD base", size=5, created=int(NOON.timestamp())),
    ]


async def test_before_and_since_name_stored_images(store: Store) -> None:
    for hour in range(3):
        await load_image(store, f"x:{hour}", created=NOON + timedelta(hours=hour))
    shown = {
        key: [row.repo_tags for row in await store.images.summaries(ImageQuery(**{key: ["x:1"]}))]
        for key in ("before", "since")
    }
    assert shown == {"before": [("x:0",)], "since": [("x:2",)]}
