"""`skep tag` and `skep rmi`."""

from __future__ import annotations

from skep.cli.commands.image_transfer import split_reference
from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, TWO, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session


def _tag(session: Session, _: Options, arguments: list[str]) -> None:
    source, target = arguments
    if "@" in target:
        raise Failure("refusing to create a tag with a digest reference")
    name, tag = split_reference(target)
    session.client.post(f"/images/{source}/tag", query={"repo": name, "tag": tag})


def _rm(session: Session, options: Options, names: list[str]) -> int:
    query = {
        "force": options.yes("force") or None,
        "noprune": options.yes("no-prune") or None,
    }

    def one(name: str) -> str | None:
        lines = [
            f"Deleted: {item['Deleted']}"
            if item.get("Deleted")
            else f"Untagged: {item['Untagged']}"
            for item in session.client.delete(f"/images/{name}", query) or []
        ]
        return "\n".join(lines) or None

    return session.each(names, one)


TAG = Command("SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", _tag, TWO)
RM = Command(
    "IMAGE [IMAGE...]",
    _rm,
    SOME,
    (
        switch("-f --force", "Force removal of the image"),
        switch("--no-prune", "Do not delete untagged parents"),
    ),
)
