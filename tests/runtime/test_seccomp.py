"""The default filter is as strict as Docker's; users' profiles are resolved as Docker does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from skep.kit.errors import InvalidArgument
from skep.model.rules.process import CAPABILITIES
from skep.runtime.capabilities import DEFAULT
from skep.runtime.seccomp import default_filter, default_profile, user_profile

REFUSED_BY_DOCKER = (
    "acct add_key bpf clock_settime clone3 create_module delete_module fanotify_init finit_module"
    " fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy init_module io_uring_enter"
    " io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl"
    " lookup_dcookie mbind mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl"
    " open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise"
    " process_vm_readv process_vm_writev query_module quotactl quotactl_fd reboot request_key"
    " set_mempolicy setdomainname sethostname setns settimeofday stime swapoff swapon _sysctl sysfs"
    " syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old"
)


def rules(capabilities: frozenset[str] = DEFAULT, arch: str = "amd64") -> list[dict[str, Any]]:
    syscalls: list[dict[str, Any]] = default_filter(capabilities, arch, older=True)["syscalls"]
    return syscalls


def allowed(capabilities: frozenset[str] = DEFAULT, arch: str = "amd64") -> set[str]:
    """Names that are allowed whatever their arguments."""
    return {
        name
        for rule in rules(capabilities, arch)
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }


def test_what_docker_refuses_is_refused() -> None:
    assert allowed() & set(REFUSED_BY_DOCKER.split()) == set()


def test_everything_unknown_is_refused() -> None:
    made = default_filter(DEFAULT, "amd64", older=True)
    assert (made["defaultAction"], made["defaultErrnoRet"]) == ("SCMP_ACT_ERRNO", 1)


@pytest.mark.parametrize(
    ("capability", "call"),
    [
        ("CAP_BPF", "bpf"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "unshare"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_NICE", "set_mempolicy"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "process_vm_readv"),
        ("CAP_SYS_RAWIO", "iopl"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYSLOG", "syslog"),
    ],
)
def test_a_capability_opens_its_calls(capability: str, call: str) -> None:
    assert call not in allowed(DEFAULT - {capability})
    assert call in allowed(DEFAULT | {capability})


def test_never_allowed_not_even_with_every_capability() -> None:
    never = {"kexec_load", "keyctl", "add_key", "pivot_root", "swapon", "userfaultfd"}
    assert allowed(frozenset(CAPABILITIES)) & never == set()


def test_clone_makes_no_namespaces_and_clone3_does_not_exist() -> None:
    [clone] = [rule for rule in rules() if rule["names"] == ["clone"]]
    assert clone["args"] == [
        {"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    ]
    [clone3] = [rule for rule in rules() if rule["names"] == ["clone3"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
    [on_s390] = [rule for rule in rules(arch="s390x") if rule["names"] == ["clone"]]
    assert on_s390["args"][0]["index"] == 1
    assert {"clone", "clone3"} <= allowed(DEFAULT | {"CAP_SYS_ADMIN"})


def test_personalities_and_sockets_are_checked_by_argument() -> None:
    values = [rule["args"][0]["value"] for rule in rules() if rule["names"] == ["personality"]]
    assert values == [0, 8, 0x20000, 0x20008, 0xFFFFFFFF]
    [socket] = [rule for rule in rules() if rule["names"] == ["socket"]]
    assert socket["args"] == [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]


def test_architectures() -> None:
    assert default_filter(DEFAULT, "amd64", older=False)["architectures"] == ["SCMP_ARCH_X86_64"]
    both = default_filter(DEFAULT, "arm64", older=True)["architectures"]
    assert both == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert "arch_prctl" in allowed()
    assert "arch_prctl" not in allowed(arch="arm64")


def test_the_default_is_encoded_once() -> None:
    first = default_profile(DEFAULT, "amd64", older=True)
    assert default_profile(DEFAULT, "amd64", older=True) is first
    assert msgspec.json.decode(first) == default_filter(DEFAULT, "amd64", older=True)


PROFILE = b"""{
  "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
  "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
  "syscalls": [
    {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "includes": {}, "excludes": {}},
    {"name": "write", "action": "SCMP_ACT_ALLOW"},
    {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
     "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
    {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}}
  ]}"""


def resolved(capabilities: set[str], kernel: str, arch: str = "amd64") -> list[str]:
    profile = user_profile(PROFILE, capabilities, arch, kernel)
    return [name for rule in profile["syscalls"] for name in rule["names"]]


def test_a_users_profile_is_resolved_for_host_and_container() -> None:
    assert resolved(set(), "6.1.0-18-amd64") == ["read", "write", "clone3", "ptrace"]
    assert resolved({"CAP_SYS_ADMIN"}, "4.4") == ["read", "write", "mount"]
    assert resolved(set(), "4.10", "arm") == ["read", "write", "clone3", "ptrace", "set_tls"]
    profile = user_profile(PROFILE, set(), "amd64", "6.1")
    assert profile["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert profile["syscalls"][2]["errnoRet"] == 38


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"syscalls": []}',
        b'{"defaultAction": 5}',
        b'{"defaultAction": "x", "syscalls": [{"name": "a", "names": ["b"], "action": "y"}]}',
        b'{"defaultAction": "x", "architectures": ["A"], "archMap": [{"architecture": "A"}]}',
    ],
)
def test_a_wrong_profile_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidArgument):
        user_profile(text, set(), "amd64", "6.1")
