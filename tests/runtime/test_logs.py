"""conmon's log as lines: joined, counted from the end, followed, rotated."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skep.runtime.door import Io, Stream
from skep.runtime.log_files import Rotation, keep_small, log_files, read_log, remove_log, rotate
from skep.runtime.logs import MAX_LINE_BYTES, LogLine, LogParser, parse_record
from skep.testing.container_host import ContainerHost

TEN = 1795341600  # 2026-11-22T10:00:00Z in seconds


def record(second: int, text: str, tag: str = "F", stream: str = "stdout") -> bytes:
    return f"2026-11-22T10:00:{second:02}.000000001+00:00 {stream} {tag} {text}\n".encode()


def line(second: int, text: str, stream: str = "stdout", partial: bool = False) -> LogLine:
    time_ns = (TEN + second) * 1_000_000_000 + 1
    return LogLine(time_ns=time_ns, stream=stream, text=text.encode(), partial=partial)


async def texts(path: Path, **options: object) -> list[str]:
    return [
        entry.text.decode()
        async for batch in read_log(path, **options)  # type: ignore[arg-type]
        for entry in batch
    ]


def write_numbered(path: Path, first: int, last: int) -> None:
    with path.open("ab") as log:
        for number in range(first, last + 1):
            log.write(record(0, str(number)))


def test_a_whole_line() -> None:
    assert LogParser().feed(record(1, "a b  c")) == [line(1, "a b  c")]


def test_pieces_of_a_line_are_joined_per_stream() -> None:
    data = (
        record(1, "ab", "P")
        + record(2, "12", "P", "stderr")
        + record(3, "cd", "P")
        + record(4, "3", "F", "stderr")
        + record(5, "e")
    )
    assert LogParser().feed(data) == [line(2, "123", "stderr"), line(1, "abcde")]


def test_a_line_of_more_than_16_kib_comes_in_pieces_of_that_size() -> None:
    half = "x" * (MAX_LINE_BYTES // 2)
    parser = LogParser()
    found = parser.feed(record(1, half, "P") * 5 + record(2, "end"))
    full = "x" * MAX_LINE_BYTES
    assert found == [
        line(1, full, partial=True),
        line(1, full, partial=True),
        line(1, half + "end"),
    ]


def test_a_line_without_newline_is_told_at_the_end() -> None:
    parser = LogParser()
    assert parser.feed(record(1, "prompt> ", "P")) == []
    assert parser.flush() == [line(1, "prompt> ", partial=True)]
    assert parser.flush() == []


@pytest.mark.parametrize(
    ("moment", "expected_s"),
    [
        ("2026-11-22T10:00:00.000000000+00:00", TEN),
        ("2026-11-22T11:00:00.000000000+01:00", TEN),
        ("2026-11-22T04:30:00.000000000-05:30", TEN),
        ("2026-11-22T10:00:00.000000000Z", TEN),
    ],
)
def test_times_in_every_zone_are_utc(moment: str, expected_s: int) -> None:
    parsed = parse_record(f"{moment} stdout F x".encode())
    assert parsed is not None
    assert parsed.time_ns == expected_s * 1_000_000_000


@pytest.mark.parametrize("damaged", [b"", b"junk", b"a b c d", b"2026 stdout F x", b"\0" * 50])
def test_a_damaged_record_is_left_out(damaged: bytes) -> None:
    assert parse_record(damaged) is None
    assert LogParser().feed(damaged + b"\n" + record(1, "good")) == [line(1, "good")]


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=60))
def test_lines_do_not_depend_on_how_the_bytes_arrive(cuts: list[int]) -> None:
    data = b"".join(record(n % 60, "word " * (n % 7), "PF"[n % 2]) for n in range(40))
    whole, piecewise = LogParser(), LogParser()
    found, rest = [], data
    for cut in cuts:
        found += piecewise.feed(rest[:cut])
        rest = rest[cut:]
    found += piecewise.feed(rest)
    assert found == whole.feed(data)


async def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert await texts(tmp_path / "log") == []
    assert await texts(tmp_path / "log", tail=5) == []


async def test_since_and_until_choose_by_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(record(n, str(n)) for n in range(10)))
    since_ns, until_ns = line(3, "").time_ns, line(5, "").time_ns
    assert await texts(log, since_ns=since_ns, until_ns=until_ns) == ["3", "4", "5"]


@pytest.mark.parametrize("tail", [0, 1, 3, 99, 100, 101, 150, 5000])
async def test_the_last_lines_across_rotated_files(tmp_path: Path, tail: int) -> None:
    log = tmp_path / "log"
    for first, name in ((1, "log.2"), (51, "log.1"), (101, "log")):
        write_numbered(tmp_path / name, first, first + 49)
    everything = [str(number) for number in range(1, 151)]
    assert await texts(log, tail=tail) == (everything[-tail:] if tail else [])


async def test_the_last_lines_of_a_large_file_are_read_from_its_end(tmp_path: Path) -> None:
    """A hole of 64 GiB before the lines: who read all of it would not come back."""
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.seek(64 << 30)
        file.write(b"\n" + b"".join(record(1, str(n) * 3000) for n in range(1000)))
    async with asyncio.timeout(5):
        assert await texts(log, tail=2) == ["998" * 3000, "999" * 3000]


async def test_the_last_line_may_have_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(record(1, "one") + record(2, "t", "P") + record(3, "wo"))
    assert await texts(log, tail=1) == ["two"]


async def test_following_sees_new_lines_and_ends_with_the_container(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_numbered(log, 1, 2)
    lives = True
    found: list[str] = []

    async def follow() -> None:
        async for batch in read_log(log, alive=lambda: lives):
            found.extend(entry.text.decode() for entry in batch)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        while found != ["1", "2"]:
            await asyncio.sleep(0.005)
        write_numbered(log, 3, 3)
        while found != ["1", "2", "3"]:
            await asyncio.sleep(0.005)
        write_numbered(log, 4, 4)
        lives = False
        await following
    assert found == ["1", "2", "3", "4"]


async def test_following_ends_in_peace_when_the_folder_goes_with_its_container(
    tmp_path: Path,
) -> None:
    log = tmp_path / "container" / "log"
    log.parent.mkdir()
    write_numbered(log, 1, 2)
    lives, found = True, 0

    async def follow() -> None:
        nonlocal found
        async for batch in read_log(log, alive=lambda: lives):
            found += len(batch)

    following = asyncio.create_task(follow())
    async with asyncio.timeout(10):
        while found < 2:
            await asyncio.sleep(0.005)
        log.unlink()
        log.parent.rmdir()
        await asyncio.sleep(0.15)
        lives = False
        await following


async def test_following_goes_through_rotations_without_loss(tmp_path: Path) -> None:
    log = tmp_path / "log"
    write_numbered(log, 1, 10)
    lives = True

    async def rotate_twice() -> None:
        nonlocal lives
        for first in (11, 21):
            await asyncio.sleep(0.15)
            rotate(log, 5)
            write_numbered(log.with_name("log.1"), first, first + 4)  # conmon has not heard yet
            write_numbered(log, first + 5, first + 9)
            rotate(log, 5)
            log.touch()
        lives = False

    rotating = asyncio.create_task(rotate_twice())
    found = await texts(log, alive=lambda: lives)
    await rotating
    assert found == [str(number) for number in range(1, 31)]


@pytest.mark.parametrize(("max_files", "left"), [(1, []), (2, ["log.1"]), (3, ["log.2", "log.1"])])
def test_rotating_keeps_so_many_files(tmp_path: Path, max_files: int, left: list[str]) -> None:
    log = tmp_path / "log"
    for _ in range(4):
        log.write_bytes(b"x")
        rotate(log, max_files)
    assert [file.name for file in log_files(log)] == left
    remove_log(log)
    assert log_files(log) == []


async def drained(stream: Stream) -> None:
    """An attached client must read: conmon waits for it, and then so does the program."""
    while await stream.read() is not None:
        pass


async def test_a_real_log_is_rotated_while_it_is_written(host: ContainerHost) -> None:
    """Every line is there once: conmon reopens its file when it is told to."""
    burst_of_500 = "n=0; while [ $n -lt 500 ]; do n=$((n+1)); i=$((i+1)); echo $i; done"
    script = f"i=0; while read go; do {burst_of_500}; done"
    bundle = host.shell(script)
    log = host.log(bundle)
    rotation = Rotation(max_size_bytes=20_000, max_files=100)
    await host.running(bundle, Io(log_path=log, stdin=True))
    stream = await host.runtime.attach(bundle.id)
    reading = asyncio.create_task(drained(stream))
    async with asyncio.timeout(20):
        for burst in (1, 2, 3):
            await stream.write(b"go\n")
            while await texts(log, tail=1) != [str(burst * 500)]:
                await asyncio.sleep(0.005)
            assert await keep_small(host.runtime, bundle.id, log, rotation)
            assert not await keep_small(host.runtime, bundle.id, log, rotation)
    stream.close()
    await reading
    assert len(log_files(log)) >= 3
    assert await texts(log) == [str(number) for number in range(1, 1501)]
