"""The flags of service create and update: scalars are shared, lists are set, or changed."""

from __future__ import annotations

from skep.cli.commands.health_flags import HEALTH_FLAGS
from skep.cli.flags.flag import Flag, number, switch, text, texts, value
from skep.cli.flags.kinds import CPUS, DURATION, FLOAT, POSITIVE_DURATION, SIZE, UINT
from skep.cli.values.limits import (
    check_address,
    check_dns_search,
    parse_extra_host,
    parse_ulimit,
)
from skep.cli.values.mounts import parse_mount
from skep.cli.values.networks import parse_network
from skep.cli.values.pairs import check_label, check_variable
from skep.cli.values.placement import parse_generic_resource, parse_preference
from skep.cli.values.ports import parse_service_port, parse_target_port
from skep.cli.values.references import parse_reference

_PROCESS = (
    text("--entrypoint", "Overwrite the default ENTRYPOINT of the image"),
    text("--hostname", "Container hostname"),
    switch("--init", "Run an init in each container that forwards signals and reaps processes"),
    text("--isolation", "Service container isolation mode"),
    switch("--read-only", "Mount the container's root filesystem as read only"),
    value(
        "--stop-grace-period",
        POSITIVE_DURATION,
        "Time to wait before force killing a container (ns|us|ms|s|m|h)",
        default=0,
    ),
    text("--stop-signal", "Signal to stop the container"),
    switch("-t --tty", "Allocate a pseudo-TTY"),
    text("-u --user", "Username or UID (format: <name|uid>[:<group|gid>])"),
    text("-w --workdir", "Working directory inside the container"),
    texts("--cap-add", "Add Linux capabilities"),
    texts("--cap-drop", "Drop Linux capabilities"),
    text("--credential-spec", "Credential spec for managed service account (Windows only)"),
    number("--oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
)
_RESOURCES = (
    value("--limit-cpu", CPUS, "Limit CPUs", default=0),
    value("--limit-memory", SIZE, "Limit Memory", default=0),
    number("--limit-pids", "Limit maximum number of processes (0 = unlimited)"),
    value("--reserve-cpu", CPUS, "Reserve CPUs", default=0),
    value("--reserve-memory", SIZE, "Reserve Memory", default=0),
)
_SCALE = (
    value("--replicas", UINT, "Number of tasks"),
    value(
        "--replicas-max-per-node",
        UINT,
        "Maximum number of tasks per node (0 = unlimited)",
        default=0,
    ),
    value(
        "--max-concurrent",
        UINT,
        "Number of job tasks to run concurrently (default equal to --replicas)",
    ),
)
_RESTART = (
    text("--restart-condition", 'Restart when condition is met ("none", "on-failure", "any")'),
    value("--restart-delay", POSITIVE_DURATION, "Delay between restart attempts (ns|us|ms|s|m|h)"),
    value("--restart-max-attempts", UINT, "Maximum number of restarts before giving up"),
    value(
        "--restart-window",
        POSITIVE_DURATION,
        "Window used to evaluate the restart policy (ns|us|ms|s|m|h)",
    ),
)
_WATCH = (
    *HEALTH_FLAGS,
    text("--log-driver", "Logging driver for service"),
    texts("--log-opt", "Logging driver options"),
)
_DEALING = (
    switch("-d --detach", "Exit immediately instead of waiting for the service to converge"),
    switch("-q --quiet", "Suppress progress output"),
)
_IMAGE = (
    switch("--no-resolve-image", "Do not query the registry for image digest and platforms"),
    switch("--with-registry-auth", "Send registry authentication details to swarm agents"),
)
_ENDPOINT = (text("--endpoint-mode", "Endpoint mode (vip or dnsrr)", default="vip"),)


def _rollout(name: str, verb: str, actions: str) -> tuple[Flag, ...]:
    """The six flags of a rolling update, or of a rollback."""
    return (
        value(f"--{name}-delay", DURATION, f"Delay between task {name}s (ns|us|ms|s|m|h)"),
        text(f"--{name}-failure-action", f"Action on {name} failure ({actions})"),
        value(f"--{name}-max-failure-ratio", FLOAT, f"Failure rate to tolerate during a {name}"),
        value(
            f"--{name}-monitor",
            DURATION,
            f"Duration after each task {name} to monitor for failure (ns|us|ms|s|m|h)",
        ),
        text(f"--{name}-order", f'{name.capitalize()} order ("start-first", "stop-first")'),
        value(
            f"--{name}-parallelism",
            UINT,
            f"Maximum number of tasks {verb} simultaneously (0: all at once) (default 1)",
        ),
    )


_ROLLOUTS = (
    *_rollout("update", "updated", '"pause", "continue", "rollback"'),
    *_rollout("rollback", "rolled back", '"pause", "continue"'),
)
_SHARED = (
    *_PROCESS,
    *_RESOURCES,
    *_SCALE,
    *_RESTART,
    *_WATCH,
    *_DEALING,
    switch("--rebalance", "Move tasks to nodes that join or come back"),
    *_IMAGE,
    *_ENDPOINT,
    *_ROLLOUTS,
)

CREATE_FLAGS: tuple[Flag, ...] = (
    *_SHARED,
    texts("--config", "Specify configurations to expose to the service", parse_reference, "config"),
    texts("--constraint", "Placement constraints"),
    texts("--container-label", "Container labels", check_label),
    texts("--dns", "Set custom DNS servers", check_address),
    texts("--dns-option", "Set DNS options"),
    texts("--dns-search", "Set custom DNS search domains", check_dns_search),
    texts("-e --env", "Set environment variables", check_variable),
    texts("--env-file", "Read in a file of environment variables"),
    texts("--generic-resource", "User defined resources", parse_generic_resource),
    texts("--group", "Set one or more supplementary user groups for the container"),
    texts("--host", "Set one or more custom host-to-IP mappings (host:ip)", parse_extra_host),
    texts("-l --label", "Service labels", check_label),
    text(
        "--mode",
        'Service mode ("replicated", "global", "replicated-job", "global-job")',
        default="replicated",
    ),
    texts("--mount", "Attach a filesystem mount to the service", parse_mount, "mount"),
    text("--name", "Service name"),
    texts("--network", "Network attachments", parse_network, "network"),
    texts("--placement-pref", "Add a placement preference", parse_preference, "pref"),
    texts("-p --publish", "Publish a port as a node port", parse_service_port, "port"),
    texts("--secret", "Specify secrets to expose to the service", parse_reference, "secret"),
    texts("--sysctl", "Sysctl options"),
    texts("--ulimit", "Ulimit options", parse_ulimit, "ulimit"),
)
UPDATE_FLAGS: tuple[Flag, ...] = (
    *_SHARED,
    text("--image", "Service image tag"),
    text("--args", "Service command args"),
    switch("--force", "Force update even if no changes require it"),
    switch("--rollback", "Rollback to previous specification"),
    texts("--config-add", "Add or update a config file on a service", parse_reference, "config"),
    texts("--config-rm", "Remove a configuration file"),
    texts("--constraint-add", "Add or update a placement constraint"),
    texts("--constraint-rm", "Remove a constraint"),
    texts("--container-label-add", "Add or update a container label", check_label),
    texts("--container-label-rm", "Remove a container label by its key"),
    texts("--dns-add", "Add or update a custom DNS server", check_address),
    texts("--dns-option-add", "Add or update a DNS option"),
    texts("--dns-option-rm", "Remove a DNS option"),
    texts("--dns-rm", "Remove a custom DNS server"),
    texts("--dns-search-add", "Add or update a custom DNS search domain", check_dns_search),
    texts("--dns-search-rm", "Remove a DNS search domain"),
    texts("--env-add", "Add or update an environment variable", check_variable),
    texts("--env-rm", "Remove an environment variable"),
    texts("--generic-resource-add", "Add a Generic resource", parse_generic_resource),
    texts("--generic-resource-rm", "Remove a Generic resource"),
    texts("--group-add", "Add an additional supplementary user group to the container"),
    texts("--group-rm", "Remove a supplementary user group from the container"),
    texts("--host-add", "Add a custom host-to-IP mapping (host:ip)", parse_extra_host),
    texts("--host-rm", "Remove a custom host-to-IP mapping (host:ip)"),
    texts("--label-add", "Add or update a service label", check_label),
    texts("--label-rm", "Remove a label by its key"),
    texts("--mount-add", "Add or update a mount on a service", parse_mount, "mount"),
    texts("--mount-rm", "Remove a mount by its target path"),
    texts("--network-add", "Add a network", parse_network, "network"),
    texts("--network-rm", "Remove a network"),
    texts("--placement-pref-add", "Add a placement preference", parse_preference, "pref"),
    texts("--placement-pref-rm", "Remove a placement preference", parse_preference, "pref"),
    texts("--publish-add", "Add or update a published port", parse_service_port, "port"),
    texts("--publish-rm", "Remove a published port by its target port", parse_target_port, "port"),
    texts("--secret-add", "Add or update a secret on a service", parse_reference, "secret"),
    texts("--secret-rm", "Remove a secret"),
    texts("--sysctl-add", "Add or update a Sysctl option"),
    texts("--sysctl-rm", "Remove a Sysctl option"),
    texts("--ulimit-add", "Add or update a ulimit option", parse_ulimit, "ulimit"),
    texts("--ulimit-rm", "Remove a ulimit option"),
)
