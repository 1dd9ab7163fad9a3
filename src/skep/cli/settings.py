"""The person's `~/.docker/config.json`, shared with docker's client: read whole, written whole.

Keys that we do not know are kept. Credentials stand in it base64 encoded under `auths`, or with a
helper program (`credsStore`, `credHelpers`): `docker-credential-<name>`, which is spoken to in
JSON over its standard input and output.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from skep.cli.errors import Failure

DOCKER_HUB = "https://index.docker.io/v1/"
_HELPER_TIMEOUT_S = 30.0


def default_folder() -> str:
    return os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")


class Settings:
    """The file's content; a file that is not there is empty."""

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "config.json"
        self._content = self._load()

    def _load(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failure(f"cannot read {self.path}: {error}") from None
        if not isinstance(content, dict):
            raise Failure(f"cannot read {self.path}: it should hold a JSON object")
        return content

    def text(self, key: str) -> str:
        """A setting such as `detachKeys` or `psFormat`; empty when it is not set."""
        value = self._content.get(key)
        return value if isinstance(value, str) else ""

    def credentials(self, registry: str) -> dict[str, str]:
        """What to log in to `registry` with, in the API's AuthConfig form; empty if unknown."""
        helper = self._helper(registry)
        if helper:
            return self._ask_helper(helper, registry)
        entry = self._content.get("auths", {}).get(registry)
        return read_auth(registry, entry) if isinstance(entry, dict) else {}

    def header(self, registry: str) -> str:
        """The X-Registry-Auth header for `registry`."""
        return encode_auth(self.credentials(registry))

    def remember(self, registry: str, username: str, password: str) -> str | None:
        """Keep credentials; returns the file's path when they lie in it unencrypted."""
        helper = self._helper(registry)
        if helper:
            entry = {"ServerURL": registry, "Username": username, "Secret": password}
            _run_helper(helper, "store", json.dumps(entry))
            self._content.setdefault("auths", {})[registry] = {}
            self._save()
            return None
        secret = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._content.setdefault("auths", {})[registry] = {"auth": secret}
        self._save()
        return str(self.path)

    def forget(self, registry: str) -> None:
        helper = self._helper(registry)
        if helper:
            _run_helper(helper, "erase", registry)
        if self._content.get("auths", {}).pop(registry, None) is not None:
            self._save()

    def knows(self, registry: str) -> bool:
        return registry in self._content.get("auths", {}) or bool(self._helper(registry))

    def _helper(self, registry: str) -> str:
        return str(
            self._content.get("credHelpers", {}).get(registry)
            or self._content.get("credsStore")
            or ""
        )

    def _ask_helper(self, helper: str, registry: str) -> dict[str, str]:
        try:
            answer = json.loads(_run_helper(helper, "get", registry))
        except (Failure, ValueError):
            return {}
        name, secret = answer.get("Username", ""), answer.get("Secret", "")
        if name == "<token>":
            return {"identitytoken": secret, "serveraddress": registry}
        return {"username": name, "password": secret, "serveraddress": registry}

    def _save(self) -> None:
        """Replace the file in one step: readers see the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = self.path.resolve()
        draft = target.with_name(f"{target.name}{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._content, file, indent="\t")
        draft.replace(target)


def encode_auth(auth: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()


def read_auth(registry: str, entry: dict[str, Any]) -> dict[str, str]:
    """An entry of `auths` as AuthConfig; raises Failure when its `auth` cannot be decoded."""
    if entry.get("identitytoken"):
        return {"identitytoken": str(entry["identitytoken"]), "serveraddress": registry}
    if not entry.get("auth"):
        return {}
    try:
        name, colon, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except ValueError:
        colon = ""
    if not colon:
        raise Failure(
            f"the credentials for {registry} in the config file cannot be read: "
            f"run skep login {registry} again"
        )
    return {"username": name, "password": password.strip("\0"), "serveraddress": registry}


def registry_of(image: str) -> str:
    """The registry that an image reference names, as `auths` spells it."""
    first, slash, _ = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return DOCKER_HUB if first in {"docker.io", "index.docker.io"} else first
    return DOCKER_HUB


def _run_helper(helper: str, verb: str, request: str) -> str:
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb],
            input=request,
            capture_output=True,
            text=True,
            timeout=_HELPER_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"error running the credential helper {program}: {error}") from None
    if done.returncode:
        raise Failure(f"error from the credential helper {program}: {done.stdout.strip()}")
    return done.stdout
