"""`skep login` and `skep logout`: credentials shared with docker's client."""

from __future__ import annotations

import sys

from skep.cli.errors import Failure
from skep.cli.flags.command import AT_MOST_ONE, Command
from skep.cli.flags.flag import Options, switch, text
from skep.cli.session import Session
from skep.cli.settings import DOCKER_HUB

_UNENCRYPTED = (
    "\nWARNING! Your credentials are stored unencrypted in '{}'.\n"
    "Configure a credential helper to remove this warning. See\n"
    "https://docs.docker.com/go/credential-store/\n"
)


def _registry(arguments: list[str]) -> str:
    """The registry as the config file names it: a host, or Docker Hub's address."""
    if not arguments:
        return DOCKER_HUB
    host = arguments[0].removeprefix("https://").removeprefix("http://").split("/")[0]
    return DOCKER_HUB if host in {"docker.io", "index.docker.io"} else host


def _login(session: Session, options: Options, arguments: list[str]) -> None:
    registry = _registry(arguments)
    name, password = _ask(session, options)
    auth = {"username": name, "password": password, "serveraddress": registry}
    answer = session.client.post("/auth", auth) or {}
    if answer.get("IdentityToken"):
        name, password = "<token>", answer["IdentityToken"]
    path = session.settings.remember(registry, name, password)
    if path:
        session.complain(_UNENCRYPTED.format(path))
    session.say(answer.get("Status") or "Login Succeeded")


def _ask(session: Session, options: Options) -> tuple[str, str]:
    name, password = options.text("username"), options.text("password")
    if options.yes("password-stdin"):
        if password:
            raise Failure("--password and --password-stdin are mutually exclusive")
        if not name:
            raise Failure("the --password-stdin option requires --username to be set")
        password = sys.stdin.read().rstrip("\r\n")
    elif password:
        session.complain("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    elif not session.in_is_terminal:
        raise Failure(
            "cannot ask for a password without a terminal: use --username and --password-stdin"
        )
    if not name:
        session.write_now("Username: ")
        name = sys.stdin.readline().strip()
    if not password:
        password = session.ask_secret("Password: ")
    if not name or not password:
        raise Failure("Error: username and password are required")
    return name, password


def _logout(session: Session, _: Options, arguments: list[str]) -> None:
    registry = _registry(arguments)
    if not session.settings.knows(registry):
        session.say(f"Not logged in to {registry}")
        return
    session.say(f"Removing login credentials for {registry}")
    session.settings.forget(registry)


LOGIN = Command(
    "[SERVER]",
    _login,
    AT_MOST_ONE,
    (
        text("-p --password", "Password or Personal Access Token (PAT)"),
        switch("--password-stdin", "Take the Password or Personal Access Token from stdin"),
        text("-u --username", "Username"),
    ),
    notes="Docker Hub is meant if no server is named.",
)
LOGOUT = Command("[SERVER]", _logout, AT_MOST_ONE)
