"""A compose file through docker's client: `docker stack` is made of the API's other calls."""

from __future__ import annotations

from pathlib import Path

from skep.testing.daemon import DaemonHost, until

_COMPOSE = """
services:
  front:
    image: web:1
    ports: ["8000:8080"]
    environment: {PORT: "8080"}
    networks: [between]
    deploy: {replicas: 2, labels: {tier: front}}
  back:
    image: web:2
    command: [sleep, "600"]
    stop_grace_period: 3s
    networks: [between]
    volumes: ["kept:/data"]
networks: {between: {}}
volumes: {kept: {}}
"""
_MADE = ("network shop_between", "service shop_back", "service shop_front")


def test_a_stack_comes_is_shown_and_goes_and_comes_again_at_once(
    host: DaemonHost, tmp_path: Path
) -> None:
    """One container takes no heed of SIGTERM: it is still on its network when the next comes."""
    file = tmp_path / "compose.yml"
    file.write_text(_COMPOSE)
    for _ in range(2):
        deployed = host.docker("stack", "deploy", "--detach=true", "-c", str(file), "shop")
        assert (deployed.code, sorted(deployed.out.splitlines())) == (
            0,
            [f"Creating {what}" for what in _MADE],
        )
        host.until_running("shop_front", 2)
        host.until_running("shop_back", 1)
        assert host.ok("stack", "ls").split() == ["NAME", "SERVICES", "shop", "2"]
        tasks = host.ok(
            "stack", "ps", "-f", "desired-state=running", "--format", "{{.Name}}", "shop"
        )
        assert sorted(tasks.splitlines()) == ["shop_back.1", "shop_front.1", "shop_front.2"]
        replicas = host.ok("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "shop")
        assert replicas.splitlines() == ["shop_back 1/1", "shop_front 2/2"]
        until(lambda: host.who(8000).version == "one")
        removed = host.docker("stack", "rm", "shop")
        assert (removed.code, "Removing network shop_between" in removed.out) == (0, True)
        assert "shop_between" not in host.ok("network", "ls", "--format", "{{.Name}}")


def test_networks_that_nobody_uses_are_pruned(host: DaemonHost) -> None:
    for name, words in {
        "used": (), "idle": (), "kept": ("--label", "keep=yes"), "local": ("-d", "bridge"),
    }.items():  # fmt: skip
        host.ok("network", "create", *(words if "-d" in words else ("-d", "overlay", *words)), name)
    host.ok("service", "create", "-q", "-d", "--name", "one", "--network", "used", "web:1")
    host.until_running("one", 1)
    assert "idle" not in host.ok("network", "prune", "-f", "--filter", "until=1h")
    pruned = host.ok("network", "prune", "-f", "--filter", "label!=keep")
    assert sorted(pruned.split()[2:]) == ["idle", "local"]
    names = host.ok("network", "ls", "--filter", "scope=swarm", "--format", "{{.Name}}")
    assert sorted(names.split()) == ["ingress", "kept", "used"]
    host.ok("network", "rm", "kept")
