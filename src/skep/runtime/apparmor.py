"""AppArmor: which profile a container runs under, and the one that we bring.

The kernel keeps compiled profiles by name, for the whole machine, until it goes down; only the
program apparmor_parser compiles them. Ours says the same whichever instance loads it, so they
share its name. It refuses what Docker's default refuses (docs.docker.com, "AppArmor security
profiles for Docker"): mounts, and writing to what /proc and /sys show of the host. Sources:
apparmor.d(5), kernel Documentation/admin-guide/LSM/apparmor.rst.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from skep.kit import process
from skep.kit.errors import InvalidArgument, Unavailable

DEFAULT_PROFILE = "skep-default"
UNCONFINED = "unconfined"

_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
_KERNEL = Path("/sys/kernel/security/apparmor")
_OWN_LABEL = Path("/proc/self/attr/current")
_DEFAULT_NAMES = frozenset({DEFAULT_PROFILE, "docker-default", "runtime/default"})
"""A caller who names Docker's default, or Kubernetes', means the default."""
_RUNTIMES = ("runc", "crun")
"""Ubuntu 24.04 gives these programs labels of their own, which confine nothing."""
_LOAD_TIMEOUT_S = 30.0


class Support(msgspec.Struct, frozen=True):
    """`enabled`: the kernel confines by AppArmor. `parser`: the program's path, "" for none."""

    enabled: bool = False
    parser: str = ""

    @property
    def has_default(self) -> bool:
        return self.enabled and bool(self.parser)


def of_this_host() -> Support:
    try:
        enabled = _ENABLED.read_text().startswith("Y") and _KERNEL.exists()
    except OSError:
        enabled = False
    return Support(enabled, process.find_program("apparmor_parser") or "")


def profile_for(asked: str, *, privileged: bool, support: Support) -> str | None:
    """The profile to run under, None for a host where that means nothing.

    `asked` is --security-opt's word; "" is the default: ours, or none for the privileged.
    """
    if asked in _DEFAULT_NAMES:
        return DEFAULT_PROFILE
    if asked and asked != UNCONFINED:
        return asked
    if not support.enabled:
        return None
    if asked or privileged:
        return UNCONFINED
    return DEFAULT_PROFILE if support.parser else None


def check_profile(asked: str, support: Support, kernel: Path = _KERNEL) -> None:
    """Raises InvalidArgument when the host cannot have the profile that is asked for by name."""
    if asked in {"", UNCONFINED}:
        return
    if not support.enabled:
        raise InvalidArgument(
            f"AppArmor is not enabled on this host: apparmor={asked} cannot be had"
        )
    if asked in _DEFAULT_NAMES:
        if not support.parser:
            raise InvalidArgument(
                f"apparmor={asked} cannot be had: apparmor_parser is not installed "
                "(Debian: apt install apparmor)"
            )
    elif asked not in loaded_profiles(kernel):
        raise InvalidArgument(
            f'the AppArmor profile "{asked}" is not loaded on this host: '
            "load it with apparmor_parser first"
        )


def loaded_profiles(kernel: Path = _KERNEL) -> set[str]:
    """Lines `name (mode)`; a name may have spaces and parentheses."""
    lines = (kernel / "profiles").read_text().splitlines()
    return {line.rpartition(" (")[0] for line in lines}


def profile_text(our_label: str = UNCONFINED) -> str:
    """Our profile's source, for a daemon that runs under `our_label` itself.

    Nothing is included: it must load where /etc/apparmor.d is empty. The kernel resolves
    /proc/self before it asks, so what is not a number below /proc belongs to the host.
    """
    senders = dict.fromkeys((UNCONFINED, *_RUNTIMES, our_label))
    signals = "\n".join(f'  signal (receive) peer="{sender}",' for sender in senders)
    return f"""\
profile {DEFAULT_PROFILE} flags=(attach_disconnected,mediate_deleted) {{
  network,
  capability,
  file,
  umount,
{signals}
  signal (send, receive) peer={DEFAULT_PROFILE},
  ptrace (trace, read, tracedby, readby) peer={DEFAULT_PROFILE},

  deny mount,

  deny /proc/* w,
  deny /proc/{{[^0-9s]*,s[^y]*,sy[^s]*,sys?*}}/** w,
  deny /proc/sys/{{[^k]**,k[^e]**}} w,
  deny /proc/sys/kernel/{{[^s]**,s[^h]**,sh[^m]**}} w,
  deny /proc/{{sysrq-trigger,kcore}} rwklx,

  deny /sys/{{[^f]*,f[^s]*}}/** wklx,
  deny /sys/fs/{{[^c]*,c[^g]*,cg[^r]*}}/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/devices/virtual/powercap/** rwklx,
  deny /sys/kernel/security/** rwklx,
}}
"""


class DefaultProfile:
    """Our profile in the kernel. `folder` is a place for its source."""

    def __init__(self, folder: Path, support: Support, kernel: Path = _KERNEL) -> None:
        self._source = folder / DEFAULT_PROFILE
        self._support = support
        self._policies = kernel / "policy/profiles"
        self._loaded: Path | None = None
        self._turn = asyncio.Lock()

    async def ensure(self) -> None:
        """Load it unless it is there: once in a daemon's life, and when somebody removed it.

        Raises Unavailable with apparmor_parser's reason.
        """
        async with self._turn:
            if self._loaded is None or not self._loaded.exists():
                await self._load()

    async def _load(self) -> None:
        if not self._support.parser:
            raise Unavailable(
                "the default AppArmor profile cannot be loaded: apparmor_parser is not installed "
                "(Debian: apt install apparmor)"
            )
        self._source.write_text(profile_text(_own_label()))
        command = [self._support.parser, "--replace", "--skip-cache", str(self._source)]
        try:
            code, output = await process.run(command, os.environ, _LOAD_TIMEOUT_S)
        except TimeoutError:
            code, output = -1, f"no end within {_LOAD_TIMEOUT_S:.0f} s".encode()
        if code:
            reason = output.decode(errors="replace").strip()
            raise Unavailable(f"the default AppArmor profile cannot be loaded: {reason}")
        self._loaded = next(self._policies.glob(f"{DEFAULT_PROFILE}.*"), None)


def _own_label() -> str:
    """The profile that this process runs under itself: text `name (mode)`, or `unconfined`."""
    try:
        text = _OWN_LABEL.read_text()
    except OSError:  # a kernel without security modules
        return UNCONFINED
    return text.rstrip("\0\n").rpartition(" (")[0] or UNCONFINED
