"""What this machine is: asked once, when the daemon starts."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from pathlib import Path

from skep import __version__
from skep.daemon.settings import DaemonSettings, generic_resources
from skep.engine.settings import INIT
from skep.kit.files import write_atomically
from skep.kit.ids import new_container_id
from skep.kit.linux import mounted_at
from skep.kit.process import find_program, run
from skep.model.node import EngineDescription, NodeDescription, Plugin
from skep.model.service import Platform, Resources
from skep.model.system import Component, Facts
from skep.runtime import apparmor
from skep.runtime.cgroups import of_this_host

_PROGRAMS = ("runc", "conmon", "skopeo")
_DOCKERS_WORD = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}
_VERSION_S = 5.0
_NO_PARSER = (
    "WARNING: AppArmor is enabled, but apparmor_parser is not installed: "
    "containers run without a profile (Debian: apt install apparmor)"
)
_PLUGINS = (
    ("Log", "json-file"),
    ("Log", "none"),
    ("Network", "bridge"),
    ("Network", "host"),
    ("Network", "null"),
    ("Network", "overlay"),
    ("Volume", "local"),
)


async def discover_facts(settings: DaemonSettings) -> Facts:
    """Read the machine's own files and ask the programs that we run on for their versions."""
    found = {name: path for name in _PROGRAMS if (path := find_program(name))}
    versions = await asyncio.gather(*(_version(path) for path in found.values()))
    release = platform.freedesktop_os_release()
    support, unified = apparmor.of_this_host(), of_this_host().is_unified
    return Facts(
        daemon_id=await asyncio.to_thread(_daemon_id, Path(settings.data_root)),
        hostname=socket.gethostname(),
        data_root=settings.data_root,
        kernel_version=platform.release(),
        operating_system=release.get("PRETTY_NAME", "Linux"),
        os_version=release.get("VERSION_ID", ""),
        machine=platform.machine(),
        cpus=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cgroup_version=2 if unified else 1,
        components=tuple(
            Component(name=name, version=version)
            for name, version in zip(found, versions, strict=True)
        ),
        labels=tuple(settings.labels),
        insecure_registries=tuple(settings.insecure_registries),
        runtimes={"runc": found["runc"]} if "runc" in found else {},
        backing_filesystem=_backing(Path(settings.data_root)),
        init_binary=Path(INIT).name if Path(INIT).exists() else "",
        security_options=_security_options(confines=support.has_default, unified=unified),
        warnings=(_NO_PARSER,) if support.enabled and not support.parser else (),
    )


async def machine_goes_down() -> bool:
    """Whether systemd is stopping everything; False where another init runs."""
    if not Path("/run/systemd/system").exists():
        return False
    try:
        _, output = await run(
            [find_program("systemctl") or "", "is-system-running"], os.environ, _VERSION_S
        )
    except (TimeoutError, OSError):
        return False
    return output.strip() == b"stopping"


def describe_node(facts: Facts, settings: DaemonSettings) -> NodeDescription:
    """The machine as the cluster sees it."""
    labels = dict(label.partition("=")[::2] for label in settings.labels)
    return NodeDescription(
        hostname=facts.hostname,
        platform=Platform(architecture=facts.machine, os="linux"),
        resources=Resources(
            nano_cpus=facts.cpus * 10**9,
            memory_bytes=facts.memory_bytes,
            generic_resources=generic_resources(settings.node_generic_resources),
        ),
        engine=EngineDescription(
            engine_version=__version__,
            labels=labels,
            plugins=[Plugin(type=kind, name=name) for kind, name in _PLUGINS],
        ),
    )


def _security_options(*, confines: bool, unified: bool) -> tuple[str, ...]:
    """What every container gets unless it asks for less, in docker's words and order."""
    return (
        *(["name=apparmor"] if confines else []),
        "name=seccomp,profile=builtin",
        *(["name=cgroupns"] if unified else []),
    )


def _backing(folder: Path) -> str:
    kind = mounted_at(folder).kind
    return _DOCKERS_WORD.get(kind, kind)


def _daemon_id(data_root: Path) -> str:
    """Made once for a data root, and kept there."""
    path = data_root / "engine-id"
    try:
        return path.read_text(errors="replace").strip()
    except FileNotFoundError:
        data_root.mkdir(parents=True, exist_ok=True)
        daemon_id = new_container_id()
        write_atomically(path, daemon_id.encode(), 0o600)
        return daemon_id


async def _version(program: str) -> str:
    """The last word of the first line that `program --version` prints."""
    try:
        _, output = await run([program, "--version"], os.environ, _VERSION_S)
    except (TimeoutError, OSError):
        return "unknown"
    words = output.decode(errors="replace").partition("\n")[0].split()
    return words[-1] if words else "unknown"
