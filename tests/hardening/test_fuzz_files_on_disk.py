"""Every kind of file that skep keeps, as a real daemon wrote it and then damaged: cut short, bits
flipped, emptied, replaced, or in a newer version's form. What is not understood is named in an
error or in the log and is never deleted, and what lies beside it goes on.

Most of it calls what reads the files at a start; some get a whole daemon. SKEP_FUZZ=<n> is the
number of inputs for each kind of file (and a twentieth of it the number of daemons).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from skep.agent.disk import Disk
from skep.agent.identity import Identity
from skep.agent.roster import Roster
from skep.daemon.member import MemberFolder
from skep.engine.containers.record import RecordFolder
from skep.engine.events import Events
from skep.engine.images import ImageStore
from skep.engine.networks.networks import Networks
from skep.engine.settings import EngineSettings
from skep.engine.volumes import Volumes
from skep.kit.errors import Internal, Unavailable
from skep.kit.threads import Outside
from skep.store.primary import Primary
from skep.store.sqlite import SqliteLog
from skep.testing.daemon import DaemonHost, daemon_host, until
from skep.testing.damage import damaged
from skep.testing.network import FakeNetwork

_INPUTS = int(os.environ.get("SKEP_FUZZ", "20"))
_DAEMONS = max(_INPUTS // 20, 1)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonHost]:
    """A manager that was stopped, with two of each thing."""
    with daemon_host(tmp_path_factory.mktemp("written")) as host:
        host.load_image("box:1")
        host.load_image("other:1", files={"other": b"1"})
        for name in ("one", "two"):
            host.ok("network", "create", f"net-{name}")
            host.ok("volume", "create", "--label", "a=b", f"vol-{name}")
            host.ok("run", "-d", "--name", name, "--network", f"net-{name}", "-v",
                    f"vol-{name}:/data", "-p", "80", "--health-cmd", "true", "box:1", "sh", "-c",
                    "echo precious >/root/data; echo kept >/data/data; sleep 600")  # fmt: skip
        host.ok("swarm", "init")
        host.ok("service", "create", "-q", "--name", "web", "box:1", "sleep", "600")
        host.until_running("web", 1)
        for name in ("one", "two"):
            host.ok("stop", "-t", "0", name)
        host.stop()
        yield host


@pytest.fixture(scope="module")
def written(manager: DaemonHost, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its data root; of the images only the records."""
    copy = tmp_path_factory.mktemp("copy") / "data"
    shutil.copytree(
        manager.data_root, copy, symlinks=True, ignore=shutil.ignore_patterns("blob", "bin")
    )
    return copy


class Room(NamedTuple):
    """Where a damaged file lies, and what was said of it."""

    root: Path
    path: Path
    log: Callable[[], str]

    def must_name(self, error: Exception) -> None:
        assert self.path.name in str(error) or self.path.parent.name in str(error), str(error)


async def _containers(room: Room) -> None:
    root = room.root / "containers"
    loaded = {record.id: problem for record, problem in RecordFolder(root).load()}
    assert len(loaded) == 3
    assert not any(problem for id_, problem in loaded.items() if id_ != room.path.parent.name)
    if problem := loaded[room.path.parent.name]:
        assert str(room.path) in problem
    assert len(list(root.glob("*/diff/root/data"))) == 2


async def _volumes(room: Room) -> None:
    volumes = Volumes(room.root / "volumes", Events(16), lambda _: (), Outside())
    volumes.load()
    for name in ("vol-one", "vol-two"):
        assert (volumes.folder(name) / "data").read_text() == "kept\n"
        try:
            await volumes.inspect(name)
        except Internal as error:
            assert name == room.path.parent.name
            room.must_name(error)
            assert str(room.path) in room.log()


async def _networks(room: Room) -> None:
    settings = EngineSettings(data_root=room.root, exec_root=room.root / "run", instance="t")
    settings.exec_root.mkdir()
    networks = Networks(settings, FakeNetwork(), Events(16))
    await networks.load()
    networks.bridges()
    assert await networks.list()
    others = {path.stem for path in (room.root / "networks").glob("*.json")} - {room.path.stem}
    known = {row.id for row in await networks.list()}
    assert others <= known
    if room.path.stem not in known:
        assert str(room.path) in room.log()


async def _images(room: Room) -> None:
    images = ImageStore(room.root / "images")
    await images.open()
    try:
        assert len(await images.summaries()) >= (2 if "names" in room.path.name else 1)
        await images.disk_usage()
        for row in await images.summaries():
            await images.inspect(row.id)
            await images.history(row.id)
        if room.path.name != "names.json":  # else none of them has a name any more
            await images.prune()
        layers = list((room.root / "images/layers").iterdir())
        assert len(layers) >= 3
    finally:
        await images.close()


async def _member(room: Room) -> None:
    folder = MemberFolder(room.root / "swarm")
    try:
        assert folder.read() is not None
    except Unavailable as error:
        room.must_name(error)
    folder.sweep()


async def _identity(room: Room) -> None:
    identity = Identity(room.root / "swarm", random.Random(0))
    try:
        identity.load()
        identity.check_valid(0)
        identity.renew_in_s(0)
        identity.client_context()
        identity.server_context()
    except Unavailable as error:
        assert "certificate" in str(error)


async def _roster(room: Room) -> None:
    roster = Roster(room.path, ["10.0.0.1:2377"])
    roster.load()
    roster.next_address()


async def _agents_disk(room: Room) -> None:
    disk = Disk(room.path)
    try:
        before = await disk.load()
        await disk.assign([], before.things)
    finally:
        await disk.close()


async def _store(room: Room) -> None:
    store = Primary(SqliteLog(room.path))
    try:
        await store.start()
        store.view.cluster()
    except Unavailable as error:
        room.must_name(error)
    finally:
        await store.close()


KINDS: dict[str, tuple[str, Callable[[Room], Awaitable[None]], bool]] = {
    # where, what reads it, and whether its bytes stay: SQLite writes in what it can read
    "container": ("containers/*/record.json", _containers, True),
    "volume": ("volumes/*/volume.json", _volumes, True),
    "network": ("networks/*.json", _networks, True),
    "names": ("images/names.json", _images, True),
    "image": ("images/images/*/image.json", _images, True),
    "image's document": ("images/images/*/config.json", _images, True),
    "layer": ("images/layers/*/layer.json", _images, True),
    "member": ("swarm/member.json", _member, True),
    "certificate": ("swarm/node.json", _identity, True),
    "roots": ("swarm/roots.pem", _identity, True),
    "key": ("swarm/node.pem", _identity, True),
    "roster": ("swarm/managers.json", _roster, True),
    "agent's file": ("swarm/agent.db", _agents_disk, False),
    "store": ("swarm/store.db", _store, False),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_not_understood_is_named_and_kept(
    written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    pattern, read, bytes_stay = KINDS[kind]
    room_name = pattern.partition("/")[0]
    caplog.set_level(logging.INFO)
    for seed in range(_INPUTS):
        dice = random.Random(f"{kind}-{seed}")
        root = tmp_path / str(seed)
        shutil.copytree(written / room_name, root / room_name, symlinks=True)
        path = dice.choice(sorted(root.glob(pattern)))
        content = _damage(path, dice)
        caplog.clear()
        try:
            await read(Room(root, path, lambda: caplog.text))
            assert "Traceback" not in caplog.text
            if bytes_stay:
                assert _is_kept(path, content), "it was deleted, or written over"
        except BaseException as error:
            error.add_note(f"{kind} {seed}: {path} {content[:300]!r}\n{caplog.text[-2000:]}")
            raise
        shutil.rmtree(root)


def _damage(path: Path, dice: random.Random) -> bytes:
    """Change the file, or what is in a database; the bytes that it has then."""
    if path.suffix == ".db" and dice.random() < 0.6:
        database = sqlite3.connect(path, isolation_level=None)
        with contextlib.closing(database), contextlib.suppress(sqlite3.IntegrityError):
            _damage_rows(database, dice)
    else:
        path.write_bytes(damaged(path.read_bytes(), dice))
    return path.read_bytes()


def _damage_rows(database: sqlite3.Connection, dice: random.Random) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
    table = dice.choice([name for name in tables if not name.startswith("sqlite_")])
    column = dice.choice([row[1] for row in database.execute(f"PRAGMA table_info({table})")])
    match dice.randrange(6):
        case 0:
            database.execute(f"DROP TABLE {table}")
        case 1:
            database.execute("PRAGMA user_version = 99")
        case 2:
            database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", ["novelty"])
        case _:
            rows = list(database.execute(f"SELECT {column} FROM {table}"))
            (value,) = dice.choice(rows or [("",)])
            content = value if isinstance(value, bytes) else str(value).encode()
            new = damaged(content, dice)
            database.execute(
                f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", [new, value]
            )


def _is_kept(path: Path, content: bytes) -> bool:
    """There or beside it, under any name."""
    return any(
        each.read_bytes() == content for each in path.parent.parent.rglob("*") if each.is_file()
    )


# A whole daemon


@pytest.fixture
def whole(manager: DaemonHost, tmp_path: Path) -> Iterator[DaemonHost]:
    """The daemon, still stopped; its data root is put back as it was."""
    backup = tmp_path / "backup"
    subprocess.run(["cp", "-a", manager.data_root, backup], check=True)
    manager.log_path.write_text("")
    yield manager
    with contextlib.suppress(AssertionError):  # it ended by itself: the test has said so
        if manager.process is not None:
            manager.stop()
    manager.process = None
    subprocess.run(["rm", "-rf", manager.data_root], check=True)
    subprocess.run(["cp", "-a", backup, manager.data_root], check=True)


@pytest.mark.parametrize("seed", range(_DAEMONS))
def test_a_daemon_starts_beside_a_bad_file_of_each_kind(whole: DaemonHost, seed: int) -> None:
    """A container, a volume, a network, an image, the table of names, and what the agent knew."""
    dice = random.Random(f"daemon-{seed}")
    root = whole.data_root
    two = {json.loads(path.read_bytes())["name"]: path for path in root.glob("*s/*/record.json")}
    paths = [
        two["one"], root / "volumes/vol-one/volume.json", root / "images/names.json",
        *(dice.choice(sorted(root.glob(pattern))) for pattern in (
            "networks/*.json", "images/images/*/image.json", "swarm/agent.db",
            "swarm/managers.json")),
    ]  # fmt: skip
    for path in paths:
        _damage(path, dice)
    whole.start()
    states = {row["Id"]: row["State"] for row in whole.api("GET", "/containers/json?all=1").body}
    assert states[two["two"].parent.name] == "exited"
    assert two["one"].parent.name in states
    for name in ("vol-one", "vol-two"):
        assert (root / "volumes" / name / "_data/data").read_text() == "kept\n"
    assert whole.api("GET", "/volumes/vol-two").status == 200
    for call in ("/info", "/images/json", "/networks", "/volumes", "/system/df", "/services"):
        assert whole.api("GET", call).status == 200, call
    log = whole.log_path.read_text()
    assert "Traceback" not in log, log


@pytest.mark.parametrize("way", ["", "garbage", "newer"])
def test_a_manager_without_its_store_says_so_and_runs_its_containers(
    whole: DaemonHost, way: str
) -> None:
    """It is a member still, and can leave."""
    whole.start()  # other damage may have cost the task's container its life
    until(lambda: _running_names(whole) == {"/web"})
    whole.stop()
    store = whole.data_root / "swarm/store.db"
    if way == "newer":
        with contextlib.closing(sqlite3.connect(store)) as database:
            database.execute("PRAGMA user_version = 99")
    else:
        for path in store.parent.glob("store.db-*"):
            path.unlink()
        store.write_bytes(way.encode() * 1000)
    whole.start()
    swarm = whole.api("GET", "/info").body["Swarm"]
    assert swarm["LocalNodeState"] == "error"
    assert "store" in swarm["Error"]
    assert "backup" in swarm["Error"] or "newer" in swarm["Error"] or "database" in swarm["Error"]
    assert _running_names(whole) == {"/web"}
    assert "Traceback" not in whole.log_path.read_text()


def _running_names(host: DaemonHost) -> set[str]:
    """Of services' containers, without slot and task."""
    rows = host.api("GET", "/containers/json").body
    return {row["Names"][0].partition(".")[0] for row in rows}


def test_a_node_that_cannot_read_whose_member_it_is_does_not_start(whole: DaemonHost) -> None:
    """To be none would remove its tasks."""
    path = whole.data_root / "swarm/member.json"
    path.write_text("[]")
    whole.spawn()
    assert whole.process is not None
    assert whole.process.wait(20) == 1
    whole.process = None
    log = whole.log_path.read_text()
    assert f"{path} is damaged" in log
    assert "restore it, or remove it to leave the cluster" in log
    assert "Traceback" not in log
