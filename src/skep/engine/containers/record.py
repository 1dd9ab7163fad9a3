"""What is kept on disk of one container: `<data_root>/containers/<id>/record.json`.

A record is written whole and before the thing that it speaks of is made, so that whatever a crash
leaves behind, a record says what it was to become. What the host itself can tell (pid, paused) is
not in it.

    created --start--> started --end--> exited --start--> started …

"started" is written before the process exists: with nothing of it on the host, the start was cut
short, or the host was.

A record that cannot be read (a disk that was full, a newer skep) costs nothing: see `load`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from skep.engine.containers.extra_hosts import HostEntry, parse_hosts
from skep.engine.containers.ports import PortWish, parse_bindings, with_all_exposed
from skep.engine.networks.endpoint import EndpointRecord
from skep.engine.record_files import Unreadable, read_record
from skep.kit.clock import ZERO_TIME
from skep.kit.errors import UNDECODABLE, Conflict, Internal, InvalidArgument
from skep.kit.files import (
    DRAFTS,
    close_folder,
    is_bare,
    reason_of,
    remove_trees,
    replace_file,
    write_atomically,
)
from skep.model.bounds import Moment
from skep.model.container import ContainerConfig, HostConfig
from skep.network.values import PublishedPort

_log = logging.getLogger(__name__)
_ID = re.compile(r"[0-9a-f]{64}")
_FILE, _DRAFT = "record.json", ".record.json"

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
    created_at: Moment
    image_id: str
    argv: tuple[str, ...]
    config: ContainerConfig
    host_config: HostConfig
    mounts: tuple[MountRecord, ...] = ()
    endpoints: tuple[EndpointRecord, ...] = ()
    hosts: tuple[HostEntry, ...] = ()
    wanted_ports: tuple[PortWish, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    """As published on this host while it is started."""
    populated: bool = False
    """Empty volumes have taken the image's content."""

    phase: Phase = "created"
    manually_stopped: bool = False
    restart_count: int = 0
    started_at: Moment = ZERO_TIME
    finished_at: Moment = ZERO_TIME
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""

    @property
    def short_id(self) -> str:
        return self.id[:12]


_RECORD = msgspec.json.Decoder(Record)
"""Made here once: msgspec (0.22) ends the process (SIGSEGV) when several threads are the first to
read a type at the same time."""


class RecordFolder:
    """The containers' folders under `<data_root>/containers`. All calls block.

    Those that write raise Internal with the disk's reason, the record being what it was; and
    Conflict for a container whose record could not be read: what is there is not written over.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._unreadable: dict[str, str] = {}

    def path(self, container_id: str) -> Path:
        return self.root / container_id

    def create(self, record: Record, *, promised: bool) -> None:
        """Make the folder with its overlay folders, and last the record.

        A container that a person made must outlive a power cut; one that the cluster made need
        not: its task is made again. (A synced file is the dearest part of a create.)
        Raises InvalidArgument for a record that could not be read again.
        """
        _check(record)
        try:
            with _told(record):
                folder = self.path(record.id)
                folder.mkdir(mode=0o700)
                (folder / "diff").mkdir(mode=0o755)
                (folder / "work").mkdir(mode=0o700)
            if promised:
                self.promise(record)
            else:
                self.note(record)
        except BaseException:
            self.remove(record.id)
            raise

    def promise(self, record: Record) -> None:
        """Write a record that must outlive a power cut: somebody was told of it. Raises
        InvalidArgument as `create` does."""
        _check(record)
        with _told(record):
            write_atomically(self._file(record), msgspec.json.encode(record))

    def note(self, record: Record) -> None:
        """Write a record that must outlive a crash of ours: after a power cut nothing runs
        anyway, and the older record says enough."""
        with _told(record):
            replace_file(self._file(record), msgspec.json.encode(record))

    def _file(self, record: Record) -> Path:
        if reason := self._unreadable.get(record.id):
            raise Conflict(f"container {record.short_id} stays as it is: {reason}")
        return self.path(record.id) / _FILE

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

    def load(self) -> Iterator[tuple[Record, str]]:
        """Every container there is, each with why its record cannot be read ("": it can).

        What is not understood stays: the folder of such a container is left as it is, and the
        record given here holds what can be understood. Only a folder that shows that its create
        never ended is removed; what is no container's is passed over.
        """
        close_folder(self.root)
        for folder in sorted(self.root.iterdir()):
            if not _ID.fullmatch(folder.name) or not folder.is_dir():
                _log.info("%s is no container's", folder)
            elif is_bare(folder, ("diff", "work"), (DRAFTS, _DRAFT)):
                remove_trees([folder])
            else:
                yield self._read(folder)

    def _read(self, folder: Path) -> tuple[Record, str]:
        path = folder / _FILE
        try:
            record = read_record(path, _RECORD, lambda record: record.id, folder.name)
            return _in_values(record), ""
        except (Unreadable, InvalidArgument) as reason:
            problem = self._unreadable[folder.name] = (
                f"its record {path} cannot be read ({reason}): restore that file and restart skep,"
                f" or take what you need from {folder} and remove the container"
            )
        return _remains(folder, problem), problem


def _in_values(record: Record) -> Record:
    """A record of skep 0.1.0 has hosts and ports in docker's words alone."""
    host = record.host_config
    hosts = record.hosts or parse_hosts(host.extra_hosts)
    ports = record.wanted_ports or parse_bindings(host.port_bindings)
    if host.publish_all_ports:
        ports = with_all_exposed(ports, record.config.exposed_ports)
    return msgspec.structs.replace(record, hosts=hosts, wanted_ports=ports)


@contextmanager
def _told(record: Record) -> Iterator[None]:
    """A person may read what the disk said."""
    try:
        yield
    except OSError as error:
        raise Internal(
            f"the record of container {record.short_id} cannot be written: {reason_of(error)}"
        ) from error


def _check(record: Record) -> None:
    """What is written must be readable: a record that is not would cost the container."""
    try:
        _RECORD.decode(msgspec.json.encode(record))
    except UNDECODABLE as error:
        raise InvalidArgument(f"the container's record could not be kept: {error}") from None


def _remains(folder: Path, problem: str) -> Record:
    """What can be understood of a record that cannot be read; it speaks of no run."""
    try:
        said = msgspec.json.decode((folder / _FILE).read_bytes())
    except (OSError, *UNDECODABLE):
        said = None
    nothing = {
        "name": folder.name[:12],
        "created_at": datetime.fromtimestamp(folder.stat().st_ctime, UTC),
        "image_id": "",
        "argv": ("",),
        "config": ContainerConfig(),
        "host_config": HostConfig(),
    }
    settled = {"id": folder.name, "phase": "exited", "error": problem}
    return Record(**{**nothing, **_understood(Record, said), **settled})


def _understood(kind: type[msgspec.Struct], said: object) -> dict[str, Any]:
    """The fields of `kind` that are of their type in `said`."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if not isinstance(said, dict) or field.encode_name not in said:
            continue
        value = said[field.encode_name]
        try:
            found[field.name] = msgspec.convert(value, field.type)
        except UNDECODABLE:
            if field.type in (ContainerConfig, HostConfig):
                found[field.name] = field.type(**_understood(field.type, value))
    return found
