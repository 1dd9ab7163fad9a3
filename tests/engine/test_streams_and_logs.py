"""Attach, exec and logs: who writes what, who reads it, and when it ends."""

from __future__ import annotations

import asyncio
import re

import pytest

from skep.engine import AttachedStream
from skep.engine.containers.attach import DetachKeys, parse_detach_keys
from skep.kit.errors import Conflict, InvalidArgument, NotFound, Unimplemented
from skep.model.container import ExecCreate, ExecStart, LogConfig
from skep.testing.engine_host import EngineHost


async def read_all(stream: AttachedStream) -> dict[int, bytes]:
    """Stream number -> everything that came on it."""
    found: dict[int, bytes] = {}
    async with asyncio.timeout(10):
        while (chunk := await stream.read()) is not None:
            found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
    return found


async def test_a_client_that_attached_before_the_start_misses_nothing(host: EngineHost) -> None:
    id_ = await host.create("sh", "-c", "echo first; echo oops >&2; exit 0")
    stream = await host.engine.containers.attach(id_)
    await host.engine.containers.start(id_)
    assert await read_all(stream) == {1: b"first\n", 2: b"oops\n"}


async def test_stdin_reaches_the_process_and_its_end_too(host: EngineHost) -> None:
    id_ = await host.create("cat", open_stdin=True, stdin_once=True)
    stream = await host.engine.containers.attach(id_, stdin=True)
    await host.engine.containers.start(id_)
    await stream.write(b"one\n")
    stream.close_stdin()
    assert await read_all(stream) == {1: b"one\n"}
    assert (await host.engine.containers.wait(id_)).status_code == 0


async def test_a_terminal_has_its_size_and_can_be_left_by_its_keys(host: EngineHost) -> None:
    id_ = await host.create(
        "sh", "-c", "stty size; cat", tty=True, open_stdin=True, host={"console_size": [30, 100]}
    )
    stream = await host.engine.containers.attach(id_, stdin=True)
    await host.engine.containers.start(id_)
    chunk = await stream.read()
    assert chunk is not None
    assert chunk.data.startswith(b"30 100")
    await host.engine.containers.resize(id_, 20, 50)
    await stream.write(b"\x10\x11")
    assert await stream.read() is None
    assert await host.state(id_) == "running"


async def test_an_attach_to_a_start_that_fails_ends(host: EngineHost) -> None:
    id_ = await host.create("/none")
    stream = await host.engine.containers.attach(id_)
    with pytest.raises(InvalidArgument):
        await host.engine.containers.start(id_)
    assert await read_all(stream) == {}


async def test_an_exec_has_its_own_streams_and_exit_code(host: EngineHost) -> None:
    id_ = await host.run()
    wish = ExecCreate(
        cmd=["sh", "-c", "cat; echo $WORD; pwd; echo e >&2; exit 42"],
        env=["WORD=yes"], working_dir="/tmp",
        attach_stdin=True, attach_stdout=True, attach_stderr=True,
    )  # fmt: skip
    exec_id = await host.engine.containers.exec_create(id_, wish)
    stream = await host.engine.containers.exec_start(exec_id, ExecStart())
    assert stream is not None
    await stream.write(b"in\n")
    stream.close_stdin()
    assert await read_all(stream) == {1: b"in\nyes\n/tmp\n", 2: b"e\n"}
    shown = await host.engine.containers.exec_inspect(exec_id)
    assert (shown.running, shown.exit_code, shown.container_id) == (False, 42, id_)
    assert await host.state(id_) == "running"
    with pytest.raises(Conflict, match="has already run"):
        await host.engine.containers.exec_start(exec_id, ExecStart())


async def test_an_exec_needs_a_running_container_and_a_command(host: EngineHost) -> None:
    idle, running = await host.create(), await host.run()
    with pytest.raises(Conflict, match=f"container {idle} is not running"):
        await host.engine.containers.exec_create(idle, ExecCreate(cmd=["true"]))
    with pytest.raises(InvalidArgument, match="No exec command specified"):
        await host.engine.containers.exec_create(running, ExecCreate())
    with pytest.raises(NotFound, match="No such exec instance: none"):
        await host.engine.containers.exec_inspect("none")


async def test_a_program_that_an_exec_cannot_find_does_not_hurt(host: EngineHost) -> None:
    id_ = await host.run()
    exec_id = await host.engine.containers.exec_create(id_, ExecCreate(cmd=["/none"]))
    with pytest.raises(InvalidArgument):
        await host.engine.containers.exec_start(exec_id, ExecStart(detach=True))
    assert await host.state(id_) == "running"


async def test_logs_choose_by_stream_tail_and_time(host: EngineHost) -> None:
    id_ = await host.shell("echo a; echo b >&2; sleep 0.05; echo c")
    await host.engine.containers.wait(id_)
    assert await host.log(id_, stderr=False) == "a\nc\n"
    assert await host.log(id_, tail=1) == "c\n"
    stamped = await host.log(id_, timestamps=True, tail=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z c\n", stamped)
    with pytest.raises(InvalidArgument, match="choose at least one stream"):
        await host.log(id_, stdout=False, stderr=False)


async def test_followed_logs_end_with_the_container(host: EngineHost) -> None:
    id_ = await host.shell("for i in 1 2 3; do echo $i; sleep 0.1; done")
    async with asyncio.timeout(10):
        assert await host.log(id_, follow=True) == "1\n2\n3\n"


async def test_a_container_without_a_log_says_so(host: EngineHost) -> None:
    id_ = await host.create(host={"log_config": LogConfig(type="none")})
    with pytest.raises(Unimplemented, match="does not support reading"):
        await host.log(id_)


async def test_a_log_that_grows_too_large_is_rotated(host: EngineHost) -> None:
    options = {"max-size": "20k", "max-file": "2"}
    line = "x" * 100
    id_ = await host.shell(
        f"i=0; while [ $i -lt 400 ]; do echo {line}; i=$((i+1)); done; sleep 600",
        host={"log_config": LogConfig(type="json-file", config=options)},
    )
    folder = host.settings.data_root / "containers" / id_
    async with asyncio.timeout(10):
        while not (folder / "container.log.1").exists():
            await asyncio.sleep(0.05)


def test_detach_keys_are_found_across_pieces_and_other_keys_pass() -> None:
    keys = DetachKeys(parse_detach_keys(""))
    assert keys.feed(b"ab\x10") == (b"ab", False)
    assert keys.feed(b"c\x10") == (b"\x10c", False)
    assert keys.feed(b"\x11") == (b"", True)


@pytest.mark.parametrize(
    ("text", "keys"), [("", b"\x10\x11"), ("ctrl-a,x", b"\x01x"), ("ctrl-@", b"\x00"), ("q", b"q")]
)
def test_detach_keys_as_people_write_them(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-!", "ab", ",", "ctrl-é"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid detach keys"):
        parse_detach_keys(text)
