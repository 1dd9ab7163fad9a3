"""One layer's archive becomes one folder: packed in any way, whole, within limits."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skep.engine.images.unpack import Limits, Unpacked, unpack
from skep.kit.errors import InvalidArgument
from skep.testing.images import make_tar

FILES = {"a/b/c": b"hello", "d": bytes(1_500_000), "e": os.urandom(200_000)}


def zstd(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "gzip in two members": lambda c: gzip.compress(c[:70_000]) + gzip.compress(c[70_000:]),
    "zstd": zstd,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


def unpack_bytes(folder: Path, content: bytes, limits: Limits | None = None) -> Unpacked:
    archive, target = folder / "archive", folder / "target"
    archive.write_bytes(content)
    target.mkdir()
    return unpack(archive, target, limits or Limits())


@pytest.mark.parametrize("packer", PACKERS)
def test_a_layer_may_be_packed_in_any_way(tmp_path: Path, packer: str) -> None:
    """Its digest is that of the plain archive, however it came."""
    plain = make_tar(FILES)
    unpacked = unpack_bytes(tmp_path, PACKERS[packer](plain))
    found = {name: (tmp_path / "target" / name).read_bytes() for name in FILES}
    assert found == FILES
    assert unpacked == Unpacked(
        diff_id=f"sha256:{hashlib.sha256(plain).hexdigest()}",
        tar_bytes=len(plain),
        size_bytes=sum(map(len, FILES.values())),
    )


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_an_archive_that_ends_early_is_refused(tmp_path: Path, packer: str, kept: float) -> None:
    content = PACKERS[packer](make_tar(FILES))
    with pytest.raises(InvalidArgument, match="corrupt"):
        unpack_bytes(tmp_path, content[: int(len(content) * kept)])


@pytest.mark.parametrize("packer", ["gzip", "zstd", "xz", "bzip2"])
def test_a_flipped_byte_is_noticed(tmp_path: Path, packer: str) -> None:
    content = bytearray(PACKERS[packer](make_tar(FILES)))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(InvalidArgument, match="corrupt"):
        unpack_bytes(tmp_path, bytes(content))


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 5000, os.urandom(100_000)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidArgument, match="corrupt layer"):
        unpack_bytes(tmp_path, content)


def test_an_empty_layer_is_a_layer(tmp_path: Path) -> None:
    assert unpack_bytes(tmp_path, bytes(1024)).size_bytes == 0


def test_a_small_archive_that_swells_is_stopped_at_the_limit(tmp_path: Path) -> None:
    bomb = gzip.compress(make_tar({"zeros": bytes(50_000_000)}))
    assert len(bomb) < 100_000
    with pytest.raises(InvalidArgument, match="larger than 8000000 bytes"):
        unpack_bytes(tmp_path, bomb, Limits(plain_bytes=8_000_000))
    written = sum(path.stat().st_size for path in (tmp_path / "target").rglob("*"))
    assert written <= 8_000_000


def test_an_archive_of_too_many_files_is_stopped(tmp_path: Path) -> None:
    many = make_tar({f"f{number}": b"" for number in range(2000)})
    with pytest.raises(InvalidArgument, match="more than 100 files"):
        unpack_bytes(tmp_path, many, Limits(entries=100))


def test_folders_nested_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="nested deeper than 200"):
        unpack_bytes(tmp_path, make_tar({"d/" * 300 + "f": b"x"}))


def test_hard_links_count_once(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("a")
        member.size = 1000
        archive.addfile(member, io.BytesIO(bytes(1000)))
        link = tarfile.TarInfo("b")
        link.type, link.linkname = tarfile.LNKTYPE, "a"
        archive.addfile(link)
    assert unpack_bytes(tmp_path, buffer.getvalue()).size_bytes == 1000


def test_a_whiteout_becomes_overlayfs_s_own(tmp_path: Path) -> None:
    unpack_bytes(tmp_path, make_tar({"a/.wh.gone": b"", "b/.wh..wh..opq": b"", "b/kept": b"x"}))
    target = tmp_path / "target"
    gone = (target / "a/gone").stat()
    assert (stat.S_ISCHR(gone.st_mode), gone.st_rdev) == (True, 0)
    assert os.getxattr(target / "b", "trusted.overlay.opaque") == b"y"
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
    assert names == ["a", "a/gone", "b", "b/kept"]


def test_a_folder_deleted_and_made_again_in_one_layer_hides_the_old_one(tmp_path: Path) -> None:
    unpack_bytes(tmp_path, make_tar({".wh.d": b"", "d/new": b"x", ".wh.f": b"", "f": b"y"}))
    target = tmp_path / "target"
    assert os.getxattr(target / "d", "trusted.overlay.opaque") == b"y"
    assert (target / "f").read_bytes() == b"y"
