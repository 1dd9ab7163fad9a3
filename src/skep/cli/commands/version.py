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

_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
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
    machine = platform.machine()
    return {
        "Version": __version__,
        "ApiVersion": api,
        "DefaultAPIVersion": newest,
        "PythonVersion": platform.python_version(),
        "Os": platform.system().lower(),
        "Arch": _MACHINES.get(machine, machine),
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
    text = "Client:\n" + _block(client, 1, 20)
    server = facts["Server"]
    if not server:
        return text
    name = (server.get("Platform") or {}).get("Name")
    text += f"\nServer: {name}\n" if name else "\nServer:\n"
    for component in server.get("Components") or [{"Name": "Engine", **server}]:
        text += f" {component['Name']}:\n" + _block(_component(component), 2, 20)
    return text


def _component(component: dict[str, Any]) -> dict[str, Any]:
    facts = {"Version": component["Version"], **(component.get("Details") or {})}
    if facts.get("MinAPIVersion"):
        facts["ApiVersion"] = f"{facts['ApiVersion']} (minimum version {facts['MinAPIVersion']})"
    if facts.get("Os"):
        facts["OsArch"] = f"{facts['Os']}/{facts.get('Arch', '')}"
    known = {key for key, _ in _ROWS} | {"Os", "Arch", "MinAPIVersion", "KernelVersion"}
    return {key: value for key, value in facts.items() if key in known}


def _block(facts: dict[str, Any], indent: int, column: int) -> str:
    lines = []
    for key, label in _ROWS:
        if key in facts and facts[key] is not None:
            head = f"{' ' * indent}{label}:"
            lines.append(f"{head:<{column + indent - 1}}{facts[key]}\n")
    return "".join(lines)


VERSION = Command("", _version, NONE, (inspect_format(),))
