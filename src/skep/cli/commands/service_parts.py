"""Parts of a ServiceSpec that create and update make in the same way from the same flags."""

from __future__ import annotations

from typing import Any

from skep.cli.flags.flag import Options, given_fields
from skep.cli.values.pairs import required_mapping
from skep.cli.values.words import split_command

Spec = dict[str, Any]

REBALANCE = "skep.rebalance"
"""The service label by which a service asks for rebalancing."""

JOB_MODES = ("ReplicatedJob", "GlobalJob")
_DEFAULT_PARALLELISM = 1
_ROLLOUT = (
    ("parallelism", "Parallelism"),
    ("delay", "Delay"),
    ("monitor", "Monitor"),
    ("failure-action", "FailureAction"),
    ("max-failure-ratio", "MaxFailureRatio"),
    ("order", "Order"),
)
_RESTART = (
    ("condition", "Condition"),
    ("delay", "Delay"),
    ("max-attempts", "MaxAttempts"),
    ("window", "Window"),
)
_CONTAINER = (
    ("hostname", "Hostname"),
    ("workdir", "Dir"),
    ("user", "User"),
    ("stop-signal", "StopSignal"),
    ("isolation", "Isolation"),
    ("read-only", "ReadOnly"),
    ("tty", "TTY"),
    ("init", "Init"),
    ("stop-grace-period", "StopGracePeriod"),
    ("oom-score-adj", "OomScoreAdj"),
)


def container_scalars(options: Options) -> Spec:
    spec = given_fields(options, _CONTAINER)
    if options.given("entrypoint"):
        spec["Command"] = split_command(options.text("entrypoint"))
    return spec


def rollout(options: Options, name: str) -> Spec | None:
    """UpdateConfig (`name` update) or RollbackConfig, of what was given; None when nothing was."""
    given = given_fields(options, _ROLLOUT, f"{name}-")
    return {"Parallelism": _DEFAULT_PARALLELISM, **given} if given else None


def rollout_change(options: Options, name: str) -> Spec:
    return given_fields(options, _ROLLOUT, f"{name}-")


def restart_policy(options: Options) -> Spec:
    return given_fields(options, _RESTART, "restart-")


def log_driver(options: Options) -> Spec | None:
    log_options = required_mapping(options.items("log-opt"), "log option")
    if not options.text("log-driver") and not log_options:
        return None
    return {"Name": options.text("log-driver"), "Options": log_options}


def limits(options: Options) -> Spec:
    return given_fields(
        options,
        (("limit-cpu", "NanoCPUs"), ("limit-memory", "MemoryBytes"), ("limit-pids", "Pids")),
    )


def reservations(options: Options) -> Spec:
    return given_fields(options, (("reserve-cpu", "NanoCPUs"), ("reserve-memory", "MemoryBytes")))


def swarm_host(extra_host: str) -> str:
    """`name:address` as a service keeps it: `address name`."""
    name, _, address = extra_host.partition(":")
    return f"{address} {name}"


def credential_spec(text: str) -> Spec:
    """`file://…`, `registry://…` or `config://…`."""
    kind, separator, name = text.partition("://")
    field = {"file": "File", "registry": "Registry", "config": "Config"}.get(kind)
    if not separator or field is None:
        raise ValueError(
            'invalid credential spec: value must be prefixed with "config://", "file://" '
            'or "registry://"'
        )
    return {"CredentialSpec": {field: name}}


def rebalance_label(options: Options) -> dict[str, str]:
    """What `--rebalance` means: a label."""
    return {REBALANCE: "true"} if options.yes("rebalance") else {}
