"""`--since` and `--until`, read against the clock of this machine."""

from __future__ import annotations

from datetime import UTC, datetime

from skep.cli.errors import Failure
from skep.cli.flags.flag import Options
from skep.cli.values.moments import parse_moment

WHEN = '(e.g. "2026-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'


def moment(options: Options, name: str) -> str | None:
    try:
        return parse_moment(options.text(name), datetime.now(UTC))
    except ValueError as error:
        raise Failure(f"--{name}: {error}") from None
