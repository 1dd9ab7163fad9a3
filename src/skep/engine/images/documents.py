"""An image's config document, read at the door: what leaves here can be listed and run.

Others wrote it, with tools that we do not know. What it is not allowed to say is refused; what
cannot be meant is set right, in memory only: the stored bytes keep the digest that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from skep.engine.exposed import MAX_EXPOSED, ports_of
from skep.kit.clock import ZERO_TIME
from skep.kit.errors import UNDECODABLE, InvalidArgument
from skep.model.image import HistoryEntry, ImageConfig, ImageDocument

Complain = Callable[[str], None]

_DOCUMENT = msgspec.json.Decoder(ImageDocument)
"""Made once, before threads read with it: see containers/record.py."""


def parse_document(document: bytes, complain: Complain = lambda oddity: None) -> ImageDocument:
    """Raises InvalidArgument when it is none or names impossible layers. `complain` hears what
    was left out."""
    try:
        parsed = _DOCUMENT.decode(document)
    except UNDECODABLE as error:
        raise InvalidArgument(f"invalid image config: {error}") from None
    for diff_id in parsed.diff_ids:
        if not is_sha256(diff_id):
            raise InvalidArgument(f"invalid image config: {diff_id!r} is no layer digest")
    return replace(
        parsed,
        created=_in_utc(parsed.created),
        config=parsed.config and _settled(parsed.config, complain),
        history=parsed.history and tuple(map(_settled_step, parsed.history)),
    )


def _settled(config: ImageConfig, complain: Complain) -> ImageConfig:
    if not config.exposed_ports:
        return config
    ports: dict[str, Any] = {}
    for text in config.exposed_ports:
        try:
            wanted = ports_of(text)
        except InvalidArgument as error:
            complain(f"ExposedPorts: {error}")
            continue
        if len(ports) + len(wanted) > MAX_EXPOSED:
            complain(f'ExposedPorts: "{text}": more than {MAX_EXPOSED} ports')
            continue
        ports |= {port: {} for port in wanted}
    return replace(config, exposed_ports=ports)


def _settled_step(step: HistoryEntry) -> HistoryEntry:
    return replace(step, created=_in_utc(step.created))


def _in_utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is taken for UTC, one outside of the calendar for none at all."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return ZERO_TIME


def is_sha256(digest: str) -> bool:
    """Whether it is one, in full."""
    algorithm, _, value = digest.partition(":")
    return algorithm == "sha256" and len(value) == 64 and set(value) <= set("0123456789abcdef")
