"""A container's processes as the host's ps shows them."""

from __future__ import annotations

from collections.abc import Collection

from skep.kit.errors import Internal, InvalidArgument
from skep.kit.process import find_program, run
from skep.model.container import TopResult

_TIMEOUT_S = 10.0
_TABLE_BYTES = 32 << 20


async def top_of(pids: Collection[int], ps_args: str) -> TopResult:
    """Rows of `ps <ps_args>` (docker's default: -ef) of these processes.

    ps looks at these alone (-q) where its arguments allow that: what other containers run is not
    to slow it down. Raises InvalidArgument when ps refuses its arguments or shows no pids, Internal
    without a ps.
    """
    if "\0" in ps_args:
        raise InvalidArgument("ps: its arguments cannot have a NUL in them")
    program = find_program("ps")
    if program is None:
        raise Internal("ps is not installed on this host (Debian: apt install procps)")
    argv = [program, *(ps_args.split() or ["-ef"])]
    code, text = await _ps([*argv, f"-q{','.join(map(str, pids))}"])
    if code != 0:
        code, text = await _ps(argv)
    if code != 0:
        raise InvalidArgument(f"ps: {text.strip()}")
    return parse_ps(text, pids)


async def _ps(argv: list[str]) -> tuple[int, str]:
    try:
        code, output = await run(argv, {}, _TIMEOUT_S, _TABLE_BYTES)
    except TimeoutError:
        raise Internal(f"ps did not end within {_TIMEOUT_S:.0f} s") from None
    except (OSError, ValueError) as error:  # more, or other, words than a program may be given
        return 1, str(error)
    if len(output) == _TABLE_BYTES:
        raise Internal(f"ps wrote more than {_TABLE_BYTES >> 20} MiB")
    return code, output.decode(errors="replace")


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
