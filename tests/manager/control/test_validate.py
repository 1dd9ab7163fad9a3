"""Every rule of a spec, one refusal each: docker's words, and nothing is stored."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from skep.kit.errors import InvalidArgument, Unimplemented
from skep.manager.control.validate import check_spec
from skep.model.network import Network, NetworkSpec
from skep.model.rules.names import check_service_name
from skep.model.service import (
    AppArmorOpts,
    BindOptions,
    ConfigReference,
    CredentialSpec,
    DiscreteGenericResource,
    DNSConfig,
    Driver,
    EndpointSpec,
    GenericResource,
    GlobalJob,
    GlobalService,
    HealthConfig,
    Limit,
    Mount,
    NamedGenericResource,
    NetworkAttachmentConfig,
    Placement,
    PlacementPreference,
    PortConfig,
    Privileges,
    ReplicatedJob,
    ResourceRequirements,
    Resources,
    SeccompOpts,
    SecretReference,
    SELinuxContext,
    ServiceMode,
    ServiceSpec,
    SpreadOver,
    UpdateConfig,
    VolumeOptions,
)
from skep.testing.builders import spec, view

INGRESS = Network(id="ingress-id", spec=NetworkSpec(name="ingress", ingress=True))


def container(**fields: Any) -> ServiceSpec:
    bare = spec(name="web")
    assert bare.task_template.container_spec is not None
    changed = replace(bare.task_template.container_spec, **fields)
    return replace(bare, task_template=replace(bare.task_template, container_spec=changed))


def template(**fields: Any) -> ServiceSpec:
    bare = spec(name="web")
    return replace(bare, task_template=replace(bare.task_template, **fields))


def reserving(**fields: Any) -> ServiceSpec:
    return template(resources=ResourceRequirements(reservations=Resources(**fields)))


def limited(**fields: int) -> ServiceSpec:
    return template(resources=ResourceRequirements(limits=Limit(**fields)))


def published(*ports: PortConfig, mode: Literal["vip", "dnsrr"] = "vip") -> ServiceSpec:
    return replace(spec(name="web"), endpoint_spec=EndpointSpec(mode=mode, ports=list(ports)))


def preferring(*preferences: PlacementPreference) -> ServiceSpec:
    return template(placement=Placement(preferences=list(preferences)))


def generic(**fields: Any) -> ServiceSpec:
    return reserving(generic_resources=[GenericResource(**fields)])


PORT = PortConfig(target_port=80, published_port=80)
CPU, MEMORY = PlacementPreference(binpack="cpu"), PlacementPreference(binpack="memory")
NFS = Driver(name="local", options={"type": "nfs"})
BIND = Mount(type="bind", source="/s", target="/t")

WRONG = [
    (container(image=""), "image reference must be provided"),
    (container(image="Bad Name"), '"Bad Name" is not a valid repository/tag'),
    (template(container_spec=None), "TaskSpec: missing runtime"),
    (container(mounts=[BIND, BIND]), "ContainerSpec: duplicate mount point: /t"),
    (container(mounts=[replace(BIND, source="")]), "source must not be empty"),
    (container(mounts=[replace(BIND, source="s")]), "source, must be an absolute path: s"),
    (container(mounts=[replace(BIND, target="")]), "target must not be empty"),
    (container(mounts=[replace(BIND, target="t")]), "target, must be an absolute path: t"),
    (container(mounts=[replace(BIND, type="tmpfs")]), "invalid tmpfs source"),
    (container(mounts=[replace(BIND, target="/")]), "destination can't be '/'"),
    (container(mounts=[BIND, replace(BIND, target="/t/")]), "duplicate mount point: /t/"),
    (container(mounts=[replace(BIND, consistency="some")]), "invalid mount consistency: some"),
    (container(mounts=[replace(BIND, volume_options=VolumeOptions())]), "field VolumeOptions"),
    (
        container(mounts=[replace(BIND, bind_options=BindOptions(propagation="up"))]),
        "invalid propagation mode: up",
    ),
    (container(mounts=[Mount(source="a b", target="/t")]), "invalid characters for a local volume"),
    (
        container(mounts=[Mount(target="/t", volume_options=VolumeOptions(driver_config=NFS))]),
        "missing required option: 'device'",
    ),
    (container(healthcheck=HealthConfig(interval=999_999)), "Interval in HealthConfig"),
    (container(healthcheck=HealthConfig(test=["true"])), "must begin with NONE, CMD or CMD-SHELL"),
    (container(env=["=x"]), 'invalid environment variable: "=x"'),
    (container(dir="tmp"), "the working directory 'tmp' is invalid"),
    (container(stop_signal="SIGNOPE"), "invalid stop signal: SIGNOPE"),
    (container(stop_signal="99"), "invalid stop signal: 99"),
    (container(capability_add=["CAP_FLY"]), 'invalid capability: "CAP_FLY"'),
    (container(capability_drop=["fly"]), 'invalid capability: "fly"'),
    (container(privileges=Privileges(seccomp=SeccompOpts(mode="odd"))), "invalid seccomp mode"),
    (
        container(privileges=Privileges(seccomp=SeccompOpts(mode="custom"))),
        "a seccomp profile is given with the mode custom",
    ),
    (container(privileges=Privileges(app_armor=AppArmorOpts(mode="odd"))), "invalid AppArmor mode"),
    (container(hosts=["10.0.0.1 a=b"]), 'invalid host entry "10.0.0.1 a=b"'),
    (container(isolation="hyperv"), "isolation hyperv exists on Windows only"),
    (container(dns_config=DNSConfig(nameservers=["one"])), "invalid DNS server: one"),
    (container(hosts=["db 10.0.0.1"]), 'invalid host entry "db 10.0.0.1"'),
    (container(hosts=[""]), 'invalid host entry ""'),
    (container(labels={"": "x"}), "a label needs a name"),
    (limited(nano_cpus=999_999), "invalid cpu value 0.000999999: Must be at least 0.001"),
    (limited(nano_cpus=-1), "invalid cpu value"),
    (limited(memory_bytes=5 * 2**20), "invalid memory value 5242880: Must be at least 6MiB"),
    (limited(pids=-1), "invalid pids limit"),
    (reserving(memory_bytes=1), "invalid memory value 1: Must be at least 4MiB"),
    (
        generic(named_resource_spec=NamedGenericResource(kind="gpu", value="a")),
        "invalid generic-resource request `gpu=a`",
    ),
    (
        generic(discrete_resource_spec=DiscreteGenericResource(kind="gpu", value=0)),
        "a kind and a number from 1 up",
    ),
    (template(placement=Placement(constraints=["node.id"])), "constraint expected one operator"),
    (
        preferring(PlacementPreference(spread=SpreadOver(), binpack="cpu")),
        "either a spread or a binpack",
    ),
    (preferring(CPU, MEMORY), "only one placement preference can be binpack"),
    (template(runtime="odd"), "unsupported runtime"),
    (published(replace(PORT, target_port=0)), "needs a TargetPort"),
    (published(PORT, replace(PORT, target_port=81)), "duplicate published ports provided: 80/tcp"),
    (published(PORT, mode="dnsrr"), "can't be used with dnsrr mode"),
    (
        replace(spec(name="web"), rollback_config=UpdateConfig(failure_action="rollback")),
        "RollbackConfig: the failure action rollback is not possible",
    ),
    (
        template(networks=[NetworkAttachmentConfig(target="ingress-id")]),
        'Service cannot be explicitly attached to the ingress network "ingress"',
    ),
    (replace(spec(name="web"), labels={"": "x"}), "a label needs a name"),
    (template(log_driver=Driver(name="json-file", options={"colour": "red"})), "unknown log opt"),
    (
        template(log_driver=Driver(name="json-file", options={"max-size": "big"})),
        "invalid value for 'max-size': big",
    ),
    (
        replace(
            spec(name="web"),
            mode=ServiceMode(global_=GlobalService(), replicated_job=ReplicatedJob()),
        ),
        "must specify only one service mode",
    ),
]

NOT_DONE = [
    (
        replace(spec(name="web"), mode=ServiceMode(replicated_job=ReplicatedJob())),
        "replicated-job mode is not supported yet",
    ),
    (
        replace(spec(name="web"), mode=ServiceMode(global_job=GlobalJob())),
        "global-job mode is not supported yet",
    ),
    (template(runtime="plugin"), "the runtime plugin is not supported"),
    (template(plugin_spec={}), "the runtime plugin is not supported"),
    (template(network_attachment_spec={}), "NetworkAttachmentSpec is not supported"),
    (container(secrets=[SecretReference(secret_id="s")]), "secrets are not supported yet"),
    (container(configs=[ConfigReference(config_id="c")]), "configs are not supported yet"),
    (container(mounts=[Mount(type="npipe", target="/t")]), 'mounts of type "npipe"'),
    (container(mounts=[Mount(type="cluster", target="/t")]), 'mounts of type "cluster"'),
    (
        container(mounts=[Mount(target="/t", volume_options=VolumeOptions(subpath="a"))]),
        "VolumeOptions.Subpath is not supported",
    ),
    (
        container(privileges=Privileges(credential_spec=CredentialSpec(file="f"))),
        "credential specs exist on Windows only",
    ),
    (
        container(privileges=Privileges(se_linux_context=SELinuxContext(user="u"))),
        "SELinux contexts are not supported",
    ),
    (
        template(
            networks=[
                NetworkAttachmentConfig(
                    target="x", driver_opts={"com.docker.network.endpoint.sysctls": "b"}
                )
            ]
        ),
        'endpoint option "com.docker.network.endpoint.sysctls" is not supported',
    ),
    (template(log_driver=Driver(name="gelf")), "logging driver 'gelf' is not supported"),
]


@pytest.mark.parametrize(("wish", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_wrong_is_refused(wish: ServiceSpec, message: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check_spec(view(INGRESS), wish)
    assert message in str(refusal.value)


@pytest.mark.parametrize(("wish", "message"), NOT_DONE, ids=[message for _, message in NOT_DONE])
def test_what_is_not_done_is_refused_by_name(wish: ServiceSpec, message: str) -> None:
    with pytest.raises(Unimplemented) as refusal:
        check_spec(view(INGRESS), wish)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "wish",
    [
        container(image="registry.example:5000/team/app:1.0"),
        container(mounts=[BIND, Mount(target="/v"), Mount(type="tmpfs", target="/m")]),
        container(mounts=[replace(BIND, bind_options=BindOptions(create_mountpoint=True))]),
        container(mounts=[replace(BIND, source="{{.Node.Hostname}}", target="/t/{{.Task.Slot}}")]),
        container(stop_signal="SIGRTMIN+3"),
        container(stop_signal="term"),
        container(stop_signal="15"),
        container(hosts=["10.0.0.1 db db.local", "::1 six", "host-gateway me"]),
        container(env=["A", "B=", "C=1=2"]),
        container(healthcheck=HealthConfig(test=["CMD", "true"], interval=1_000_000)),
        limited(nano_cpus=1_000_000, memory_bytes=6 * 2**20, pids=5),
        reserving(memory_bytes=4 * 2**20),
        generic(discrete_resource_spec=DiscreteGenericResource(kind="gpu", value=2)),
        preferring(PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels.a")), CPU),
        published(PORT, replace(PORT, protocol="udp"), PortConfig(target_port=1)),
        published(replace(PORT, publish_mode="host"), mode="dnsrr"),
        template(log_driver=Driver(name="json-file", options={"max-size": "1m"})),
    ],
)
def test_what_is_right_passes(wish: ServiceSpec) -> None:
    check_spec(view(INGRESS), wish)


@pytest.mark.parametrize("name", ["a", "web_app", "web-app-1", "9lives", "a--b", "A" * 63])
def test_good_names(name: str) -> None:
    check_service_name(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "a.b", "a b", "ä", "a\n", "A" * 64, "a" * 62 + "!"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        check_service_name(name)


TAKEN = [
    preferring(PlacementPreference()),
    preferring(PlacementPreference(spread=SpreadOver(spread_descriptor="zone"))),
    preferring(PlacementPreference(spread=SpreadOver(spread_descriptor="node.labels."))),
    template(log_driver=Driver(name="nobody", options={"a": "b"})),
    template(log_driver=Driver(name="json-file", options={"max-file": "3"})),
    template(networks=[NetworkAttachmentConfig(target="x", driver_opts={"a": "b"})]),
]


@pytest.mark.parametrize("wish", TAKEN)
def test_what_swarm_takes_although_it_means_nothing_is_taken(wish: ServiceSpec) -> None:
    check_spec(view(INGRESS), wish)
