"""`skep info`."""

from __future__ import annotations

from skep import __version__
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.show.details import compile_details, render_details
from skep.cli.show.info_text import info_text
from skep.cli.show.lists import inspect_format


def _info(session: Session, options: Options, _: list[str]) -> None:
    template = compile_details(options.text("format"))
    own = {"Version": __version__, "Debug": False, "Plugins": [], "Warnings": None}
    try:
        info = session.client.get("/info")
    except Failure as error:
        if template:
            session.write(
                render_details([{"ServerErrors": [str(error)], "ClientInfo": own}], template)
            )
        else:
            session.write(f"Client:\n Version:    {__version__}\n\nServer:\n")
        raise Failure(str(error)) from None
    if template:
        session.write(render_details([{**info, "ClientInfo": own}], template))
        return
    session.write(f"Client:\n Version:    {__version__}\n\nServer:\n{info_text(info)}\n")
    for warning in info.get("Warnings") or []:
        session.complain(warning)


INFO = Command("", _info, NONE, (inspect_format(),))
