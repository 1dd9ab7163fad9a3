"""Small images made from Debian's busybox-static: for tests, benchmarks and the demo.

They need no registry and no tool: a layer with busybox and its links, a layer with the caller's
files, and a config, written as a `docker load`-able archive in some milliseconds.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from skep.model.base import encode_json
from skep.model.image import HistoryEntry, ImageConfig, ImageDocument, RootFS
from skep.model.reference import parse_reference

BUSYBOX = Path("/bin/busybox")
"""From the Debian package busybox-static."""

_APPLETS = (
    "sh", "ash", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df",
    "dirname", "du", "echo", "env", "expr", "false", "find", "free", "grep", "head", "hostname",
    "httpd", "id", "ifconfig", "ip", "kill", "ln", "ls", "md5sum", "mkdir", "mknod", "mktemp",
    "mount", "mv", "nc", "netstat", "nproc", "nslookup", "ping", "printf", "ps", "pwd", "readlink",
    "rm", "rmdir", "route", "sed", "seq", "sha256sum", "sleep", "sort", "stat", "stty", "sync",
    "tail", "tar", "tee", "test", "time", "timeout", "top", "touch", "tr", "true", "tty", "umount",
    "uname", "uniq", "uptime", "vi", "wc", "wget", "which", "whoami", "xargs", "yes",
)  # fmt: skip
_FOLDERS = ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var", "www")
_ETC = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"root:x:0:\nnogroup:x:65534:\n",
}
_DEFAULT_CONFIG = ImageConfig(env=("PATH=/bin:/usr/bin:/sbin:/usr/sbin",), cmd=("sh",))


def make_image(
    path: Path,
    name: str,
    *,
    files: Mapping[str, bytes] | None = None,
    cmd: Sequence[str] = ("sh",),
    entrypoint: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    config: ImageConfig = _DEFAULT_CONFIG,
    architecture: str = "amd64",
    created: datetime = datetime(2026, 1, 1, tzinfo=UTC),
) -> str:
    """Write the image `name` (`repo:tag`) to `path`; returns its id.

    `files` (path in the image -> content) are executable when they begin with `#!`. `env` adds to
    `config`'s, the other words replace it. The same arguments always make the same image.
    """
    layers = [_busybox_layer(), _files_layer(files or {})]
    full = msgspec.structs.replace(
        config,
        cmd=tuple(cmd) or None,
        entrypoint=tuple(entrypoint) or config.entrypoint,
        env=(*(config.env or ()), *(f"{key}={value}" for key, value in (env or {}).items())),
        labels=dict(labels) if labels else config.labels,
    )
    document = encode_json(
        ImageDocument(
            architecture=architecture,
            os="linux",
            rootfs=RootFS(tuple(f"sha256:{_sha256(layer)}" for layer in layers)),
            config=full,
            created=created,
            history=(HistoryEntry(created_by="busybox"), HistoryEntry(created_by="files")),
        )
    )
    write_archive(path, name, document, layers)
    return f"sha256:{_sha256(document)}"


def write_archive(path: Path, name: str, document: bytes, layers: Sequence[bytes]) -> None:
    """Write any config document and layer archives as a `docker load`-able archive."""
    config_name = f"{_sha256(document)}.json"
    layer_names = [f"{_sha256(layer)}/layer.tar" for layer in layers]
    names = [parse_reference(name).with_default_tag().familiar] if name else []
    manifest = [{"Config": config_name, "RepoTags": names, "Layers": layer_names}]
    members = {config_name: document, "manifest.json": encode_json(manifest)}
    members |= dict(zip(layer_names, layers, strict=True))
    path.write_bytes(make_tar(members))


def make_tar(files: Mapping[str, bytes]) -> bytes:
    """Files as a tar, executable where they begin with `#!`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            _add_file(archive, name, content, 0o755 if content.startswith(b"#!") else 0o644)
    return buffer.getvalue()


def _busybox_layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in _FOLDERS:
            _add(archive, name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        for name, content in _ETC.items():
            _add_file(archive, name, content, 0o644)
        _add_file(archive, "bin/busybox", BUSYBOX.read_bytes(), 0o755)
        for applet in _APPLETS:
            _add(archive, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
    return buffer.getvalue()


def _files_layer(files: Mapping[str, bytes]) -> bytes:
    return make_tar({name.lstrip("/"): content for name, content in files.items()})


def _add(archive: tarfile.TarFile, name: str, kind: bytes, mode: int, link: str = "") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname = kind, mode, link
    archive.addfile(member)


def _add_file(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
