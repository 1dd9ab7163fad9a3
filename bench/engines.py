"""Who is measured: skep's daemon and Debian's dockerd, each in a place of its own."""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Protocol

from bench import memory
from bench.api import Api
from bench.figures import DOCKERD, SKEP
from bench.program import Program
from bench.waiting import wait_until
from bench.workshop import Place

SKEP_COMMAND = str(Path(sys.executable).with_name("skep"))
_START_S = 60.0

_CONTAINERD = """
version = 2
root = "{data}/containerd"
state = "{run}/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{run}/containerd.sock"
"""
"""As dockerd starts it when no containerd runs: the part for Kubernetes is left out."""


class Engine(Protocol):
    """A daemon that answers the Engine API."""

    name: str
    place: Place
    api: Api

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Skep:
    name = SKEP

    def __init__(self, place: Place) -> None:
        self.place = place
        self.api = Api(place.run / "skep.sock")

    def start(self) -> None:
        place = self.place
        self._daemon = Program(
            [
                SKEP_COMMAND, "daemon",
                "--data-root", f"{place.data}/skep",
                "--exec-root", f"{place.run}/skep",
                "--host", f"unix://{self.api.path}",
                "--config-file", _empty_config(place),
            ],
            place.namespace,
            place.data / "daemon.log",
        )  # fmt: skip
        wait_for(self.api, self._daemon)

    def stop(self) -> None:
        self.api.close()
        self._daemon.stop()

    def kill(self) -> None:
        self.api.close()
        self._daemon.kill()


class Dockerd:
    name = DOCKERD

    def __init__(self, place: Place) -> None:
        self.place = place
        self.api = Api(place.run / "docker.sock")

    def start(self) -> None:
        place = self.place
        config = place.data / "containerd.toml"
        config.write_text(_CONTAINERD.format(data=place.data, run=place.run))
        log = place.data / "daemon.log"
        self._containerd = Program(
            ["containerd", "--config", str(config), "--log-level", "error"], place.namespace, log
        )
        wait_until(
            (place.run / "containerd.sock").exists, _START_S, "containerd's socket is not there"
        )
        self._dockerd = Program(
            [
                "dockerd",
                "--data-root", f"{place.data}/docker",
                "--exec-root", f"{place.run}/docker",
                "--pidfile", f"{place.run}/docker.pid",
                "--host", f"unix://{self.api.path}",
                "--containerd", f"{place.run}/containerd.sock",
                "--config-file", _empty_config(place),
                "--cgroup-parent", place.cgroup,
                "--exec-opt", "native.cgroupdriver=cgroupfs",
                "--log-level", "error",
            ],
            place.namespace,
            log,
            # The image is there already: do not let it lose time asking a registry for it.
            {"DOCKER_SERVICE_PREFER_OFFLINE_IMAGE": "1"},
        )  # fmt: skip
        wait_for(self.api, self._dockerd)

    def stop(self) -> None:
        self.api.close()
        self._dockerd.stop()
        self._containerd.stop()


def dockerd_is_installed() -> bool:
    return all(shutil.which(program) for program in ("dockerd", "containerd"))


def memory_mib(engine: Engine) -> float:
    """Daemon, helpers, and what watches over each container."""
    return memory.pss_mib(engine.place.processes())


def wait_for(api: Api, daemon: Program) -> None:
    """Until the daemon answers; raises RuntimeError with its last words when it ends instead."""

    def ready() -> bool:
        if not daemon.runs:
            raise RuntimeError(f"the daemon ended: {daemon.last_words()}")
        return api.answers()

    try:
        wait_until(ready, _START_S, "the daemon does not answer")
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            daemon.stop()
        raise


def _empty_config(place: Place) -> str:
    """The machine's own daemon.json is none of our business."""
    path = place.data / "daemon.json"
    path.write_text("{}\n")
    return str(path)
