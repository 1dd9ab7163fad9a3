"""POST /containers/create, with the pull that it may need and the file that it may write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skep.cli.client.client import Query
from skep.cli.commands.image_transfer import pull_image
from skep.cli.errors import ApiFailure, Failure
from skep.cli.flags.flag import Options
from skep.cli.session import Session

_POLICIES = ("always", "missing", "never")
_NOT_FOUND = 404


def create_container(session: Session, options: Options, body: dict[str, Any]) -> str:
    """Make the container; its id. Warnings of the daemon go to standard error."""
    policy = options.text("pull")
    if policy not in _POLICIES:
        raise Failure(
            f'invalid pull option: \'{policy}\': must be one of "always", "missing" or "never"'
        )
    path = options.text("cidfile")
    if path and Path(path).exists():
        raise Failure(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        )
    if policy == "always":
        _pull(session, options, body["Image"])
    query = {"name": options.text("name") or None, "platform": options.text("platform") or None}
    try:
        created = _create(session, query, body)
    except ApiFailure as error:
        if policy != "missing" or not _lacks_image(error):
            raise
        if not options.yes("quiet"):
            session.complain(f"Unable to find image '{_with_tag(body['Image'])}' locally")
        _pull(session, options, body["Image"])
        created = _create(session, query, body)
    for warning in created.get("Warnings") or []:
        session.complain(f"WARNING: {warning}")
    container_id = str(created["Id"])
    if path:
        with Path(path).open("x", encoding="utf-8") as file:
            file.write(container_id)
    return container_id


def _create(session: Session, query: Query, body: dict[str, Any]) -> dict[str, Any]:
    created: dict[str, Any] = session.client.post("/containers/create", body, query)
    return created


def _lacks_image(error: ApiFailure) -> bool:
    return error.status == _NOT_FOUND and "no such image" in error.reason.lower()


def _pull(session: Session, options: Options, image: str) -> None:
    pull_image(
        session,
        image,
        platform=options.text("platform"),
        quiet=options.yes("quiet"),
        to_stderr=True,
    )


def _with_tag(image: str) -> str:
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"
