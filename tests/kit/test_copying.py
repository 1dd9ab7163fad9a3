"""A tree copied by name in open folders is what `cp -a` makes of it."""

from __future__ import annotations

import os
import random
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from skep.kit.copying import copy_tree


def _copied(source: Path, target: Path) -> None:
    folders = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    try:
        copy_tree(*folders)
    finally:
        for folder in folders:
            os.close(folder)


def _described(root: Path) -> list[tuple[object, ...]]:
    """Everything of a tree that a copy must keep."""
    paths = [root, *sorted(root.rglob("*"))]
    first_names = {path.lstat().st_ino: str(path) for path in reversed(paths)}
    return [_entry(root, path, first_names) for path in paths]


def _entry(root: Path, path: Path, first_names: dict[int, str]) -> tuple[object, ...]:
    status = path.lstat()
    content: object = status.st_rdev
    if stat.S_ISREG(status.st_mode):
        content = path.read_bytes()
    elif stat.S_ISLNK(status.st_mode):
        content = path.readlink()
    first = os.path.relpath(first_names[status.st_ino], root)
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    return (
        str(path.relative_to(root)), stat.filemode(status.st_mode), status.st_uid, status.st_gid,
        status.st_mtime_ns, first, attributes, content,
    )  # fmt: skip


def _grow(root: Path, dice: random.Random) -> None:
    """A tree of every kind of file, with owners, modes, times, links and attributes."""
    folders = [root]
    files: list[Path] = []
    for number in range(60):
        path = dice.choice(folders) / f"{number} {dice.choice('aé')}"
        kind = dice.randrange(8)
        if kind == 0:
            path.mkdir()
            folders.append(path)
        elif kind == 1:
            path.symlink_to(dice.choice(["/etc/passwd", "..", "nowhere"]))
        elif kind == 2:
            os.mkfifo(path)
        elif kind == 3:
            os.mknod(path, stat.S_IFCHR | 0o640, os.makedev(1, 3))
        elif kind == 4 and files:
            path.hardlink_to(dice.choice(files))
        else:
            path.write_bytes(dice.randbytes(dice.choice([0, 1, 5000, 200_000])))
            files.append(path)
    for path in root.rglob("*"):
        os.chown(path, dice.randrange(3000), dice.randrange(3000), follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(dice.choice([0o644, 0o4755, 0o2750, 0o1777, 0o000]))
        if path.is_file() and not path.is_symlink() and dice.random() < 0.3:
            os.setxattr(path, "trusted.skep", b"kept")
    for path in sorted(root.rglob("*"), reverse=True):
        os.utime(path, ns=(10**18, 10**18 + dice.randrange(10**9)), follow_symlinks=False)


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_cp_makes(tmp_path: Path, seed: int) -> None:
    source, by_us, by_cp = (tmp_path / name for name in ("source", "ours", "theirs"))
    for folder in (source, by_us, by_cp):
        folder.mkdir()
    _grow(source, random.Random(seed))
    source.chmod(0o1770)
    os.chown(source, 7, 8)
    _copied(source, by_us)
    subprocess.run(["cp", "-a", f"{source}/.", by_cp], check=True)
    assert _described(by_us) == _described(by_cp) == _described(source)


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    with (source / "sparse").open("wb") as file:
        file.seek(50 << 20)
        file.write(b"end")
        file.truncate(100 << 20)
    _copied(source, target)
    copy = (target / "sparse").stat()
    assert (copy.st_size, copy.st_blocks * 512 < 1 << 20) == (100 << 20, True)
    with (target / "sparse").open("rb") as file:
        file.seek(50 << 20)
        assert file.read(5) == b"end\0\0"


def test_what_is_there_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        (folder / "both").mkdir(parents=True)
    (source / "both/new").write_text("new")
    for name in ("file", "both/file"):
        (source / name).write_text("ours")
        (target / name).write_text("theirs")
    (source / "folder").mkdir()
    (source / "folder/inside").write_text("ours")
    (target / "folder").symlink_to(tmp_path)
    (target / "both").chmod(0o700)
    _copied(source, target)
    kept = [(target / name).read_text() for name in ("file", "both/file", "both/new")]
    assert kept == ["theirs", "theirs", "new"]
    assert not (tmp_path / "inside").exists()
    assert (target / "both").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder that is taken away by rm(1): pytest's own way to do it recurses."""
    folder = tmp_path / "deep"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", folder], check=True)


def _nested(folder: Path, depth: int) -> None:
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


@pytest.mark.parametrize("depth", [900, 1100])
def test_a_deep_tree_is_copied_and_one_without_end_is_refused(deep: Path, depth: int) -> None:
    source, target = deep / "source", deep / "target"
    for folder in (source, target):
        folder.mkdir()
    _nested(source, depth)
    if depth > 1000:
        with pytest.raises(OSError, match="File name too long"):
            _copied(source, target)
    else:
        _copied(source, target)
        found = subprocess.run(["find", target, "-type", "d"], capture_output=True, check=True)
        assert found.stdout.count(b"\n") == depth + 1


def test_a_socket_is_copied_as_one(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source, target):
        folder.mkdir()
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(str(source / "socket"))
    _copied(source, target)
    assert stat.S_ISSOCK((target / "socket").lstat().st_mode)
