"""What is kept on disk of one container: `<data_root>/containers/<id>/record.json`.

A record is written whole and before the thing that it speaks of is made, so that whatever a crash
leaves behind, a record says what it was to become. What the host itself can tell (pid, paused) is
not in it.

    created --start--> started --end--> exited --start--> started …

"started" is written before the process exists: with nothing of it on the host, the start was cut
short, or the host was.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from skep.engine.networks.endpoint import EndpointRecord
from skep.kit.clock import ZERO_TIME
from skep.kit.files import close_folder, remove_trees, write_atomically
from skep.model.container import ContainerConfig, HostConfig
from skep.network.values import PublishedPort

Phase = Literal["created", "started", "exited"]


class RecordValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base: comparable, and JSON with its own field names."""


class MountRecord(RecordValue, frozen=True):
    """One mount, as settled at create.

    source      a folder of this host (bind), a volume's name (volume), nothing (tmpfs).
    mode        docker's word for how it was asked for ("ro", "z", …), shown in inspect.
    options     for mount(2), beside what `read_only` and `propagation` say.
    anonymous   the volume was made for this container and may go with it.
    copy_up     a volume that is empty takes what the image has at `destination`.
    create_source   make a folder of this host that is missing (`-v` does, `--mount` does not).
    """

    type: Literal["bind", "volume", "tmpfs"]
    destination: str
    source: str = ""
    read_only: bool = False
    mode: str = ""
    propagation: str = ""
    recursive: bool = True
    options: tuple[str, ...] = ()
    anonymous: bool = False
    copy_up: bool = False
    create_source: bool = False


class Record(RecordValue, frozen=True):
    """One container. `config` is the caller's with the image's underneath."""

    id: str
    name: str
    created_at: datetime
    image_id: str
    argv: tuple[str, ...]
    config: ContainerConfig
    host_config: HostConfig
    mounts: tuple[MountRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    """As published on this host while it is started."""
    populated: bool = False
    """Empty volumes have taken the image's content."""

    phase: Phase = "created"
    manually_stopped: bool = False
    restart_count: int = 0
    started_at: datetime = ZERO_TIME
    finished_at: datetime = ZERO_TIME
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]


class RecordFolder:
    """The containers' folders under `<data_root>/containers`. All calls block."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, container_id: str) -> Path:
        return self.root / container_id

    def create(self, record: Record, *, promised: bool) -> None:
        """Make the folder with its overlay folders, and last the record.

        A container that a person made must outlive a power cut; one that the cluster made need
        not: its task is made again. (A synced file is the dearest part of a create.)
        """
        folder = self.path(record.id)
        folder.mkdir(mode=0o700)
        (folder / "diff").mkdir(mode=0o755)
        (folder / "work").mkdir(mode=0o700)
        if promised:
            self.promise(record)
        else:
            self.note(record)

    def promise(self, record: Record) -> None:
        """Write a record that must outlive a power cut: somebody was told of it."""
        write_atomically(self.path(record.id) / "record.json", msgspec.json.encode(record))

    def note(self, record: Record) -> None:
        """Write a record that must outlive a crash of ours: after a power cut nothing runs
        anyway, and the older record says enough."""
        target = self.path(record.id) / "record.json"
        draft = target.with_name(".record.json")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(record))
        finally:
            os.close(descriptor)
        draft.rename(target)

    def discard(self, container_id: str, trash: Path) -> Path | None:
        """Take a container's folder away in one step; returns where its rest lies, if anywhere."""
        rest = trash / container_id
        try:
            self.path(container_id).rename(rest)
        except FileNotFoundError:
            return None
        return rest

    def remove(self, container_id: str) -> None:
        """Take back a create that did not succeed."""
        remove_trees([self.path(container_id)])

    def load(self) -> Iterator[Record]:
        """Every record there is; folders without a readable one are removed: nobody was told."""
        close_folder(self.root)
        for folder in sorted(self.root.iterdir()):
            record = _read(folder / "record.json")
            if record is not None and record.id == folder.name:
                yield record
            else:
                remove_trees([folder])


def _read(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
