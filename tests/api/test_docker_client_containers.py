"""Containers on a real daemon, seen by the unmodified docker client."""

from __future__ import annotations

import io
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

IMAGE = "busy:1"
_PATIENCE_S = 20.0


class Daemon:
    """`skep daemon` in a network namespace of its own, and docker's client speaking to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/s.sock"
        options = ["-H", self.host, "--data-root", folder / "data", "--exec-root", folder / "exec"]
        serve = [sys.executable, "-m", "skep", "daemon", "--config-file", "/dev/null", *options]
        up = 'ip link set lo up && exec "$@"'
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "sh", "-c", up, "sh", *map(str, serve)],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "DOCKER_HOST": self.host}

    def docker(self, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        done = subprocess.run(
            ["docker", *words],
            input=stdin,
            capture_output=True,
            env=self.env(),
            timeout=_PATIENCE_S,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self.docker("version")[0]:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def close(self) -> None:
        _, ids, _ = self.docker("ps", "-aq")
        if ids.split():
            self.docker("rm", "-f", *ids.split())
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(_PATIENCE_S) == 0


def root_filesystem() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(shutil.which("busybox") or "/bin/busybox", "bin/busybox")
        for name in ("sh", "echo", "cat", "sleep", "true"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return archive.getvalue()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    folder = Path(tempfile.mkdtemp(prefix="skep-api-"))
    daemon = Daemon(folder)
    try:
        daemon.wait_until_ready()
        code, _, err = daemon.docker("import", "-", IMAGE, stdin=root_filesystem())
        assert code == 0, err
        yield daemon
        daemon.close()
    finally:
        daemon.process.kill()
        daemon.process.wait()
        subprocess.run(["umount", "-R", folder / "exec" / "netns"], stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("script", "stdin", "result"),
    [
        ("echo out; echo err >&2; exit 7", b"", (7, "out\n", "err\n")),
        ("cat", b"from outside", (0, "from outside", "")),
        ("cat >/dev/null; echo done", b"x" * 300_000, (0, "done\n", "")),
    ],
)
def test_run_passes_streams_and_the_exit_code(
    daemon: Daemon, script: str, stdin: bytes, result: tuple[int, str, str]
) -> None:
    run = ("run", "--rm", "-i", IMAGE, "sh", "-c", script)
    assert daemon.docker(*run, stdin=stdin) == result
    assert daemon.docker("ps", "-aq")[1] == ""


def test_a_program_that_is_not_there_is_exit_code_127(daemon: Daemon) -> None:
    code, _, err = daemon.docker("run", "--rm", IMAGE, "nosuch")
    assert code == 127
    assert 'exec: "nosuch": executable file not found in $PATH' in err


def test_a_container_is_looked_at_and_talked_to_and_stopped(daemon: Daemon) -> None:
    code, container_id, err = daemon.docker(
        "run", "-d", "--name", "bee", IMAGE, "sh", "-c", "echo hello; exec sleep 1000"
    )
    assert code == 0, err
    shown = daemon.docker("ps", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Status}}")[1]
    assert shown.startswith(f"{container_id[:12]} bee {IMAGE} Up ")
    assert daemon.docker("exec", "bee", "sh", "-c", "echo in; exit 42") == (42, "in\n", "")
    assert daemon.docker("exec", "-i", "bee", "cat", stdin=b"said") == (0, "said", "")
    missing = daemon.docker("exec", "bee", "nosuch")
    assert missing[0] == 127
    assert 'exec: "nosuch"' in missing[1] + missing[2]
    assert daemon.docker("logs", "bee") == (0, "hello\n", "")
    titles, *rows = daemon.docker("top", "bee")[1].splitlines()
    assert titles.split()[0] == "UID"
    assert any("sleep 1000" in row for row in rows)
    assert "bee" in daemon.docker("stats", "--no-stream", "bee")[1]
    assert daemon.docker("rm", "bee")[0] == 1
    assert daemon.docker("kill", "bee") == (0, "bee\n", "")
    assert daemon.docker("wait", "bee") == (0, "137\n", "")
    assert daemon.docker("rm", "bee") == (0, "bee\n", "")


def test_following_logs_ends_with_the_container(daemon: Daemon) -> None:
    daemon.docker("run", "-d", "--name", "short", IMAGE, "sh", "-c", "echo a; sleep 0.5; echo b")
    assert daemon.docker("logs", "-f", "short") == (0, "a\nb\n", "")
    assert daemon.docker("rm", "short")[0] == 0


def test_a_terminal_is_a_terminal(daemon: Daemon) -> None:
    """Keys go in, an answer and its echo come out, and the exit code is the shell's."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("docker", ["docker", "run", "--rm", "-it", IMAGE, "sh"], daemon.env())
    heard = _hear(terminal, b"# ")
    os.write(terminal, b"test -t 0 && echo it\\'s one; exit 5\n")
    heard += _hear(terminal, b"it's one")
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5, heard


def _hear(terminal: int, words: bytes) -> bytes:
    heard = b""
    deadline = time.monotonic() + _PATIENCE_S
    while words not in heard:
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, heard
        heard += os.read(terminal, 4096)
    return heard


def test_events_tell_what_happened(daemon: Daemon) -> None:
    since = str(time.time())
    daemon.docker("run", "--rm", "--name", "brief", IMAGE, "true")
    _, out, _ = daemon.docker(
        "events", "--since", since, "--until", str(time.time()), "--filter", "type=container",
        "--format", "{{.Action}} {{.Actor.Attributes.name}}",
    )  # fmt: skip
    told = out.splitlines()
    assert [line for line in ("create", "start", "die", "destroy") if f"{line} brief" in told] == [
        "create", "start", "die", "destroy",
    ]  # fmt: skip


def test_images_networks_and_volumes_have_docker_s_columns(daemon: Daemon, tmp_path: Path) -> None:
    for words, titles in (
        (("images",), ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]),
        (("network", "ls"), ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]),
        (("volume", "ls"), ["DRIVER", "VOLUME", "NAME"]),
        (("system", "df"), ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]),
    ):
        code, out, err = daemon.docker(*words)
        assert (code, err) == (0, "")
        assert out.splitlines()[0].split() == titles
    archive = str(tmp_path / "save.tar")
    assert daemon.docker("tag", IMAGE, "other:2")[0] == 0
    assert daemon.docker("save", "-o", archive, "other:2") == (0, "", "")
    assert daemon.docker("rmi", "other:2")[1] == "Untagged: other:2\n"
    assert daemon.docker("load", "-i", archive) == (0, "Loaded image: other:2\n", "")
    names = daemon.docker("network", "ls", "--format", "{{.Name}}")[1].split()
    assert names == ["bridge", "host", "none"]


def test_info_and_version_print_without_a_complaint(daemon: Daemon) -> None:
    for words in (("version",), ("info",)):
        code, out, err = daemon.docker(*words)
        assert (code, err) == (0, "")
        assert "Server" in out
    assert "WARNING" not in daemon.docker("info")[1]
