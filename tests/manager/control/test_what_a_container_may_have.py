"""What a service accepts its nodes' engines accept: both judge by one rule book.

What only a node can know stays its affair, and a task's error then says it: an image or a bind's
source that is not there, a volume that exists with other options, a profile or a device that the
host lacks, a signal of the image. A volume driver that no node has keeps the task waiting.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from skep.agent.container import container_wish
from skep.engine.containers.checks import check_wish
from skep.engine.containers.mounts import volumes_to_make, wanted_mounts
from skep.kit.errors import InvalidArgument, SkepError
from skep.manager.control.validate import check_spec
from skep.model.defaults import container
from skep.model.rules.volumes import check_volume_options
from skep.model.service import (
    AppArmorOpts,
    BindOptions,
    ContainerSpec,
    DNSConfig,
    Driver,
    HealthConfig,
    Limit,
    Mount,
    Privileges,
    ResourceRequirements,
    SeccompOpts,
    ServiceSpec,
    TaskSpec,
    TmpfsOptions,
    VolumeOptions,
)
from skep.testing import builders as b

MIB = 2**20
NODE = b.node("n1", labels={"zone": "west"})

words = st.sampled_from([
    "", "a", "A=1", "=x", "/", "/a", "/a/", "//a", "a/b", "a b", "a:b", "a=b", ".", "..", "-", "\n",
    "{{.Node.ID}}", "/v/{{.Task.Slot}}", "v-{{.Service.Name}}", "{{.Nope}}", "{{", "TERM", "99",
    "9", "RTMIN+3", "RTMIN", "1m", "0", "-1", "NET_ADMIN", "cap_chown", "ALL", "10.0.0.1 db",
    "::1 a=b",
])  # fmt: skip
numbers = st.sampled_from([-1, 0, 1, 999, 1_000_000, 4 * MIB, 5 * MIB, 6 * MIB, 10**9, 2**40])
few_words = st.lists(words, max_size=2)
options = st.dictionaries(
    st.sampled_from(["type", "o", "device", "max-size", "max-file", "mode", "tag"]),
    words,
    max_size=3,
)
drivers = st.builds(
    Driver, name=st.sampled_from(["", "local", "json-file", "none", "gelf"]), options=options
)
volume_options = st.builds(
    VolumeOptions, no_copy=st.booleans(), subpath=words, driver_config=st.none() | drivers
)
mounts = st.builds(
    Mount,
    type=st.sampled_from(["bind", "volume", "tmpfs", "npipe", "cluster", "image"]),
    source=words,
    target=words,
    consistency=st.sampled_from(["", "cached", "odd"]),
    bind_options=st.none()
    | st.builds(
        BindOptions,
        propagation=st.sampled_from(["", "rshared", "odd"]),
        read_only_force_recursive=st.booleans(),
    ),
    volume_options=st.none() | volume_options,
    tmpfs_options=st.none() | st.builds(TmpfsOptions, size_bytes=st.sampled_from([0, MIB])),
)
healths = st.builds(
    HealthConfig,
    test=st.lists(st.sampled_from(["NONE", "CMD", "CMD-SHELL", "true"]), max_size=2),
    interval=st.sampled_from([0, 1, 10**9]),
    start_period=st.sampled_from([0, 1, 10**9]),
)
privileges = st.builds(
    Privileges,
    seccomp=st.none()
    | st.builds(
        SeccompOpts,
        mode=st.sampled_from(["", "default", "unconfined", "custom", "odd"]),
        profile=st.sampled_from([b"", b"{}", b"\xff"]),
    ),
    app_armor=st.none() | st.builds(AppArmorOpts, mode=st.sampled_from(["", "disabled", "odd"])),
    no_new_privileges=st.booleans(),
)
container_fields: dict[str, st.SearchStrategy[Any]] = {
    "hostname": words,
    "env": few_words,
    "dir": words,
    "stop_signal": words,
    "mounts": st.lists(mounts, min_size=1, max_size=2),
    "healthcheck": healths,
    "hosts": few_words,
    "dns_config": st.builds(DNSConfig, nameservers=few_words),
    "capability_add": few_words,
    "capability_drop": few_words,
    "isolation": st.sampled_from(["", "default", "hyperv"]),
    "privileges": privileges,
}
task_fields: dict[str, st.SearchStrategy[Any]] = {
    "log_driver": drivers,
    "resources": st.builds(
        ResourceRequirements,
        limits=st.builds(Limit, nano_cpus=numbers, memory_bytes=numbers, pids=numbers),
    ),
}


def one_or_two_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    names = st.lists(st.sampled_from(sorted(fields)), max_size=2, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({n: fields[n] for n in chosen}))


@settings(max_examples=300)
@given(one_or_two_of(container_fields), one_or_two_of(task_fields))
def test_what_a_service_accepts_an_engine_accepts(
    in_container: dict[str, Any], in_task: dict[str, Any]
) -> None:
    spec = a_service(ContainerSpec(image="app:1", **in_container), **in_task)
    try:
        check_spec(b.view(), spec)
    except SkepError:
        return
    if not any(map(only_its_node_knows, in_container.get("mounts", ()))):
        judged_by_an_engine(spec)


def only_its_node_knows(mount: Mount) -> bool:
    """A path that begins with a template may be absolute on one node, and none on another."""
    return any(path.startswith("{{") for path in (mount.source, mount.target))


@pytest.mark.parametrize("limit_mib", [1, 4, 5, 6, 7])
def test_a_memory_limit_is_too_small_for_both_or_for_none(limit_mib: int) -> None:
    limits = ResourceRequirements(limits=Limit(memory_bytes=limit_mib * MIB))
    spec = a_service(ContainerSpec(image="app:1"), resources=limits)
    verdicts = []
    for judge in (lambda spec: check_spec(b.view(), spec), judged_by_an_engine):
        try:
            judge(spec)
            verdicts.append("accepted")
        except InvalidArgument:
            verdicts.append("refused")
    assert verdicts == ["accepted" if limit_mib >= 6 else "refused"] * 2


def a_service(spec: ContainerSpec, **fields: Any) -> ServiceSpec:
    task_template = TaskSpec(container_spec=spec, **fields)
    return replace(b.spec(name="web"), task_template=task_template)


def judged_by_an_engine(spec: ServiceSpec) -> None:
    """As a node's engine would, before it looks at its disk."""
    service = replace(b.service(name="web"), spec=spec)
    task = replace(b.task("t1", service, slot=2), spec=spec.task_template)
    wish = container_wish(task, NODE)
    check_wish(wish)
    records = wanted_mounts(wish.config, wish.host, lambda: "anonymous")
    for volume, _ in volumes_to_make(records, wish.host):
        if volume.driver in ("", "local"):
            check_volume_options(volume.name, volume.driver_opts)
    assert len(records) == len(container(task.spec).mounts)
