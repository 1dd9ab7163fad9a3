"""`skep version`."""

from __future__ import annotations

import platform
from typing import Any

from skep import __version__
from skep.cli.client.client import NEWEST_API, Client
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session
from skep.cli.show.details import compile_details, render_details
from skep.cli.show.lists import inspect_format
from skep.cli.show.units import parse_time
from skep.kit.machines import go_architecture

_COLUMN = 20
_ROWS = (
    ("Version", "Version"),
    ("ApiVersion", "API version"),
    ("GoVersion", "Go version"),
    ("PythonVersion", "Python version"),
    ("GitCommit", "Git commit"),
    ("BuildTime", "Built"),
    ("OsArch", "OS/Arch"),
    ("Experimental", "Experimental"),
)


def client_facts(client: Client, *, negotiated: bool) -> dict[str, Any]:
    newest = ".".join(map(str, NEWEST_API))
    api = ".".join(map(str, client.api_version)) if negotiated else newest
    return {
        "Version": __version__,
        "ApiVersion": api,
        "DefaultAPIVersion": newest,
        "PythonVersion": platform.python_version(),
        "Os": platform.system().lower(),
        "Arch": go_architecture(platform.machine()),
    }


def _version(session: Session, options: Options, _: list[str]) -> None:
    template = compile_details(options.text("format"))
    server: dict[str, Any] | None = None
    trouble: Failure | None = None
    try:
        server = session.client.get("/version")
    except Failure as error:
        trouble = error
    facts = {"Client": client_facts(session.client, negotiated=trouble is None), "Server": server}
    if template:
        session.write(render_details([facts], template))
    else:
        session.write(version_text(facts))
    if trouble:
        raise trouble


def version_text(facts: dict[str, Any]) -> str:
    """Client and daemon, a block each, a line for each fact that is known."""
    client = dict(facts["Client"])
    if client["ApiVersion"] != client["DefaultAPIVersion"]:
        client["ApiVersion"] += f" (downgraded from {client['DefaultAPIVersion']})"
    client["OsArch"] = f"{client['Os']}/{client['Arch']}"
    text = "Client:\n" + _block(client, 1)
    server = facts["Server"]
    if not server:
        return text
    name = (server.get("Platform") or {}).get("Name")
    text += f"\nServer: {name}\n" if name else "\nServer:\n"
    for component in server.get("Components") or [{"Name": "Engine", "Details": server, **server}]:
        text += f" {component['Name']}:\n{_component(component)}"
    return text


def _component(component: dict[str, Any]) -> str:
    """The engine's facts have names for people; those of other programs keep their own."""
    facts = {"Version": component["Version"], **(component.get("Details") or {})}
    if "ApiVersion" not in facts:
        return "".join(_line(key, fact, 2) for key, fact in facts.items() if fact)
    facts["ApiVersion"] += f" (minimum version {facts.get('MinAPIVersion')})"
    facts["OsArch"] = f"{facts.get('Os')}/{facts.get('Arch')}"
    if facts.get("BuildTime"):
        facts["BuildTime"] = _date(facts["BuildTime"])
    return _block(facts, 2)


def _block(facts: dict[str, Any], indent: int) -> str:
    return "".join(_line(label, facts[key], indent) for key, label in _ROWS if facts.get(key))


def _line(label: str, fact: object, indent: int) -> str:
    head = f"{' ' * indent}{label}:"
    return f"{head:<{_COLUMN}}{fact}\n"


def _date(text: str) -> str:
    """A time of the API as C's asctime writes it; anything else as it is."""
    moment = parse_time(text)
    return moment.ctime() if moment.year > 1 else text


VERSION = Command("", _version, NONE, (inspect_format(),))
