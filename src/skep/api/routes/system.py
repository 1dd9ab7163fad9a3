"""The daemon itself: is it there, what is it, what happens on it."""

from __future__ import annotations

import asyncio

from skep import __version__
from skep.api import choices, older, streams
from skep.api.answers import json_answer
from skep.api.request import Request
from skep.api.versions import HEADERS, NEWEST, OLDEST, shown
from skep.http.router import Route
from skep.http.web import Response, StreamResponse
from skep.kit.clock import rfc3339, utc_now
from skep.kit.machines import go_architecture
from skep.model.image import AuthConfig
from skep.model.system import (
    Commit,
    Component,
    DiskUsage,
    Facts,
    IndexInfo,
    RegistryConfig,
    RuntimeInfo,
    SwarmInfo,
    SystemInfo,
    SystemVersion,
    VersionPlatform,
)
from skep.node.events import events as node_events

_RUNNING = frozenset({"running", "restarting"})

_PING_HEADERS = HEADERS | {
    "Builder-Version": "1",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Content-Type": "text/plain; charset=utf-8",
}


async def ping(request: Request) -> Response:
    body = b"" if request.http.method == "HEAD" else b"OK"
    swarm = swarm_state(request.node.swarm.info())
    return Response(body=body, headers=_PING_HEADERS | {"Swarm": swarm})


def swarm_state(swarm: SwarmInfo) -> str:
    """The ping's `Swarm` header, by which docker's client hides commands."""
    if swarm.local_node_state != "active":
        return swarm.local_node_state
    return "active/manager" if swarm.control_available else "active/worker"


async def version(request: Request) -> Response:
    return json_answer(_version(request.node.facts))


def _version(facts: Facts) -> SystemVersion:
    arch = go_architecture(facts.machine)
    api, oldest = shown(NEWEST), shown(OLDEST)
    details = {
        "ApiVersion": api,
        "Arch": arch,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": facts.kernel_version,
        "MinAPIVersion": oldest,
        "Os": "linux",
    }
    engine = Component(name="Engine", version=__version__, details=details)
    return SystemVersion(
        platform=VersionPlatform(name="skep"),
        components=[engine, *facts.components],
        version=__version__,
        api_version=api,
        min_api_version=oldest,
        arch=arch,
        kernel_version=facts.kernel_version,
    )


async def info(request: Request) -> Response:
    engine = request.node.engine
    containers = await engine.containers.list(all_containers=True)
    images = await engine.images.summaries()
    running = sum(container.state in _RUNNING for container in containers)
    paused = sum(container.state == "paused" for container in containers)
    facts = request.node.facts
    found = SystemInfo(
        id=facts.daemon_id,
        containers=len(containers),
        containers_running=running,
        containers_paused=paused,
        containers_stopped=len(containers) - running - paused,
        images=len(images),
        driver_status=[("Backing Filesystem", facts.backing_filesystem)],
        docker_root_dir=facts.data_root,
        system_time=rfc3339(utc_now()),
        cgroup_version=str(facts.cgroup_version),
        kernel_version=facts.kernel_version,
        operating_system=facts.operating_system,
        os_version=facts.os_version,
        architecture=facts.machine,
        registry_config=_registry_config(facts),
        ncpu=facts.cpus,
        mem_total=facts.memory_bytes,
        name=facts.hostname,
        labels=list(facts.labels),
        server_version=__version__,
        runtimes={name: RuntimeInfo(path) for name, path in facts.runtimes.items()},
        swarm=request.node.swarm.info(),
        runc_commit=_commit(facts, "runc"),
        init_binary=facts.init_binary,
        security_options=list(facts.security_options),
        warnings=list(facts.warnings) or None,
    )
    return json_answer(older.info(found, request.version))


def _commit(facts: Facts, program: str) -> Commit:
    versions = [part.version for part in facts.components if part.name == program]
    return Commit(id=versions[0] if versions else "")


def _registry_config(facts: Facts) -> RegistryConfig:
    networks = [name for name in facts.insecure_registries if "/" in name]
    hosts = [name for name in facts.insecure_registries if "/" not in name]
    indexes = {name: IndexInfo(name=name, secure=False) for name in hosts}
    indexes["docker.io"] = IndexInfo(name="docker.io", official=True)
    return RegistryConfig(
        insecure_registry_cidrs=["127.0.0.0/8", "::1/128", *networks], index_configs=indexes
    )


async def events(request: Request) -> StreamResponse:
    wanted = request.filters()
    story = node_events(
        request.node,
        choices.events(wanted),
        tasks=choices.asks_for_tasks(wanted),
        since_ns=request.time_ns("since"),
        until_ns=request.time_ns("until"),
    )
    return await streams.json_lines(request, story)


async def disk_usage(request: Request) -> Response:
    """Only the kinds that were asked for by `type`, all when none was."""
    engine = request.node.engine
    kinds = set(request.texts("type")) or {"container", "image", "volume", "build-cache"}
    images, containers, volumes = await asyncio.gather(
        engine.images.disk_usage(),
        engine.containers.list(all_containers=True, size=True),
        engine.volumes.disk_usage(),
    )
    found = DiskUsage(
        layers_size=images.layers_size_bytes,
        images=list(images.images) if "image" in kinds else [],
        containers=containers if "container" in kinds else [],
        volumes=volumes if "volume" in kinds else [],
    )
    return json_answer(older.disk_usage(found, request.version))


async def login(request: Request) -> Response:
    """Whether the registry takes the credentials: docker's client asks before it keeps them."""
    await request.node.engine.images.login(await request.json(AuthConfig))
    return json_answer({"Status": "Login Succeeded", "IdentityToken": ""})


ROUTES = (
    Route("GET", "/_ping", ping),
    Route("HEAD", "/_ping", ping),
    Route("GET", "/version", version),
    Route("GET", "/info", info),
    Route("GET", "/events", events, streams=True),
    Route("GET", "/system/df", disk_usage),
    Route("POST", "/auth", login),
)
