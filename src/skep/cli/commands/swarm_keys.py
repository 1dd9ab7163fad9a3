"""`skep swarm join-token`, `unlock-key`, `unlock`."""

from __future__ import annotations

from skep.cli.client.client import Client
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, ONE, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session

_ROLES = {"worker": "Worker", "manager": "Manager"}


def join_instructions(client: Client, role: str) -> str:
    """The words that tell how a node joins as `role`."""
    token = client.get("/swarm")["JoinTokens"][_ROLES[role]]
    swarm = client.get("/info").get("Swarm") or {}
    address = next(
        (
            each["Addr"]
            for each in swarm.get("RemoteManagers") or []
            if each.get("NodeID") == swarm.get("NodeID")
        ),
        "",
    )
    return (
        f"To add a {role} to this swarm, run the following command:\n\n"
        f"    skep swarm join --token {token} {address}\n\n"
    )


def _join_token(session: Session, options: Options, arguments: list[str]) -> None:
    role, client = arguments[0], session.client
    if role not in _ROLES:
        raise Failure(f"unknown role {role}: use worker or manager")
    quiet = options.yes("quiet")
    if options.yes("rotate"):
        swarm = client.get("/swarm")
        query = {"version": swarm["Version"]["Index"], f"rotate{_ROLES[role]}Token": "true"}
        client.post("/swarm/update", swarm["Spec"], query)
        if not quiet:
            session.say(f"Successfully rotated {role} join token.\n")
    if quiet:
        session.say(client.get("/swarm")["JoinTokens"][_ROLES[role]])
    else:
        session.write(join_instructions(client, role))


def show_unlock_key(session: Session) -> None:
    key = session.client.get("/swarm/unlockkey").get("UnlockKey")
    session.say(
        "To unlock a swarm manager after it restarts, run the `skep swarm unlock`\n"
        f"command and provide the following key:\n\n    {key}\n\n"
        "Remember to store this key in a password manager, since without it you\n"
        "will not be able to restart the manager."
    )


def _unlock_key(session: Session, options: Options, _: list[str]) -> None:
    client, quiet = session.client, options.yes("quiet")
    if options.yes("rotate"):
        swarm = client.get("/swarm")
        if not (swarm["Spec"].get("EncryptionConfig") or {}).get("AutoLockManagers"):
            raise Failure("cannot rotate because autolock is not turned on")
        query = {"version": swarm["Version"]["Index"], "rotateManagerUnlockKey": "true"}
        client.post("/swarm/update", swarm["Spec"], query)
        if not quiet:
            session.say("Successfully rotated manager unlock key.\n")
    key = client.get("/swarm/unlockkey").get("UnlockKey")
    if not key:
        raise Failure("no unlock key is set")
    if quiet:
        session.say(key)
    else:
        show_unlock_key(session)


def _unlock(session: Session, _: Options, __: list[str]) -> None:
    client = session.client
    state = (client.get("/info").get("Swarm") or {}).get("LocalNodeState")
    if state == "inactive":
        raise Failure("Error: This node is not part of a swarm")
    if state != "locked":
        raise Failure("Error: swarm is not locked")
    client.post("/swarm/unlock", {"UnlockKey": session.ask_secret("Enter unlock key: ")})


_ROTATE = switch("--rotate", "Make a new one; the old one is no longer accepted")

JOIN_TOKEN = Command(
    "(worker|manager)", _join_token, ONE, (switch("-q --quiet", "Only display token"), _ROTATE)
)
UNLOCK_KEY = Command("", _unlock_key, NONE, (switch("-q --quiet", "Only display token"), _ROTATE))
UNLOCK = Command("", _unlock, NONE)
