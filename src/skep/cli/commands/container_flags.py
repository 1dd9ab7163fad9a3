"""The flags of run and create: one container's whole configuration."""

from __future__ import annotations

from skep.cli.commands.health_flags import HEALTH_FLAGS
from skep.cli.flags.flag import Flag, number, switch, text, texts, value
from skep.cli.flags.kinds import CPUS, INT, SIZE, Kind
from skep.cli.values.limits import (
    check_address,
    check_dns_search,
    parse_device,
    parse_device_iops,
    parse_device_rate,
    parse_device_weight,
    parse_extra_host,
    parse_ulimit,
)
from skep.cli.values.mounts import parse_mount
from skep.cli.values.networks import parse_network
from skep.cli.values.pairs import check_label, check_variable
from skep.cli.values.size import parse_swap

_PROCESS = (
    texts("-a --attach", "Attach to STDIN, STDOUT or STDERR"),
    text("--entrypoint", "Overwrite the default ENTRYPOINT of the image"),
    texts("-e --env", "Set environment variables", check_variable),
    texts("--env-file", "Read in a file of environment variables"),
    texts("--group-add", "Add additional groups to join"),
    text("-h --hostname", "Container host name"),
    text("--domainname", "Container NIS domain name"),
    switch("--init", "Run an init inside the container that forwards signals and reaps processes"),
    switch("-i --interactive", "Keep STDIN open even if not attached"),
    switch("-t --tty", "Allocate a pseudo-TTY"),
    text("-u --user", "Username or UID (format: <name|uid>[:<group|gid>])"),
    text("-w --workdir", "Working directory inside the container"),
    text("--stop-signal", "Signal to stop the container"),
    number("--stop-timeout", "Timeout (in seconds) to stop a container"),
)
_IDENTITY = (
    texts("--annotation", "Add an annotation to the container (passed to the OCI runtime)"),
    text("--cidfile", "Write the container ID to the file"),
    texts("-l --label", "Set meta data on a container", check_label),
    texts("--label-file", "Read in a line delimited file of labels"),
    text("--name", "Assign a name to the container"),
    text("--platform", "Set platform if server is multi-platform capable"),
    text(
        "--pull",
        'Pull image before running ("always", "missing", "never")',
        default="missing",
    ),
    switch("-q --quiet", "Suppress the pull output"),
    text("--restart", "Restart policy to apply when a container exits", default="no"),
    switch("--rm", "Remove the container and its anonymous volumes when it exits"),
)
RESOURCE_FLAGS = (
    value("--blkio-weight", INT, "Block IO weight, from 10 to 1000, or 0 to disable", default=0),
    number("--cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
    number("--cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
    number("--cpu-rt-period", "Limit CPU real-time period in microseconds"),
    number("--cpu-rt-runtime", "Limit CPU real-time runtime in microseconds"),
    number("-c --cpu-shares", "CPU shares (relative weight)"),
    value("--cpus", CPUS, "Number of CPUs", default=0),
    text("--cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
    text("--cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
    value("-m --memory", SIZE, "Memory limit", default=0),
    value("--memory-reservation", SIZE, "Memory soft limit", default=0),
    value(
        "--memory-swap",
        Kind("bytes", parse_swap),
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        default=0,
    ),
    number("--pids-limit", "Tune container pids limit (set -1 for unlimited)"),
)
"""The limits that `update` can change while the container runs."""
_LIMITS = (
    *RESOURCE_FLAGS,
    texts("--blkio-weight-device", "Block IO weight of one device", parse_device_weight),
    texts(
        "--device-read-bps", "Limit read rate (bytes per second) from a device", parse_device_rate
    ),
    texts("--device-read-iops", "Limit read rate (IO per second) from a device", parse_device_iops),
    texts(
        "--device-write-bps", "Limit write rate (bytes per second) to a device", parse_device_rate
    ),
    texts("--device-write-iops", "Limit write rate (IO per second) to a device", parse_device_iops),
    number("--memory-swappiness", "Tune container memory swappiness (0 to 100)", default=-1),
    switch("--oom-kill-disable", "Disable OOM Killer"),
    number("--oom-score-adj", "Tune host's OOM preferences (-1000 to 1000)"),
    value("--shm-size", SIZE, "Size of /dev/shm", default=0),
    texts("--ulimit", "Ulimit options", parse_ulimit, word="ulimit"),
)
_ISOLATION = (
    texts("--cap-add", "Add Linux capabilities"),
    texts("--cap-drop", "Drop Linux capabilities"),
    text("--cgroup-parent", "Optional parent cgroup for the container"),
    text("--cgroupns", "Cgroup namespace to use (host|private)"),
    texts("--device", "Add a host device to the container", parse_device),
    texts("--device-cgroup-rule", "Add a rule to the cgroup allowed devices list"),
    text("--gpus", "GPU devices to add to the container ('all' to pass all GPUs)"),
    text("--ipc", "IPC mode to use"),
    text("--isolation", "Container isolation technology"),
    text("--pid", "PID namespace to use"),
    switch("--privileged", "Give extended privileges to this container"),
    switch("--read-only", "Mount the container's root filesystem as read only"),
    text("--runtime", "Runtime to use for this container"),
    texts("--security-opt", "Security Options"),
    texts("--storage-opt", "Storage driver options for the container"),
    texts("--sysctl", "Sysctl options", word="map"),
    text("--userns", "User namespace to use"),
    text("--uts", "UTS namespace to use"),
)
_NETWORK = (
    texts("--add-host", "Add a custom host-to-IP mapping (host:ip)", parse_extra_host),
    texts("--dns", "Set custom DNS servers", check_address),
    texts("--dns-option", "Set DNS options"),
    texts("--dns-search", "Set custom DNS search domains", check_dns_search),
    texts("--expose", "Expose a port or a range of ports"),
    text("--ip", "IPv4 address (e.g., 172.30.100.104)"),
    text("--ip6", "IPv6 address (e.g., 2001:db8::33)"),
    texts("--link", "Add link to another container"),
    texts("--link-local-ip", "Container IPv4/IPv6 link-local addresses", check_address),
    text("--mac-address", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    texts("--network", "Connect a container to a network", parse_network, word="network"),
    texts("--network-alias", "Add network-scoped alias for the container"),
    texts("-p --publish", "Publish a container's port(s) to the host"),
    switch("-P --publish-all", "Publish all exposed ports to random ports"),
)
_STORAGE = (
    texts("--mount", "Attach a filesystem mount to the container", parse_mount, word="mount"),
    texts("--tmpfs", "Mount a tmpfs directory"),
    texts("-v --volume", "Bind mount a volume"),
    text("--volume-driver", "Optional volume driver for the container"),
    texts("--volumes-from", "Mount volumes from the specified container(s)"),
)
_WATCH = (
    *HEALTH_FLAGS,
    text("--log-driver", "Logging driver for the container"),
    texts("--log-opt", "Log driver options"),
)

CREATE_FLAGS: tuple[Flag, ...] = (
    *_PROCESS,
    *_IDENTITY,
    *_LIMITS,
    *_ISOLATION,
    *_NETWORK,
    *_STORAGE,
    *_WATCH,
)
RUN_FLAGS: tuple[Flag, ...] = (
    *CREATE_FLAGS,
    switch("-d --detach", "Run container in background and print container ID"),
    text("--detach-keys", "Override the key sequence for detaching a container"),
    switch("--sig-proxy", "Proxy received signals to the process", default=True),
)
