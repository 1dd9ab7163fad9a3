"""`skep service update` and `skep service rollback`."""

from __future__ import annotations

from typing import Any

from skep.cli.commands.service_change import changed_spec
from skep.cli.commands.service_flags import UPDATE_FLAGS
from skep.cli.commands.service_lookups import (
    file_references,
    network_configs,
    pin_image,
    registry_auth,
    say_warnings,
)
from skep.cli.commands.service_parts import Spec
from skep.cli.commands.service_wait import wait_on_service
from skep.cli.errors import Failure
from skep.cli.flags.command import ONE, Command
from skep.cli.flags.flag import Options, switch
from skep.cli.session import Session

_WITH_ROLLBACK = frozenset(("rollback", "detach", "quiet"))


def _update(session: Session, options: Options, arguments: list[str]) -> None:
    name = arguments[0]
    if options.yes("rollback"):
        _refuse_with_rollback(options)
        _rollback(session, options, arguments)
        return
    client = session.client
    service = client.get(f"/services/{name}")
    try:
        spec = changed_spec(service["Spec"], options)
        _change_networks(session, spec, options)
    except ValueError as error:
        raise Failure(str(error)) from None
    task = spec["TaskTemplate"]
    for kind in ("Secret", "Config"):
        _change_files(session, task["ContainerSpec"], options, kind)
    auth = registry_auth(session, task["ContainerSpec"].get("Image", ""))
    unpinned = None
    if options.given("image") and not options.yes("no-resolve-image"):
        unpinned = pin_image(client, task, auth)
    query: dict[str, Any] = {"version": service["Version"]["Index"]}
    headers = {}
    if options.yes("with-registry-auth"):
        headers["X-Registry-Auth"] = auth
    else:
        query["registryAuthFrom"] = "spec"
    answer = client.post(f"/services/{service['ID']}/update", spec, query, headers)
    say_warnings(session, answer, unpinned)
    _finish(session, options, name)


def _refuse_with_rollback(options: Options) -> None:
    others = [flag.name for flag in UPDATE_FLAGS if flag.name not in _WITH_ROLLBACK]
    if options.any_given(*others):
        raise Failure("other flags may not be combined with --rollback")


def _change_networks(session: Session, spec: Spec, options: Options) -> None:
    if not options.any_given("network-add", "network-rm"):
        return
    task = spec["TaskTemplate"]
    client = session.client
    # Specs of old keep their networks beside the task template.
    present = task.get("Networks") or spec.pop("Networks", None) or []
    gone = {
        client.get(f"/networks/{name}", {"scope": "swarm"})["Id"]
        for name in options.items("network-rm")
    }
    kept = [each for each in present if each["Target"] not in gone]
    added = network_configs(client, options.items("network-add"))
    known = {each["Target"] for each in kept}
    for each in added:
        if each["Target"] in known:
            raise Failure(f"service is already attached to network {each['Target']}")
    task["Networks"] = sorted([*kept, *added], key=lambda each: str(each["Target"]))


def _change_files(session: Session, container: Spec, options: Options, kind: str) -> None:
    """--secret-add and --secret-rm, or the same for configs."""
    flag = kind.lower()
    if not options.any_given(f"{flag}-add", f"{flag}-rm"):
        return
    gone = options.items(f"{flag}-rm")
    kept = [each for each in container.get(f"{kind}s") or [] if each[f"{kind}Name"] not in gone]
    container[f"{kind}s"] = [
        *kept,
        *file_references(session.client, kind, options.items(f"{flag}-add")),
    ]


def _rollback(session: Session, options: Options, arguments: list[str]) -> None:
    name = arguments[0]
    service = session.client.get(f"/services/{name}")
    query = {"version": service["Version"]["Index"], "rollback": "previous"}
    answer = session.client.post(f"/services/{service['ID']}/update", service["Spec"], query)
    say_warnings(session, answer)
    _finish(session, options, name)


def _finish(session: Session, options: Options, name: str) -> None:
    session.say(name)
    if not options.yes("detach"):
        wait_on_service(session, name, quiet=options.yes("quiet"))


UPDATE = Command("SERVICE", _update, ONE, UPDATE_FLAGS)
ROLLBACK = Command(
    "SERVICE",
    _rollback,
    ONE,
    (
        switch("-d --detach", "Exit immediately instead of waiting for the service to converge"),
        switch("-q --quiet", "Suppress progress output"),
    ),
)
