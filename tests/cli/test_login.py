"""Credentials are kept where docker's client keeps them, and found again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skep.cli.errors import Failure
from skep.cli.settings import DOCKER_HUB, Settings, registry_of


def test_login_writes_what_docker_would(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any], tmp_path: Path
) -> None:
    daemon.answer("POST /auth", answer({"json": {"Status": "Login Succeeded"}, "status": 200}))
    file = tmp_path / "config" / "config.json"
    file.parent.mkdir()
    file.write_text('{"HttpHeaders": {"X": "y"}}')
    result = skep("login", "-u", "me", "--password-stdin", "reg.example:5000", stdin="secret\n")
    assert (result.out, result.code) == ("Login Succeeded\n", 0)
    assert json.loads(file.read_text()) == {
        "HttpHeaders": {"X": "y"},
        "auths": {"reg.example:5000": {"auth": base64.b64encode(b"me:secret").decode()}},
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert Settings(str(file.parent)).credentials("reg.example:5000") == {
        "username": "me",
        "password": "secret",
        "serveraddress": "reg.example:5000",
    }


def test_a_refused_login_keeps_nothing(
    daemon: Any, answer: Callable[..., Any], skep: Callable[..., Any], tmp_path: Path
) -> None:
    daemon.answer("POST /auth", answer({"json": {"message": "unauthorized"}, "status": 401}))
    result = skep("login", "-u", "me", "-p", "x", "reg.example")
    assert (result.code, result.err.splitlines()[-1]) == (
        1,
        "Error response from daemon: unauthorized",
    )
    assert not (tmp_path / "config").exists()


def test_logout_forgets(skep: Callable[..., Any], tmp_path: Path) -> None:
    Settings(str(tmp_path / "config")).remember("reg.example", "me", "x")
    assert skep("logout", "reg.example").out == "Removing login credentials for reg.example\n"
    assert skep("logout", "reg.example").out == "Not logged in to reg.example\n"


def test_a_helper_program_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-box"
    helper.write_text(
        '#!/bin/sh\nread url\necho "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$url\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text('{"credHelpers": {"reg.example": "box"}}')
    settings = Settings(str(tmp_path))
    assert settings.credentials("reg.example") == {
        "username": "get",
        "password": "reg.example",
        "serveraddress": "reg.example",
    }
    assert settings.credentials("other.example") == {}


def test_a_broken_config_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(Failure, match=r"cannot read .*config\.json"):
        Settings(str(tmp_path))


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("web", DOCKER_HUB),
        ("me/web:1", DOCKER_HUB),
        ("docker.io/me/web", DOCKER_HUB),
        ("reg.example/web", "reg.example"),
        ("127.0.0.1:5000/a/b:1", "127.0.0.1:5000"),
        ("localhost/web", "localhost"),
    ],
)
def test_the_registry_is_the_part_with_a_dot_or_a_port(image: str, registry: str) -> None:
    assert registry_of(image) == registry
