"""What the demo shows: a cluster, a published service, its replicas, a scale, an update, logs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from demo import images
from demo.transcript import Transcript

_NAME = "demo"
_HOST = f"unix:///run/skep-playground/{_NAME}/n1.sock"
_INSIDE = f"skep playground exec --name {_NAME}"
_ASK = "busybox wget -qO- http://127.0.0.1:8000"
_PROGRAMS = Path(sys.executable).parent

_CREATE = """skep service create --name web --replicas 6 --publish 8000:80 \\
    --hostname '{{.Service.Name}}-{{.Task.Slot}} on {{.Node.Hostname}}' \\
    --update-delay 500ms --update-monitor 1s --no-resolve-image web:1.0"""

_STAYS = f"""
# The cluster runs on. Look at it:
    export PATH={_PROGRAMS}:$PATH SKEP_HOST={_HOST}
    skep service ps web
    {_INSIDE} n1 {_ASK}
# Take a node's power away, and see its tasks start elsewhere:
    skep playground kill --name {_NAME} n3
# Stop it and remove all that it made:
    make demo-stop
"""


def up() -> None:
    """Raises CalledProcessError when a command of it fails."""
    down()
    with tempfile.TemporaryDirectory(prefix="skep-demo-") as folder:
        images.build(Path(folder))
        shell = Transcript(Path(folder))
        _cluster(shell)
        _service(shell)
        _changes(shell)
        if shutil.which("docker"):
            _docker(shell)
    print(_STAYS)


def down() -> None:
    """Fine when there is nothing."""
    argv = [str(_PROGRAMS / "skep"), "playground", "down", "--name", _NAME]
    subprocess.run(argv, check=True)


def _cluster(shell: Transcript) -> None:
    shell.tell("Three nodes on this machine, each in namespaces of its own, joined to a swarm.")
    shell.run(f"skep playground up --name {_NAME}")
    shell.export("SKEP_HOST", _HOST)
    shell.run("skep node ls")
    shell.tell("Two versions of a web page, made from Debian's busybox, loaded on every node.")
    archives = " ".join(f"web-{version}.tar" for version in images.VERSIONS)
    shell.run(
        f"for node in n1 n2 n3; do for image in {archives}; do\n"
        f"    skep --host {_HOST.replace('n1', '$node')} load --quiet -i $image\ndone; done"
    )


def _service(shell: Transcript) -> None:
    shell.tell("A service of six replicas, published on port 8000 of every node.")
    shell.run(_CREATE)
    shell.run("skep service ls")
    shell.run("skep service ps web")
    shell.tell("The replicas of the node that is asked answer in turn.")
    shell.run(f"for node in n1 n1 n1 n1 n2 n3; do {_INSIDE} $node {_ASK}; done")


def _changes(shell: Transcript) -> None:
    shell.tell("More of it.")
    shell.run("skep service scale web=9")
    shell.tell("A rolling update to version 2.0; the page answers all the while.")
    shell.run("skep service update --detach --no-resolve-image --image web:2.0 web")
    shell.run(f"for try in 1 2 3 4 5 6 7 8; do {_INSIDE} n1 {_ASK}; sleep 0.4; done")
    shell.run("skep service ls")
    shell.run("skep service ps web --filter desired-state=running")
    shell.tell("What the replicas said.")
    shell.run("skep service logs --tail 1 web")


def _docker(shell: Transcript) -> None:
    shell.tell("The unmodified docker client speaks to it, too.")
    shell.run(f"DOCKER_HOST={_HOST} docker service ls")
