"""Which system calls a container may make: our default filter, and filters that users bring.

The default refuses what Docker's default refuses (moby profiles/seccomp/default.json), as an
allow-list: a call that is not known here is refused with EPERM. What reaches outside the
container's namespaces needs the capability that the kernel asks for anyway.

Two things are decided for speed, both on the strict side. libseccomp compiles the filter anew in
each container, and its cost grows with each architecture (measured: x86-64 alone 2 ms, with i386
4 ms, with x32 11 ms). So x32, which distributions' kernels refuse, is not in the filter; and i386
is left out where the kernel cannot run it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from skep.kit.errors import InvalidArgument
from skep.kit.machines import go_architecture

_ALWAYS = {
    "files": """
        access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
        faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2
        fchown fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs
        fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown
        lchown32 link linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat newfstatat
        open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
        readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat
        stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate
        truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write
        writev cachestat""",
    "extended attributes": """
        fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr
        lremovexattr lsetxattr removexattr setxattr""",
    "watching files": """
        fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch""",
    "asynchronous input and output": """
        io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit""",
    "waiting": """
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
        epoll_wait_old eventfd eventfd2 _newselect pause poll ppoll ppoll_time64 pselect6
        pselect6_time64 select""",
    "locks between threads": """
        futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
        membarrier restart_syscall rseq set_robust_list""",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
        recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown
        socketcall socketpair""",
    "pipes, queues and shared memory": """
        ipc memfd_create memfd_secret mq_getsetattr mq_notify mq_open mq_timedreceive
        mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv
        msgsnd pipe pipe2 semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt
        shmget""",
    "memory": """
        brk madvise map_shadow_stack mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal
        msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
        remap_file_pages""",
    "processes and threads": """
        capget capset execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid
        getsid gettid get_thread_area kill pidfd_open pidfd_send_signal prctl seccomp setpgid
        setsid set_thread_area set_tid_address tgkill tkill vfork wait4 waitid waitpid""",
    "users and groups": """
        getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid
        getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32
        setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid
        setresuid32 setreuid setreuid32 setuid setuid32""",
    "own limits and priority": """
        getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_getaffinity
        sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
        sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity
        sched_setattr sched_setparam sched_setscheduler sched_yield setpriority setrlimit
        ugetrlimit""",
    "signals": """
        rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
        rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4
        sigprocmask sigreturn""",
    "time (setting it needs CAP_SYS_TIME, which the kernel asks for)": """
        adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64
        clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer
        gettimeofday nanosleep setitimer time timer_create timer_delete timer_getoverrun
        timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
        timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times""",
    "facts about the machine": "getrandom sysinfo uname",
    "narrowing oneself, and debugging one's own": """
        landlock_add_rule landlock_create_ruleset landlock_restrict_self ptrace""",
}

_WITH_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount
        mount_setattr move_mount name_to_handle_at open_tree perf_event_open quotactl quotactl_fd
        setdomainname sethostname setns syslog umount umount2 unshare""",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYSLOG": "syslog",
}

_ON_ARCHITECTURE = {
    "amd64": "arch_prctl modify_ldt",
    "386": "modify_ldt",
    "arm": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    "arm64": "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2",
    "ppc64le": "sync_file_range2 swapcontext",
    "riscv64": "riscv_flush_icache",
    "s390x": "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
}

_TOKENS = {
    "amd64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86"),
    "386": ("SCMP_ARCH_X86",),
    "arm64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "arm": ("SCMP_ARCH_ARM",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}
"""The architecture first, then the older one whose programs its kernel also runs."""

PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, UNAME26 (old version numbers), 32 bit, both; and the question which one it is."""

NEW_NAMESPACES = 0x7E020000
"""The clone(2) flags that make namespaces: mount, cgroup, uts, ipc, user, pid, net."""

AF_VSOCK = 40
"""Sockets to the hypervisor know no namespaces: a container would reach the host's."""

_EPERM = 1
_ENOSYS = 38


def architecture() -> str:
    """This machine in docker's words: "amd64", "arm64", …"""
    return go_architecture(platform.machine())


def runs_older_programs(arch: str, vsyscall32: Path = Path("/proc/sys/abi/vsyscall32")) -> bool:
    """Whether this kernel runs programs of the older architecture (i386 on amd64)."""
    return arch != "amd64" or vsyscall32.exists()


@lru_cache(maxsize=64)
def default_profile(
    capabilities: frozenset[str], arch: str | None = None, *, older: bool | None = None
) -> msgspec.Raw:
    """The default filter as an OCI seccomp object, encoded once per set of capabilities.

    `arch` is docker's word (default: this machine's); `older` whether programs of the older
    architecture of its family may run (default: when this kernel can).
    """
    arch = architecture() if arch is None else arch
    older = runs_older_programs(arch) if older is None else older
    return msgspec.Raw(msgspec.json.encode(default_filter(capabilities, arch, older=older)))


def default_filter(capabilities: frozenset[str], arch: str, *, older: bool) -> dict[str, Any]:
    """The default filter as values: see `default_profile`."""
    tokens = _TOKENS.get(arch, ())
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": _EPERM,
        "architectures": list(tokens if older else tokens[:1]),
        "syscalls": [
            _allow(_plainly_allowed(capabilities, arch)),
            *(_allow(["personality"], _is(0, value)) for value in PERSONALITIES),
            _allow(["socket"], {"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE"}),
            *_clone_rules(capabilities, arch),
        ],
    }


def _plainly_allowed(capabilities: frozenset[str], arch: str) -> list[str]:
    groups = [*_ALWAYS.values(), _ON_ARCHITECTURE.get(arch, "")]
    groups += [names for needed, names in _WITH_CAPABILITY.items() if needed in capabilities]
    return sorted({name for group in groups for name in group.split()})


def _clone_rules(capabilities: frozenset[str], arch: str) -> Iterator[dict[str, Any]]:
    """Threads and children, no namespaces.

    clone3 hides its flags behind a pointer that a filter cannot follow: ENOSYS makes the C library
    fall back to clone. s390 takes clone's first two arguments in the other order.
    """
    if "CAP_SYS_ADMIN" in capabilities:
        return
    flags = 1 if arch == "s390x" else 0
    no_namespace = {
        "index": flags,
        "value": NEW_NAMESPACES,
        "valueTwo": 0,
        "op": "SCMP_CMP_MASKED_EQ",
    }
    yield _allow(["clone"], no_namespace)
    yield {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}


def _is(index: int, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}


def _allow(names: list[str], *args: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ALLOW"}
    return rule | {"args": list(args)} if args else rule


# --- filters that users bring -----------------------------------------------------------------


class _Condition(msgspec.Struct, frozen=True):
    arches: tuple[str, ...] = ()
    caps: tuple[str, ...] = ()
    minKernel: str = ""  # noqa: N815  (the file format's spelling)


class _Rule(msgspec.Struct, frozen=True, rename="camel"):
    action: str
    names: tuple[str, ...] = ()
    name: str = ""
    args: tuple[dict[str, Any], ...] | None = None
    errno_ret: int | None = None
    includes: _Condition | None = None
    excludes: _Condition | None = None


class _ArchMap(msgspec.Struct, frozen=True, rename="camel"):
    architecture: str
    sub_architectures: tuple[str, ...] | None = None


class _Profile(msgspec.Struct, frozen=True, rename="camel"):
    default_action: str
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] | None = None
    arch_map: tuple[_ArchMap, ...] | None = None
    syscalls: tuple[_Rule, ...] | None = None
    flags: tuple[str, ...] | None = None
    listener_path: str | None = None
    listener_metadata: str | None = None


def user_profile(
    text: bytes, capabilities: Iterable[str], arch: str | None = None, kernel: str | None = None
) -> dict[str, Any]:
    """A profile in docker's file format, resolved for one container into an OCI seccomp object.

    `arch` and `kernel` ("6.1") are this machine's unless said. Raises InvalidArgument.
    """
    try:
        profile = msgspec.json.decode(text, type=_Profile)
    except msgspec.DecodeError as error:
        raise InvalidArgument(f"Decoding seccomp profile failed: {error}") from None
    if profile.architectures and profile.arch_map:
        raise InvalidArgument(
            "use either 'architectures' or 'archMap' in the seccomp profile, not both"
        )
    host = _Host(
        arch=architecture() if arch is None else arch,
        capabilities=frozenset(capabilities),
        kernel=_version(platform.release() if kernel is None else kernel),
    )
    resolved: dict[str, Any] = {
        "defaultAction": profile.default_action,
        "architectures": list(profile.architectures or _mapped(profile, host.arch)),
        "syscalls": [_rule(rule) for rule in profile.syscalls or () if _applies(rule, host)],
    }
    optional = {
        "defaultErrnoRet": profile.default_errno_ret,
        "flags": profile.flags,
        "listenerPath": profile.listener_path,
        "listenerMetadata": profile.listener_metadata,
    }
    return resolved | {key: value for key, value in optional.items() if value is not None}


class _Host(msgspec.Struct, frozen=True):
    arch: str
    capabilities: frozenset[str]
    kernel: tuple[int, ...]


def _mapped(profile: _Profile, arch: str) -> tuple[str, ...]:
    own = _TOKENS.get(arch, ("",))[0]
    for entry in profile.arch_map or ():
        if entry.architecture == own:
            return (own, *(entry.sub_architectures or ()))
    return ()


def _applies(rule: _Rule, host: _Host) -> bool:
    """All that is included must be so, nothing that is excluded may be."""
    wanted, refused = rule.includes or _Condition(), rule.excludes or _Condition()
    if wanted.arches and host.arch not in wanted.arches:
        return False
    if not host.capabilities.issuperset(wanted.caps):
        return False
    if wanted.minKernel and host.kernel < _version(wanted.minKernel):
        return False
    if host.arch in refused.arches or host.capabilities.intersection(refused.caps):
        return False
    return not (refused.minKernel and host.kernel >= _version(refused.minKernel))


def _rule(rule: _Rule) -> dict[str, Any]:
    if rule.name and rule.names:
        raise InvalidArgument("use either 'name' or 'names' in a seccomp rule, not both")
    resolved: dict[str, Any] = {
        "names": list(rule.names or (rule.name,)),
        "action": rule.action,
    }
    if rule.args:
        resolved["args"] = list(rule.args)
    if rule.errno_ret is not None:
        resolved["errnoRet"] = rule.errno_ret
    return resolved


def _version(release: str) -> tuple[int, ...]:
    """ "6.1.0-18-amd64" is (6, 1)."""
    numbers = release.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdigit())
