"""Which AppArmor profile a container gets, and ours in the kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skep.kit.errors import InvalidArgument, Unavailable
from skep.runtime.apparmor import (
    DEFAULT_PROFILE,
    DefaultProfile,
    Support,
    check_profile,
    loaded_profiles,
    of_this_host,
    profile_for,
    profile_text,
)
from skep.testing.container_host import ContainerHost

FULL = Support(enabled=True, parser="/sbin/apparmor_parser")
NO_PARSER = Support(enabled=True)
NONE = Support()

here = pytest.mark.skipif(not of_this_host().has_default, reason="needs AppArmor in the kernel")


@pytest.mark.parametrize(
    ("asked", "privileged", "support", "profile"),
    [
        ("", False, FULL, DEFAULT_PROFILE),
        ("", True, FULL, "unconfined"),
        ("", False, NO_PARSER, None),
        ("", True, NONE, None),
        ("unconfined", False, FULL, "unconfined"),
        ("unconfined", False, NONE, None),
        ("docker-default", True, FULL, DEFAULT_PROFILE),
        ("mine", True, FULL, "mine"),
    ],
)
def test_the_profile_of_a_container(
    asked: str, privileged: bool, support: Support, profile: str | None
) -> None:
    assert profile_for(asked, privileged=privileged, support=support) == profile


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """What the kernel shows of a machine with two profiles, one with an odd name."""
    (tmp_path / "policy/profiles").mkdir(parents=True)
    (tmp_path / "profiles").write_text("mine (enforce)\nodd (one) (complain)\n")
    return tmp_path


def test_profiles_are_known_by_name(kernel: Path) -> None:
    assert loaded_profiles(kernel) == {"mine", "odd (one)"}


@pytest.mark.parametrize("asked", ["", "unconfined", "mine", "docker-default"])
def test_what_the_host_has_may_be_asked_for(kernel: Path, asked: str) -> None:
    check_profile(asked, FULL, kernel)


@pytest.mark.parametrize(
    ("asked", "support", "complaint"),
    [
        ("mine", NONE, "AppArmor is not enabled on this host: apparmor=mine cannot be had"),
        ("docker-default", NO_PARSER, "apparmor_parser is not installed"),
        ("other", FULL, 'profile "other" is not loaded on this host'),
    ],
)
def test_what_the_host_lacks_is_refused_by_name(
    kernel: Path, asked: str, support: Support, complaint: str
) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        check_profile(asked, support, kernel)


def parser_of(kernel: Path, script: str) -> Support:
    parser = kernel / "parser"
    parser.write_text(f"#!/bin/sh\n{script}\n")
    parser.chmod(0o755)
    return Support(enabled=True, parser=str(parser))


async def test_it_is_loaded_once_and_again_when_it_was_removed(kernel: Path) -> None:
    policy = kernel / f"policy/profiles/{DEFAULT_PROFILE}.7"
    calls = kernel / "calls"
    support = parser_of(kernel, f'echo "$@" >>{calls}; mkdir -p {policy}')
    profile = DefaultProfile(kernel, support, kernel)
    for _ in range(2):
        await profile.ensure()
        await profile.ensure()
        policy.rmdir()
    source = kernel / DEFAULT_PROFILE
    assert calls.read_text().splitlines() == [f"--replace --skip-cache {source}"] * 2
    assert source.read_text().startswith(f"profile {DEFAULT_PROFILE} ")


async def test_the_parsers_reason_is_told(kernel: Path) -> None:
    profile = DefaultProfile(kernel, parser_of(kernel, "echo no luck >&2; exit 1"), kernel)
    with pytest.raises(Unavailable, match="cannot be loaded: no luck"):
        await profile.ensure()


def test_a_confined_daemon_may_signal_its_containers() -> None:
    senders = re.findall(r'signal \(receive\) peer="(.*)"', profile_text("skepd"))
    assert senders == ["unconfined", "runc", "crun", "skepd"]
    assert profile_text().count('peer="unconfined"') == 1


@here
async def test_the_kernel_holds_a_container_to_it(host: ContainerHost) -> None:
    """With every capability and no other guard: what is left is the profile."""
    output = await host.output(
        "cat /proc/self/attr/current; mount -t tmpfs none /tmp; echo 0 >/proc/sysrq-trigger;"
        "echo 1 >/proc/self/oom_score_adj && echo own",
        apparmor_profile=DEFAULT_PROFILE,
        capabilities=frozenset({"CAP_SYS_ADMIN"}),
        seccomp=None,
        readonly_paths=(),
    )
    assert f"{DEFAULT_PROFILE} (enforce)" in output
    assert output.count("Permission denied") == 2
    assert "\nown\n" in output
