"""A container's processes as the host's ps shows them."""

from __future__ import annotations

from collections.abc import Collection

from skep.kit.errors import Internal, InvalidArgument
from skep.kit.process import find_program, run
from skep.model.container import TopResult

_TIMEOUT_S = 10.0


async def top_of(pids: Collection[int], ps_args: str) -> TopResult:
    """Rows of `ps <ps_args>` (docker's default: -ef) of these processes.

    Raises InvalidArgument when ps refuses its arguments or shows no pids, Internal without a ps.
    """
    if "\0" in ps_args:
        raise InvalidArgument("ps: its arguments cannot have a NUL in them")
    program = find_program("ps")
    if program is None:
        raise Internal("ps is not installed on this host (Debian: apt install procps)")
    code, output = await run([program, *(ps_args.split() or ["-ef"])], {}, _TIMEOUT_S)
    text = output.decode(errors="replace")
    if code != 0:
        raise InvalidArgument(f"ps: {text.strip()}")
    return parse_ps(text, pids)


def parse_ps(text: str, pids: Collection[int]) -> TopResult:
    """The header and the rows with one of these pids; the last column may have spaces. Pure."""
    header, *lines = text.splitlines() or [""]
    titles = header.split()
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output")
    column = titles.index("PID")
    wanted = set(map(str, pids))
    rows = [line.split(None, len(titles) - 1) for line in lines]
    return TopResult(
        titles=titles,
        processes=[row for row in rows if len(row) > column and row[column] in wanted],
    )
