"""What a user asks of a cluster, in the Engine API's words, and waiting until it is so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bench.api import Api
from bench.waiting import wait_until
from bench.workshop import IMAGE

_POLL_S = 0.05
_PATIENCE_S = 120.0
_NOWHERE = ["node.labels.nowhere==true"]

Task = dict[str, Any]


def init_swarm(api: Api, address: str) -> None:
    api.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address})


def join_swarm(api: Api, address: str, manager: str, token: str) -> None:
    api.post(
        "/swarm/join",
        {
            "ListenAddr": "0.0.0.0:2377",
            "AdvertiseAddr": address,
            "RemoteAddrs": [f"{manager}:2377"],
            "JoinToken": token,
        },
    )


def worker_token(api: Api) -> str:
    return str(api.get("/swarm")["JoinTokens"]["Worker"])


def create_service(
    api: Api, name: str, replicas: int, *, startable: bool = True, port: int = 0
) -> None:
    """`startable=False`: no node satisfies it, its tasks stay pending. `port` is published."""
    task = {
        "ContainerSpec": {"Image": IMAGE},
        "RestartPolicy": {"Condition": "any", "Delay": 0},
        "Placement": {} if startable else {"Constraints": _NOWHERE},
    }
    ports = [{"Protocol": "tcp", "TargetPort": port, "PublishedPort": port}] if port else []
    body = {
        "Name": name,
        "TaskTemplate": task,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "EndpointSpec": {"Ports": ports},
    }
    api.post("/services/create", body)


def scale(api: Api, name: str, replicas: int) -> None:
    service = api.get(f"/services/{name}")
    spec = service["Spec"]
    spec["Mode"]["Replicated"]["Replicas"] = replicas
    version = str(service["Version"]["Index"])
    api.post(f"/services/{service['ID']}/update", spec, version=version)


def remove_services(api: Api, names: Iterable[str]) -> None:
    for name in names:
        api.call("DELETE", f"/services/{name}")


def set_availability(api: Api, node_id: str, availability: str) -> None:
    node = api.get(f"/nodes/{node_id}")
    spec = node["Spec"] | {"Availability": availability}
    api.post(f"/nodes/{node_id}/update", spec, version=str(node["Version"]["Index"]))


def ready_nodes(api: Api) -> list[str]:
    return [node["ID"] for node in api.get("/nodes") if node["Status"]["State"] == "ready"]


def running_tasks(api: Api, service: str) -> list[Task]:
    wanted = {"service": [service], "desired-state": ["running"]}
    found: list[Task] = api.get("/tasks", filters=wanted)
    return [task for task in found if task["Status"]["State"] == "running"]


def wait_running(
    api: Api, service: str, count: int, *, but_on: str = "", every_s: float = _POLL_S
) -> None:
    """Until exactly `count` tasks run that are not on the node `but_on`."""

    def so() -> bool:
        nodes = [str(task["NodeID"]) for task in running_tasks(api, service)]
        return sum(node != but_on for node in nodes) == count

    wait_until(so, _PATIENCE_S, f"not {count} tasks of {service} run", every_s)


def wait_no_containers(api: Api) -> None:
    """Until no container is left, running or not."""
    wait_until(
        lambda: not api.get("/containers/json", all="1"),
        _PATIENCE_S,
        "containers are left",
        _POLL_S,
    )


def wait_tasks(api: Api, count: int) -> None:
    wait_until(lambda: len(api.get("/tasks")) == count, _PATIENCE_S, f"not {count} tasks", _POLL_S)


def pid_of(api: Api, task: Task) -> int:
    container = task["Status"]["ContainerStatus"]["ContainerID"]
    return int(api.get(f"/containers/{container}/json")["State"]["Pid"])
