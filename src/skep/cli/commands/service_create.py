"""`skep service create`."""

from __future__ import annotations

from skep.cli.commands.service_flags import CREATE_FLAGS
from skep.cli.commands.service_lookups import (
    file_references,
    network_configs,
    pin_image,
    registry_auth,
    say_warnings,
)
from skep.cli.commands.service_spec import service_spec
from skep.cli.commands.service_wait import wait_on_service
from skep.cli.errors import Failure
from skep.cli.flags.command import SOME, Command
from skep.cli.flags.flag import Options
from skep.cli.session import Session


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    image, *words = arguments
    client = session.client
    try:
        spec = service_spec(options, image, words)
        task = spec["TaskTemplate"]
        if options.items("network"):
            task["Networks"] = network_configs(client, options.items("network"))
    except ValueError as error:
        raise Failure(str(error)) from None
    container = task["ContainerSpec"]
    for kind in ("Secret", "Config"):
        references = file_references(client, kind, options.items(kind.lower()))
        if references:
            container[f"{kind}s"] = references
    auth = registry_auth(session, image)
    unpinned = None if options.yes("no-resolve-image") else pin_image(client, task, auth)
    headers = {"X-Registry-Auth": auth} if options.yes("with-registry-auth") else {}
    created = client.post("/services/create", spec, headers=headers)
    say_warnings(session, created, unpinned)
    session.say(created["ID"])
    if not options.yes("detach"):
        wait_on_service(session, created["ID"], quiet=options.yes("quiet"))


CREATE = Command("IMAGE [COMMAND] [ARG...]", _create, SOME, CREATE_FLAGS, interspersed=False)
