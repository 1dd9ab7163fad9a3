"""The flags of service create and update become ServiceSpecs."""

from __future__ import annotations

from typing import Any

import pytest

from skep.cli.commands.service_change import changed_ports, changed_spec
from skep.cli.commands.service_flags import CREATE_FLAGS, UPDATE_FLAGS
from skep.cli.commands.service_spec import service_spec
from skep.cli.flags.parse import parse

SECOND = 10**9


def created(line: str) -> dict[str, Any]:
    options, (image, *arguments) = parse(CREATE_FLAGS, line.split(), interspersed=False)
    return service_spec(options, image, arguments)


def updated(line: str, **container: Any) -> dict[str, Any]:
    """What `line` makes of a service whose container has these fields."""
    options, _ = parse(UPDATE_FLAGS, line.split())
    spec = {
        "Name": "web",
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {"ContainerSpec": {"Image": "web:1", **container}},
    }
    return changed_spec(spec, options)


def test_a_plain_service_has_its_image_and_the_default_endpoint() -> None:
    assert created("web ls -l") == {
        "Name": "",
        "Labels": {},
        "TaskTemplate": {"ContainerSpec": {"Image": "web", "Args": ["ls", "-l"]}},
        "Mode": {"Replicated": {}},
        "EndpointSpec": {"Mode": "vip"},
    }


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("--replicas 3", {"Replicated": {"Replicas": 3}}),
        ("--replicas 0", {"Replicated": {"Replicas": 0}}),
        ("--mode global", {"Global": {}}),
        ("--mode replicated-job --replicas 5",
         {"ReplicatedJob": {"MaxConcurrent": 5, "TotalCompletions": 5}}),
        ("--mode replicated-job --replicas 5 --max-concurrent 2",
         {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 5}}),
        ("--mode global-job", {"GlobalJob": {}}),
    ],
)  # fmt: skip
def test_the_mode_comes_of_mode_replicas_and_concurrency(line: str, mode: dict[str, Any]) -> None:
    assert created(f"{line} web")["Mode"] == mode


@pytest.mark.parametrize(
    ("line", "container"),
    [
        ("--entrypoint sh", {"Command": ["sh"]}),
        ("-e A=1 -w /x -u me --hostname h", {"Env": ["A=1"], "Dir": "/x", "User": "me",
                                             "Hostname": "h"}),
        ("--init=false --read-only -t", {"Init": False, "ReadOnly": True, "TTY": True}),
        ("--stop-grace-period 3s --stop-signal INT",
         {"StopGracePeriod": 3 * SECOND, "StopSignal": "INT"}),
        ("--host db:10.0.0.1", {"Hosts": ["10.0.0.1 db"]}),
        ("--dns 10.0.0.1 --dns-search x.org",
         {"DNSConfig": {"Nameservers": ["10.0.0.1"], "Search": ["x.org"]}}),
        ("--health-cmd true --health-retries 2",
         {"Healthcheck": {"Test": ["CMD-SHELL", "true"], "Retries": 2}}),
        ("--container-label a=b --group g", {"Labels": {"a": "b"}, "Groups": ["g"]}),
        ("--credential-spec file://x", {"Privileges": {"CredentialSpec": {"File": "x"}}}),
        ("--cap-add A --cap-drop B", {"CapabilityAdd": ["A"], "CapabilityDrop": ["B"]}),
    ],
)  # fmt: skip
def test_the_container_has_what_was_asked_for(line: str, container: dict[str, Any]) -> None:
    found = created(f"{line} web")["TaskTemplate"]["ContainerSpec"]
    assert found == {"Image": "web", **container}


@pytest.mark.parametrize(
    ("line", "task"),
    [
        ("--limit-cpu 0.5 --limit-memory 64m --limit-pids 9",
         {"Resources": {"Limits": {"NanoCPUs": SECOND // 2, "MemoryBytes": 64 * 1024**2,
                                   "Pids": 9}}}),
        ("--reserve-memory 1g --generic-resource gpu=1",
         {"Resources": {"Reservations": {
             "MemoryBytes": 1024**3,
             "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}}}),
        ("--restart-condition on-failure --restart-delay 0s --restart-max-attempts 0",
         {"RestartPolicy": {"Condition": "on-failure", "Delay": 0, "MaxAttempts": 0}}),
        ("--constraint node.role==worker --placement-pref spread=node.labels.z "
         "--replicas-max-per-node 2",
         {"Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2,
                        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.z"}}]}}),
        ("--log-driver local --log-opt a=b", {"LogDriver": {"Name": "local",
                                                            "Options": {"a": "b"}}}),
    ],
)  # fmt: skip
def test_the_task_has_what_was_asked_for(line: str, task: dict[str, Any]) -> None:
    found = created(f"{line} web")["TaskTemplate"]
    assert found == {"ContainerSpec": {"Image": "web"}, **task}


def test_rebalancing_is_asked_for_by_a_label() -> None:
    asked = created("--rebalance -l a=b web")
    assert asked["Labels"] == {"a": "b", "skep.rebalance": "true"}
    options, _ = parse(UPDATE_FLAGS, ["--rebalance=false"])
    assert changed_spec(asked, options)["Labels"] == {"a": "b"}


def test_tasks_may_be_packed() -> None:
    preference = created("--placement-pref binpack=memory web")["TaskTemplate"]["Placement"]
    assert preference == {"Preferences": [{"Binpack": "memory"}]}


def test_a_rolling_update_is_one_at_a_time_unless_said() -> None:
    spec = created("--update-delay 2s --rollback-parallelism 0 web")
    assert spec["UpdateConfig"] == {"Parallelism": 1, "Delay": 2 * SECOND}
    assert spec["RollbackConfig"] == {"Parallelism": 0}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("--mode global --replicas 2", "replicas can only be used with replicated"),
        ("--mode global --replicas-max-per-node 2", "replicas-max-per-node can only be used"),
        ("--max-concurrent 2", "max-concurrent can only be used with replicated-job mode"),
        ("--mode global-job --update-delay 1s", "not supported for jobs"),
        ("--mode daily", "Unknown mode: daily"),
        ("--no-healthcheck --health-cmd x", "--no-healthcheck conflicts"),
        ("--credential-spec x", "invalid credential spec"),
    ],
)
def test_what_cannot_be_is_refused(line: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        created(f"{line} web")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        ("--image web:2", {}, {"Image": "web:2"}),
        ("--env-add A=2 --env-add C=3 --env-rm B", {"Env": ["A=1", "B=1"]},
         {"Env": ["A=2", "C=3"]}),
        ("--args a", {"Args": ["b"]}, {"Args": ["a"]}),
        ("--entrypoint=", {"Command": ["x"]}, {"Command": []}),
        ("--mount-rm /a --mount-add type=tmpfs,dst=/b",
         {"Mounts": [{"Target": "/a"}, {"Target": "/b", "Type": "bind"}, {"Target": "/c"}]},
         {"Mounts": [{"Type": "tmpfs", "Target": "/b"}, {"Target": "/c"}]}),
        ("--container-label-add a=2 --container-label-rm b", {"Labels": {"a": "1", "b": "1"}},
         {"Labels": {"a": "2"}}),
        ("--cap-add A --cap-drop B", {"CapabilityAdd": ["B", "C"], "CapabilityDrop": ["A"]},
         {"CapabilityAdd": ["C", "A"], "CapabilityDrop": ["B"]}),
        ("--host-rm db:10.0.0.1 --host-add web:10.0.0.3",
         {"Hosts": ["10.0.0.1 db", "10.0.0.2 db"]}, {"Hosts": ["10.0.0.2 db", "10.0.0.3 web"]}),
        ("--host-rm db", {"Hosts": ["10.0.0.1 db", "10.0.0.2 db"]}, {"Hosts": []}),
        ("--dns-add 10.0.0.2 --dns-rm 10.0.0.1", {"DNSConfig": {"Nameservers": ["10.0.0.1"]}},
         {"DNSConfig": {"Nameservers": ["10.0.0.2"]}}),
        ("--health-retries 3", {"Healthcheck": {"Test": ["CMD-SHELL", "x"], "Retries": 1}},
         {"Healthcheck": {"Test": ["CMD-SHELL", "x"], "Retries": 3}}),
        ("--health-retries 3", {"Healthcheck": {"Test": ["NONE"]}},
         {"Healthcheck": {"Retries": 3}}),
        ("--no-healthcheck", {"Healthcheck": {"Retries": 1}}, {"Healthcheck": {"Test": ["NONE"]}}),
        ("--ulimit-add nofile=5 --ulimit-rm core",
         {"Ulimits": [{"Name": "core", "Soft": 1, "Hard": 1}]},
         {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}]}),
        ("--group-add b --group-rm a", {"Groups": ["a"]}, {"Groups": ["b"]}),
        ("--read-only=false", {"ReadOnly": True}, {"ReadOnly": False}),
    ],
)  # fmt: skip
def test_an_update_changes_only_what_it_names(
    line: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    found = updated(line, **before)["TaskTemplate"]["ContainerSpec"]
    assert found == {"Image": "web:1", **before, **after}


@pytest.mark.parametrize(
    ("line", "path", "value"),
    [
        ("--replicas 0", "Mode", {"Replicated": {"Replicas": 0}}),
        ("--label-add a=b", "Labels", {"a": "b"}),
        ("--update-parallelism 2", "UpdateConfig", {"Parallelism": 2}),
        ("--update-delay 1s", "UpdateConfig", {"Parallelism": 1, "Delay": SECOND}),
        ("--endpoint-mode dnsrr", "EndpointSpec", {"Mode": "dnsrr"}),
        ("--force", "TaskTemplate.ForceUpdate", 1),
        ("--restart-delay 1s", "TaskTemplate.RestartPolicy", {"Delay": SECOND}),
        ("--limit-cpu 1", "TaskTemplate.Resources", {"Limits": {"NanoCPUs": SECOND}}),
        ("--constraint-add a==b", "TaskTemplate.Placement", {"Constraints": ["a==b"]}),
        ("--generic-resource-add gpu=1", "TaskTemplate.Resources.Reservations",
         {"GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]}),
        ("--log-driver none", "TaskTemplate.LogDriver", {"Name": "none", "Options": {}}),
    ],
)  # fmt: skip
def test_an_update_reaches_every_part_of_the_spec(line: str, path: str, value: Any) -> None:
    found: Any = updated(line)
    for key in path.split("."):
        found = found[key]
    assert found == value


def test_replicas_of_a_global_service_cannot_be_set() -> None:
    options, _ = parse(UPDATE_FLAGS, ["--replicas", "2"])
    with pytest.raises(ValueError, match="replicas can only be used"):
        changed_spec({"Mode": {"Global": {}}}, options)


def port(published: int, target: int, protocol: str = "tcp") -> dict[str, Any]:
    return {"PublishedPort": published, "TargetPort": target, "Protocol": protocol}


def test_ports_are_removed_by_target_and_kept_once() -> None:
    present = [port(80, 8080), port(53, 53), port(53, 53, "udp")]
    assert changed_ports(present, [port(80, 8080), port(8, 9)], [(53, "udp")]) == [
        port(8, 9),
        port(53, 53),
        port(80, 8080),
    ]
    assert changed_ports(present, [], [(53, None)]) == [port(80, 8080)]
