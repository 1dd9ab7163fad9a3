"""Terminals, standard streams and execs as a client meets them."""

from __future__ import annotations

import asyncio

import pytest

from skep.kit.errors import Conflict
from skep.runtime.bundle import User
from skep.runtime.door import STDERR, STDOUT, Chunk, Exec, ExecSpec, Io, Stream
from skep.testing.container_host import ContainerHost


async def read_all(stream: Stream) -> dict[int, bytes]:
    """What came on each stream until the end."""
    found = {STDOUT: b"", STDERR: b""}
    async with asyncio.timeout(20):
        while (chunk := await stream.read()) is not None:
            found[chunk.stream] += chunk.data
    stream.close()
    return found


async def run_exec(host: ContainerHost, container_id: str, spec: ExecSpec) -> tuple[Exec, Stream]:
    session = await host.runtime.exec(container_id, spec)
    assert session.stream is not None
    return session, session.stream


async def test_stdout_and_stderr_stay_apart(host: ContainerHost) -> None:
    bundle = host.shell("echo out; echo err >&2")
    await host.runtime.create(bundle, Io(log_path=host.log(bundle)))
    stream = await host.runtime.attach(bundle.id)
    await host.runtime.start(bundle.id)
    assert await read_all(stream) == {STDOUT: b"out\n", STDERR: b"err\n"}


async def test_stdin_survives_a_client_that_leaves(host: ContainerHost) -> None:
    """`docker run -i` without --rm: stdin stays open until a client of StdinOnce closes it."""
    bundle = await host.running(host.bundle("/bin/cat"), Io(stdin=True))
    first = await host.runtime.attach(bundle.id)
    await first.write(b"1\n")
    assert await first.read() == Chunk(stream=STDOUT, data=b"1\n")
    first.close_stdin()
    first.close()
    second = await host.runtime.attach(bundle.id)
    await second.write(b"2\n")
    assert await second.read() == Chunk(stream=STDOUT, data=b"2\n")
    second.close()


async def test_a_terminal_is_one_and_has_the_size_it_was_given(host: ContainerHost) -> None:
    bundle = host.shell("stty size; read line; stty size", terminal=True, console_size=(24, 80))
    await host.runtime.create(bundle, Io(stdin=True))
    stream = await host.runtime.attach(bundle.id)
    await host.runtime.start(bundle.id)
    shown = b""
    while not shown.endswith(b"\n") and (chunk := await stream.read()) is not None:
        assert chunk.stream == STDOUT
        shown += chunk.data
    assert shown == b"24 80\r\n"
    await host.runtime.resize(bundle.id, 30, 100)
    await asyncio.sleep(0.05)
    await stream.write(b"\n")
    assert b"30 100\r\n" in (await read_all(stream))[STDOUT]


async def test_megabytes_pass_unchanged_in_both_directions(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    session, stream = await run_exec(
        host, bundle.id, ExecSpec(exec_id="e", argv=("/bin/cat",), attach=True, stdin=True)
    )
    data = bytes(range(256)) * 8192
    reading = asyncio.create_task(read_all(stream))
    await stream.write(data)
    stream.close_stdin()
    assert (await reading)[STDOUT] == data
    assert (await session.wait()).code == 0


async def test_an_execs_end_is_not_the_containers(host: ContainerHost) -> None:
    """conmon names an exec's exit file by the container: each exec has a folder of its own."""
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    sessions = [
        await host.runtime.exec(
            bundle.id, ExecSpec(exec_id=f"e{code}", argv=("/bin/sh", "-c", f"exit {code}"))
        )
        for code in (1, 2, 3)
    ]
    assert [(await session.wait()).code for session in sessions] == [1, 2, 3]
    found = await host.found_after_restart(bundle)
    assert (found.state, found.exit) == ("running", None)


async def test_an_exec_with_a_terminal(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    spec = ExecSpec(
        exec_id="e",
        argv=("/bin/sh", "-c", "stty size; read line; stty size"),
        env=("PATH=/bin",),
        terminal=True,
        stdin=True,
        attach=True,
        console_size=(10, 20),
    )
    session, stream = await run_exec(host, bundle.id, spec)
    assert await stream.read() == Chunk(stream=STDOUT, data=b"10 20\r\n")
    await session.resize(11, 22)
    await asyncio.sleep(0.05)
    await stream.write(b"\n")
    assert b"11 22\r\n" in (await read_all(stream))[STDOUT]


async def test_an_exec_as_another_user_elsewhere_with_its_own_environment(
    host: ContainerHost,
) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    spec = ExecSpec(
        exec_id="e",
        argv=("/bin/sh", "-c", "id -u; pwd; echo $WORD; echo error >&2"),
        env=("WORD=yes", "PATH=/bin"),
        cwd="/tmp",
        user=User(uid=5, gid=5),
        attach=True,
    )
    _, stream = await run_exec(host, bundle.id, spec)
    assert await read_all(stream) == {STDOUT: b"5\n/tmp\nyes\n", STDERR: b"error\n"}


async def test_an_exec_is_confined_like_its_container(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    spec = ExecSpec(exec_id="e", argv=("/bin/unshare", "-U", "true"), attach=True)
    session, stream = await run_exec(host, bundle.id, spec)
    assert b"Operation not permitted" in (await read_all(stream))[STDERR]
    assert (await session.wait()).code != 0


async def test_an_execs_id_is_taken_while_it_runs(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/sleep", "1000"))
    spec = ExecSpec(exec_id="e", argv=("/bin/sleep", "1000"))
    await host.runtime.exec(bundle.id, spec)
    with pytest.raises(Conflict):
        await host.runtime.exec(bundle.id, spec)


async def test_nobody_attaches_to_an_ended_container(host: ContainerHost) -> None:
    bundle = await host.running(host.bundle("/bin/true"))
    await host.runtime.wait(bundle.id)
    with pytest.raises(Conflict):
        await host.runtime.attach(bundle.id)
