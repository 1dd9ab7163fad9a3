"""Names of Linux capabilities, and which of them a container gets (--cap-add, --cap-drop)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from skep.model.rules.process import ALL_CAPABILITIES, CAPABILITIES, capability

_DEFAULT_NAMES = (
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW"
    " SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"
)
DEFAULT = frozenset(f"CAP_{name}" for name in _DEFAULT_NAMES.split())
"""What root in a container may do when nobody says otherwise: Docker's fourteen."""


def from_mask(mask: int) -> frozenset[str]:
    """The names of a bit mask as /proc/<pid>/status writes it; bits without a name are left out."""
    return frozenset(name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)


def of_this_host(status: Path = Path("/proc/self/status")) -> frozenset[str]:
    """What we ourselves may do, hence the most that a container can get."""
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return from_mask(int(line.split()[1], 16))
    return frozenset()


def resolve(
    add: Iterable[str], drop: Iterable[str], *, privileged: bool, host: frozenset[str]
) -> frozenset[str]:
    """The final set for docker's words: with or without `CAP_`, any case, `ALL`.

    As in docker, `ALL` in one list makes the other list the exceptions; never more than `host`.
    Raises InvalidArgument for a name that Linux does not have.
    """
    if privileged:
        return host
    added, dropped = set(map(capability, add)), set(map(capability, drop))
    if ALL_CAPABILITIES in added:
        return host - dropped
    base = frozenset() if ALL_CAPABILITIES in dropped else DEFAULT - dropped
    return (base | added) & host
