"""How a list command ends: its rows, in the form that its flags ask for, on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skep.cli.flags.flag import Flag, Options, text
from skep.cli.session import Session
from skep.cli.show.listing import Fields, render

FORMAT_HELP = (
    "Format output: 'table' (default), 'table TEMPLATE', 'json',\n"
    "or 'TEMPLATE' (a Go template for each line)"
)
INSPECT_FORMAT_HELP = "Format output: 'json', or 'TEMPLATE' (a Go template)"


def list_format() -> Flag:
    return text("--format", FORMAT_HELP)


def inspect_format() -> Flag:
    return text("-f --format", INSPECT_FORMAT_HELP)


def show_list(
    session: Session,
    options: Options,
    fields: Fields,
    rows: Sequence[Any],
    *,
    table: str,
    setting: str = "",
    quiet: str = "{{.ID}}",
) -> None:
    """`setting` is the config file's key for this list's default format; `quiet` what -q shows."""
    layout = options.text("format") if options.has("format") else ""
    if options.has("quiet") and options.yes("quiet"):
        # As docker's: -q wins over a table, a template wins over -q.
        if not layout or layout.startswith("table"):
            layout = quiet
    elif not layout and setting:
        layout = session.settings.text(setting)
    session.write(render(layout, table, fields, rows))
