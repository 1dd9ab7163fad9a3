"""The floor: runc and conmon on overlay mounts, four at a time, and nobody who orchestrates.

The containers are confined as skep's are, and run the same image; they get no network of their own,
no names, no record and no supervision.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.waiting import seconds
from bench.workshop import Place
from skep.kit.linux import mount
from skep.model.base import encode_json
from skep.runtime.bundle import Bundle
from skep.runtime.capabilities import DEFAULT
from skep.runtime.cgroups import of_this_host
from skep.runtime.oci import oci_config
from skep.runtime.seccomp import default_profile

_AT_A_TIME = 4


def seconds_to_start(place: Place, image: Path, count: int) -> float:
    """How long it takes until `count` containers run, counted from before their mounts are made."""
    loop = _Loop(place, _unpack(image, place.data / "layers"))
    ids = [secrets.token_hex(32) for _ in range(count)]
    try:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return seconds(lambda: list(pool.map(loop.run, ids)))
    finally:
        loop.remove(ids)
        place.clear()


@dataclass(frozen=True)
class _Image:
    layers: tuple[Path, ...]
    """Topmost first, as overlayfs takes them."""
    argv: tuple[str, ...]
    env: tuple[str, ...]


class _Loop:
    def __init__(self, place: Place, image: _Image) -> None:
        self._place = place
        self._image = image
        self._root = place.run / "runc"
        self._unified = of_this_host().is_unified

    def run(self, container_id: str) -> None:
        """One container from nothing to running."""
        folder = self._place.run / container_id
        rootfs = folder / "rootfs"
        rootfs.mkdir(parents=True)
        self._mount(container_id, rootfs)
        bundle = Bundle(
            id=container_id,
            rootfs=str(rootfs),
            argv=self._image.argv,
            env=self._image.env,
            hostname=container_id[:12],
            seccomp=default_profile(DEFAULT),
            cgroup_path=f"{self._place.cgroup}/{container_id}",
        )
        config = oci_config(bundle, unified=self._unified)
        (folder / "config.json").write_bytes(encode_json(config))
        self._create(container_id, folder)
        self._runc("start", container_id)

    def remove(self, ids: list[str]) -> None:
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(lambda each: self._runc("delete", "--force", each), ids))

    def _mount(self, container_id: str, rootfs: Path) -> None:
        own = self._place.data / container_id
        for name in ("diff", "work"):
            (own / name).mkdir(parents=True)
        lower = ":".join(map(str, self._image.layers))
        mount(
            "overlay", rootfs, "overlay",
            data=f"lowerdir={lower},upperdir={own}/diff,workdir={own}/work",
        )  # fmt: skip

    def _create(self, container_id: str, folder: Path) -> None:
        """conmon tells on its pipe when `runc create` is done: a line with the pid."""
        ours, theirs = os.pipe()
        argv = [
            "conmon", "--api-version", "1", "--cid", container_id, "--cuuid", container_id,
            "--runtime", "/usr/sbin/runc", "--runtime-arg=--root", f"--runtime-arg={self._root}",
            "--bundle", str(folder), "--container-pidfile", str(folder / "pid"),
            "--conmon-pidfile", str(folder / "conmon.pid"), "--exit-dir", str(folder),
            "--log-path", f"k8s-file:{folder}/log", "--full-attach",
        ]  # fmt: skip
        with os.fdopen(ours, "rb") as told:
            try:
                subprocess.run(
                    argv,
                    check=True,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, "_OCI_SYNCPIPE": str(theirs)},
                    pass_fds=[theirs],
                )
            finally:
                os.close(theirs)
            line = told.readline()
        if json.loads(line)["data"] <= 0:
            raise RuntimeError(f"runc create failed: {line.decode()}")

    def _runc(self, *words: str) -> None:
        subprocess.run(["runc", "--root", str(self._root), *words], check=True)


def _unpack(image: Path, folder: Path) -> _Image:
    """The layers of a `docker save` archive that we made ourselves."""
    with tarfile.open(image) as archive:
        archive.extractall(folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())[0]
    config = json.loads((folder / manifest["Config"]).read_bytes())["config"]
    layers: list[Path] = []
    for number, name in enumerate(manifest["Layers"]):
        layer = folder / str(number)
        layer.mkdir()
        subprocess.run(["tar", "-xf", str(folder / name), "-C", str(layer)], check=True)
        layers.insert(0, layer)
    return _Image(tuple(layers), tuple(config["Cmd"]), tuple(config["Env"]))
