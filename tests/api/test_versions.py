"""Which versions of the Engine API are answered."""

from __future__ import annotations

import aiohttp
import pytest

from skep.api.versions import NEWEST, check_version, split_version
from skep.kit.errors import InvalidArgument


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/info", ("", "/info")),
        ("/v1.41/info", ("1.41", "/info")),
        ("/v1.50/images/a/v1.2/json", ("1.50", "/images/a/v1.2/json")),
        ("/volumes", ("", "/volumes")),
        ("/v1.41", ("", "/v1.41")),
    ],
)
def test_the_version_is_an_optional_first_part_of_the_path(
    path: str, parts: tuple[str, str]
) -> None:
    assert split_version(path) == parts


def test_without_a_version_the_newest_is_spoken() -> None:
    assert check_version("") == NEWEST


@pytest.mark.parametrize("text", ["1", "1.", "1.4.1", "."])
def test_a_version_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid API version"):
        check_version(text)


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "1.23",
            "client version 1.23 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
        (
            "1.99",
            "client version 1.99 is too new. Maximum supported API version is 1.50",
        ),
    ],
)
async def test_other_versions_are_refused_in_docker_s_words(
    http: aiohttp.ClientSession, version: str, message: str
) -> None:
    answer = await http.get(f"/v{version}/version")
    assert (answer.status, await answer.json()) == (400, {"message": message})


@pytest.mark.parametrize("path", ["/_ping", "/v1.24/_ping", "/v1.50/version", "/nowhere"])
async def test_every_answer_says_what_is_spoken(http: aiohttp.ClientSession, path: str) -> None:
    answer = await http.get(path)
    spoken = {
        name: answer.headers[name] for name in ("Api-Version", "Docker-Experimental", "Ostype")
    }
    assert spoken == {"Api-Version": "1.50", "Docker-Experimental": "false", "Ostype": "linux"}
    assert answer.headers["Server"].startswith("Docker/1.50 skep/")
