"""run, exec, attach and start: bytes both ways, terminals, detach keys, signals, exit codes.

The program runs as a process of its own against a daemon of paper.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

DEADLINE_S = 10.0
C1 = "/containers/c1id"
Program = tuple[list[str], dict[str, str]]


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


def run(program: Program, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command, environment = program
    return subprocess.run(
        [*command, *words],
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )


def says(*chunks: bytes) -> Callable[[socket.socket], None]:
    """A container that writes and ends."""

    def talk(connection: socket.socket) -> None:
        for chunk in chunks:
            connection.sendall(chunk)

    return talk


def echoes(connection: socket.socket) -> None:
    """A container that gives back what it is given, until its standard input ends."""
    received = b""
    while piece := connection.recv(4096):
        received += piece
    connection.sendall(frame(1, b"got " + received))


@pytest.fixture
def container(daemon: Any, answer: Callable[..., Any]) -> Callable[..., None]:
    """Teach the daemon one container whose attach is handled by a function."""
    from dataclasses import replace

    def teach(attach: Callable[[socket.socket], None], *, code: int = 0, tty: bool = False) -> None:
        ok = answer({"json": None, "status": 204})
        info = {
            "Id": "c1id",
            "State": {"Running": True},
            "Config": {"Tty": tty, "OpenStdin": True},
        }
        daemon.answer("POST /containers/create", answer({"json": {"Id": "c1id"}, "status": 201}))
        daemon.answer("GET /containers/c1/json", answer({"json": info, "status": 200}))
        taken = replace(ok, takes_over=attach)
        for streams in ("stderr=1&stdout=1", "stderr=1&stdin=1&stdout=1",
                        "stdin=1&stdout=1&stderr=1", "stdout=1&stderr=1"):  # fmt: skip
            daemon.answer(f"POST {C1}/attach?stream=1&{streams}", taken)
        done = answer({"json": {"StatusCode": code}, "status": 200})
        for condition in ("?condition=next-exit", "?condition=removed", ""):
            daemon.answer(f"POST {C1}/wait{condition}", done)
        daemon.answer(f"POST {C1}/start", ok)
        daemon.answer(f"POST {C1}/kill?signal=TERM", ok)
        for lines, columns in ((24, 80), (30, 100)):
            daemon.answer(f"POST {C1}/resize?h={lines}&w={columns}", ok)

    return teach


def test_run_shows_both_streams_apart_and_ends_with_the_containers_code(
    container: Callable[..., None], program: Program
) -> None:
    container(says(frame(1, b"out\n")[:5], frame(1, b"out\n")[5:] + frame(2, b"err\n")), code=7)
    done = run(program, "run", "web", "cmd")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


def test_run_asks_to_wait_before_it_starts(
    container: Callable[..., None], daemon: Any, program: Program
) -> None:
    container(says())
    run(program, "run", "--rm", "web")
    keys = [call.key for call in daemon.asked("POST")]
    assert keys == [
        "POST /containers/create",
        f"POST {C1}/attach?stream=1&stdout=1&stderr=1",
        f"POST {C1}/wait?condition=removed",
        f"POST {C1}/start",
    ]


def test_standard_input_is_sent_and_its_end_is_told(
    container: Callable[..., None], program: Program
) -> None:
    container(echoes)
    assert run(program, "run", "-i", "web", stdin=b"data").stdout == b"got data"
    assert run(program, "attach", "c1", stdin=b"more").stdout == b"got more"


def test_a_detached_run_only_says_the_id(
    container: Callable[..., None], daemon: Any, program: Program
) -> None:
    container(says())
    done = run(program, "run", "-d", "web")
    assert (done.stdout, done.returncode) == (b"c1id\n", 0)
    assert not daemon.asked(f"POST {C1}/attach")


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ('exec: "/nope": stat /nope: no such file or directory', 127),
        ('exec: "nope": executable file not found in $PATH', 127),
        ('exec: "/etc/passwd": permission denied', 126),
        ("the disk is full", 125),
    ],
)
def test_a_container_that_does_not_start_tells_by_its_code_why(
    reason: str,
    code: int,
    container: Callable[..., None],
    daemon: Any,
    answer: Callable[..., Any],
    program: Program,
) -> None:
    container(says())
    daemon.answer(f"POST {C1}/start", answer({"json": {"message": reason}, "status": 400}))
    done = run(program, "run", "web")
    assert done.returncode == code
    assert done.stderr.decode() == (
        f"skep: Error response from daemon: {reason}\n\n"
        "Run 'skep run --help' for more information\n"
    )


def test_a_missing_image_is_pulled_once(
    container: Callable[..., None], daemon: Any, answer: Callable[..., Any], program: Program
) -> None:
    container(says(frame(1, b"ran\n")))
    missing = answer({"json": {"message": "No such image: web:latest"}, "status": 404})
    created = answer({"json": {"Id": "c1id"}, "status": 201})
    daemon.answer("POST /containers/create", missing, created)
    pulled = b'{"status":"Pulling from library/web","id":"latest"}\r\n{"status":"Done"}\r\n'
    key = "POST /images/create?fromImage=web&tag=latest"
    daemon.answer(key, answer({"latin1": pulled.decode(), "status": 200}))
    done = run(program, "run", "web")
    assert (done.stdout, done.returncode) == (b"ran\n", 0)
    assert done.stderr.decode() == (
        "Unable to find image 'web:latest' locally\nlatest: Pulling from library/web\nDone\n"
    )


def test_a_signal_goes_to_the_container(
    container: Callable[..., None], daemon: Any, program: Program
) -> None:
    def until_killed(connection: socket.socket) -> None:
        connection.sendall(frame(1, b"ready\n"))
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline and not daemon.asked(f"POST {C1}/kill"):
            time.sleep(0.01)

    container(until_killed, code=143)
    command, environment = program
    with subprocess.Popen(
        [*command, "run", "web"], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 143


class Terminal:
    """The program on a pseudo-terminal of 30 lines and 100 columns."""

    def __init__(self, program: Program, *words: str) -> None:
        command, environment = program
        self._master, slave = pty.openpty()
        self.resize(30, 100)
        self.process = subprocess.Popen(
            [*command, *words], env=environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)

    def resize(self, lines: int, columns: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def read_until(self, wanted: bytes) -> bytes:
        seen = b""
        deadline = time.monotonic() + DEADLINE_S
        while wanted not in seen:
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"{wanted!r} was not shown, only {seen!r}"
            seen += os.read(self._master, 4096)
        return seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(program: Program) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*words: str) -> Terminal:
        opened.append(Terminal(program, *words))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def shell(connection: socket.socket) -> None:
    """A terminal program that shows every key it gets, and ends at a q."""
    connection.sendall(b"$ ")
    while (keys := connection.recv(100)) not in {b"", b"q"}:
        connection.sendall(b"<" + keys + b">")


def test_a_terminal_sends_its_size_and_every_key(
    container: Callable[..., None], daemon: Any, terminal: Callable[..., Terminal]
) -> None:
    container(shell, code=3, tty=True)
    window = terminal("run", "-it", "web")
    window.read_until(b"$ ")
    window.type(b"\x03")
    window.read_until(b"<\x03>")
    window.type(b"q")
    assert window.process.wait(DEADLINE_S) == 3
    assert daemon.asked(f"POST {C1}/resize?h=30&w=100")


def test_a_new_size_is_told(
    container: Callable[..., None], daemon: Any, terminal: Callable[..., Terminal]
) -> None:
    container(shell, tty=True)
    window = terminal("attach", "c1")
    window.read_until(b"$ ")
    window.resize(24, 80)
    window.process.send_signal(signal.SIGWINCH)
    deadline = time.monotonic() + DEADLINE_S
    while not daemon.asked(f"POST {C1}/resize?h=24&w=80"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_detach_keys_leave_the_container_alone(
    container: Callable[..., None], terminal: Callable[..., Terminal]
) -> None:
    container(shell, tty=True)
    window = terminal("run", "-it", "--detach-keys", "ctrl-a,d", "web")
    window.read_until(b"$ ")
    window.type(b"\x01d")
    window.read_until(b"read escape sequence")
    assert window.process.wait(DEADLINE_S) == 0


def test_exec_runs_a_command_and_ends_with_its_code(
    daemon: Any, answer: Callable[..., Any], program: Program
) -> None:
    from dataclasses import replace

    ok = answer({"json": None, "status": 200})
    daemon.answer("POST /containers/c1/exec", answer({"json": {"Id": "e1"}, "status": 201}))
    daemon.answer("POST /exec/e1/start", replace(ok, takes_over=says(frame(1, b"hi\n"))))
    daemon.answer("GET /exec/e1/json", answer({"json": {"ExitCode": 4}, "status": 200}))
    done = run(program, "exec", "-e", "A=1", "-w", "/x", "-u", "me", "c1", "ls", "-l")
    assert (done.stdout, done.returncode) == (b"hi\n", 4)
    body = daemon.asked("POST /containers/c1/exec")[0].body
    assert (body["Cmd"], body["Env"], body["WorkingDir"], body["User"]) == (
        ["ls", "-l"],
        ["A=1"],
        "/x",
        "me",
    )


def test_exec_in_the_background_is_only_started(
    daemon: Any, answer: Callable[..., Any], program: Program
) -> None:
    daemon.answer("POST /containers/c1/exec", answer({"json": {"Id": "e1"}, "status": 201}))
    daemon.answer("POST /exec/e1/start", answer({"json": None, "status": 200}))
    assert run(program, "exec", "-d", "c1", "ls").returncode == 0
    assert daemon.asked("POST /exec/e1/start")[0].body == {"Detach": True, "Tty": False}


def test_a_terminal_is_not_asked_of_a_pipe(
    container: Callable[..., None], program: Program
) -> None:
    container(says())
    done = run(program, "run", "-it", "web")
    assert (done.returncode, done.stderr[:30]) == (1, b"the input device is not a TTY:")


def test_an_attach_to_what_does_not_run_is_refused(
    container: Callable[..., None], daemon: Any, answer: Callable[..., Any], program: Program
) -> None:
    container(says())
    info = {"Id": "c1id", "State": {"Running": False}, "Config": {}}
    daemon.answer("GET /containers/c1/json", answer({"json": info, "status": 200}))
    done = run(program, "attach", "c1")
    assert done.stderr == b"You cannot attach to a stopped container, start it first\n"


def test_logs_of_a_container_are_shown_apart(
    container: Callable[..., None], daemon: Any, answer: Callable[..., Any], program: Program
) -> None:
    container(says())
    content = (frame(1, b"a\n") + frame(2, b"b\n")).decode("latin-1")
    key = f"GET {C1}/logs?stdout=1&stderr=1&follow=1&tail=5"
    daemon.answer(key, answer({"latin1": content, "status": 200}))
    done = run(program, "logs", "-f", "-n", "5", "c1")
    assert (done.stdout, done.stderr) == (b"a\n", b"b\n")


def test_the_config_files_detach_keys_are_used(
    container: Callable[..., None],
    program: Program,
    terminal: Callable[..., Terminal],
    tmp_path: Any,
) -> None:
    container(shell, tty=True)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"detachKeys": "ctrl-x"}))
    window = terminal("attach", "c1")
    window.read_until(b"$ ")
    window.type(b"\x18")
    window.read_until(b"read escape sequence")


def test_what_a_daemon_says_is_shown_and_not_obeyed(
    daemon: Any, answer: Callable[..., Any], terminal: Callable[..., Terminal]
) -> None:
    refusal = {"json": {"message": "n1\x1b[2J\rn2"}, "status": 404}
    daemon.answer("GET /nodes/n1", answer(refusal))
    seen = terminal("node", "inspect", "n1").read_until(b"n2")
    assert b"n1\\x1b[2J\\x0dn2" in seen
    assert b"\x1b" not in seen
