"""`--since` and `--until`, read against the clock of this machine."""

from __future__ import annotations

from skep.cli.errors import Failure
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.values.moments import parse_moment

WHEN = '(e.g. "2026-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'


def moment(session: Session, options: Options, name: str) -> str | None:
    try:
        return parse_moment(options.text(name), session.now)
    except ValueError as error:
        raise Failure(f"--{name}: {error}") from None
