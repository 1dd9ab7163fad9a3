"""Whether this host can run containers at all, found out by running one."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from pathlib import Path

from skep.kit.errors import SkepError, Unavailable
from skep.runtime.bundle import Bundle, Mount
from skep.runtime.door import Io, Runtime

_TIMEOUT_S = 30.0
_HOST_FOLDERS = ("/bin", "/lib", "/lib64", "/usr")


async def run_probe(runtime: Runtime, folder: Path, program: str) -> None:
    """Run `true` of this host in an otherwise empty container, below `folder`, and remove it.

    Raises Unavailable that names the runtime's program, its reason and what to do.
    """
    container_id = f"probe-{secrets.token_hex(6)}"
    rootfs = folder / container_id
    rootfs.mkdir(parents=True)
    bundle = Bundle(
        id=container_id,
        rootfs=str(rootfs),
        argv=("/bin/true",),
        hostname="probe",
        mounts=tuple(
            Mount(destination=path, source=path, options=("rbind", "ro"))
            for path in _HOST_FOLDERS
            if Path(path).exists()
        ),
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await runtime.create(bundle, Io())
            await runtime.start(container_id)
            end = await runtime.wait(container_id)
    except (SkepError, TimeoutError) as error:
        reason = str(error) or f"no end within {_TIMEOUT_S:.0f} s"
        raise Unavailable(_sentence(program, reason)) from error
    finally:
        await runtime.delete(container_id, force=True)
        shutil.rmtree(rootfs, ignore_errors=True)
    if end.code:
        raise Unavailable(_sentence(program, f"/bin/true ended with exit code {end.code}"))


def _sentence(program: str, reason: str) -> str:
    return (
        f"{program} cannot run containers on this host: {reason}. "
        f"{_remedy(reason)}Run the daemon as root, or choose another runtime."
    )


def _remedy(reason: str) -> str:
    if "cgroup" in reason:
        return (
            "This looks like the host's cgroups: crun before 1.9 refuses hybrid ones, use runc "
            "there. "
        )
    return ""
