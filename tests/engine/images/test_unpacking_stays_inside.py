"""Whatever an archive says, unpacking it changes nothing outside its own folder."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from skep.engine.images.unpack import Limits, unpack
from skep.kit.errors import InvalidArgument


class Tar:
    """A tar under construction, with nothing checked."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._archive = tarfile.TarFile(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def add(
        self, name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "",
        **fields: object,
    ) -> Tar:  # fmt: skip
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size, member.mode = kind, link, len(content), 0o755
        for field, value in fields.items():
            setattr(member, field, value)
        self._archive.addfile(member, io.BytesIO(content))
        return self

    def link(self, name: str, to: str) -> Tar:
        return self.add(name, kind=tarfile.SYMTYPE, link=to)

    def hard_link(self, name: str, to: str) -> Tar:
        return self.add(name, kind=tarfile.LNKTYPE, link=to)

    def folder(self, name: str) -> Tar:
        return self.add(name, kind=tarfile.DIRTYPE)

    def bytes(self) -> bytes:
        self._archive.close()
        return self._buffer.getvalue()


class Scene:
    """A folder to unpack into, beside things that must stay as they are."""

    def __init__(self, top: Path) -> None:
        self.inside = top / "inside"
        self.inside.mkdir()
        self.outside = top / "outside"
        self.outside.mkdir()
        self.secret = self.outside / "secret"
        self.secret.write_bytes(b"secret")
        self._archive = top / "archive.tar"
        self._before = self.photograph()

    def unpack(self, tar: Tar) -> None:
        """Unpack, or be refused; then look whether the outside is untouched."""
        self._archive.write_bytes(tar.bytes())
        try:
            unpack(self._archive, self.inside, Limits())
        finally:
            assert self.photograph() == self._before

    def photograph(self) -> list[tuple[object, ...]]:
        """All there is outside, with the attributes that a bad archive could change."""
        return sorted(
            (str(path), s.st_mode, s.st_uid, s.st_nlink, s.st_size, s.st_mtime_ns)
            for path in (self.outside, *self.outside.rglob("*"))
            for s in [path.lstat()]
        )


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


HOSTILE: dict[str, Callable[[Scene], Tar]] = {
    "absolute name": lambda s: Tar().add(f"{s.outside}/new", b"x"),
    "absolute name of an existing file": lambda s: Tar().add(str(s.secret), b"overwritten"),
    "dots at the front": lambda s: Tar().add("../outside/new", b"x"),
    "dots in the middle": lambda s: Tar().folder("a").add("a/../../outside/new", b"x"),
    "file through an absolute link": lambda s: Tar().link("d", str(s.outside)).add("d/new", b"x"),
    "file through a climbing link": lambda s: Tar().link("d", "../outside").add("d/new", b"x"),
    "file through two links": lambda s: (
        Tar().link("a", ".").link("a/b", "..").link("c", "b/outside").add("c/new", b"x")
    ),
    "file onto a link to a file": lambda s: Tar().link("f", str(s.secret)).add("f", b"overwritten"),
    "folder onto a link": lambda s: (
        Tar().link("d", str(s.outside)).folder("d").add("d/new", b"x")
    ),
    "hard link to an absolute name": lambda s: Tar().hard_link("h", str(s.secret)),
    "hard link that climbs": lambda s: Tar().hard_link("h", "../outside/secret"),
    "hard link through a link": lambda s: (
        Tar().link("d", str(s.outside)).hard_link("h", "d/secret").add("h", b"overwritten")
    ),
    "mode of a link's target": lambda s: (
        Tar().link("d", str(s.secret)).add("d", kind=tarfile.DIRTYPE, mode=0o777, uid=65534)
    ),
    "whiteout through an absolute link": lambda s: (
        Tar().link("d", str(s.outside)).add("d/.wh.secret")
    ),
    "whiteout through a climbing link": lambda s: Tar().link("d", "../outside").add("d/.wh.secret"),
    "opaque mark through a link": lambda s: (
        Tar().link("d", str(s.outside)).add("d/.wh..wh..opq")
    ),
    "whiteout that is a link": lambda s: Tar().link(".wh.x", str(s.secret)),
    "whiteout of the folder above": lambda s: Tar().add(".wh...", b""),
    "whiteout of the folder itself": lambda s: Tar().add("d/.wh..", b""),
    "whiteout of nothing": lambda s: Tar().add("d/.wh.", b""),
    "whiteout with a slash": lambda s: Tar().add(".wh.../outside/secret", b""),
    "whiteout folder": lambda s: Tar().folder(".wh.d").add(".wh.d/x", b"x"),
    "fifo and device over a link": lambda s: (
        Tar().link("f", str(s.secret)).add("f", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_archive_changes_nothing_outside(scene: Scene, trick: str) -> None:
    try:
        scene.unpack(HOSTILE[trick](scene))
    except InvalidArgument:
        pass  # refused: as good as contained
    assert scene.secret.read_bytes() == b"secret"


@pytest.mark.parametrize(
    "trick",
    ["dots at the front", "whiteout of the folder above", "whiteout of nothing", "whiteout folder"],
)
def test_what_makes_no_sense_inside_either_is_refused(scene: Scene, trick: str) -> None:
    with pytest.raises(InvalidArgument):
        scene.unpack(HOSTILE[trick](scene))


def test_a_layer_cannot_speak_to_overlayfs(scene: Scene) -> None:
    """An opaque mark, or a redirect to another folder, must not come from an archive's xattrs."""
    names = ("opaque", "redirect", "metacopy")
    xattrs = {f"SCHILY.xattr.trusted.overlay.{name}": "y" for name in names}
    scene.unpack(Tar().add("d", kind=tarfile.DIRTYPE, pax_headers=xattrs))
    assert os.listxattr(scene.inside / "d") == []


def test_links_that_lead_outside_are_kept_as_links(scene: Scene) -> None:
    """Inside a container they lead somewhere else: /etc/localtime is one."""
    scene.unpack(Tar().link("absolute", "/etc/passwd").link("climbing", "../../x"))
    links = {path.name: str(path.readlink()) for path in scene.inside.iterdir()}
    assert links == {"absolute": "/etc/passwd", "climbing": "../../x"}


def test_owners_modes_devices_and_capabilities_are_kept(scene: Scene) -> None:
    capability = b"\1\0\0\2\0\4\0\0" + bytes(12)  # cap_net_bind_service=ep
    xattr = {"SCHILY.xattr.security.capability": capability.decode("latin-1")}
    tar = Tar()
    tar.add("suid", b"x", mode=0o4755, uid=1234, gid=5678)
    tar.add("capable", b"x", pax_headers=xattr)
    tar.add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    tar.add("queue", kind=tarfile.FIFOTYPE)
    scene.unpack(tar)
    suid, null = (scene.inside / "suid").stat(), (scene.inside / "null").stat()
    assert (suid.st_mode & 0o7777, suid.st_uid, suid.st_gid) == (0o4755, 1234, 5678)
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev) == (True, os.makedev(1, 3))
    assert (scene.inside / "queue").is_fifo()
    assert os.getxattr(scene.inside / "capable", "security.capability") == capability
