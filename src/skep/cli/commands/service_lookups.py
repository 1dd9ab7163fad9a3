"""What a ServiceSpec needs from the daemon before it is sent: ids of names, an image's digest."""

from __future__ import annotations

from typing import Any

from skep.cli.client.client import Client
from skep.cli.errors import ApiFailure, Failure
from skep.cli.session import Session
from skep.cli.settings import registry_of
from skep.cli.values.networks import Attachment, service_attachment
from skep.cli.values.references import FileReference, as_json

_ARM = "arm"


def network_configs(client: Client, attachments: list[Attachment]) -> list[dict[str, Any]]:
    """NetworkAttachmentConfigs with the networks' ids, in their order."""
    configs = []
    for attachment in attachments:
        network = client.get(f"/networks/{attachment.target}", {"scope": "swarm"})
        config = service_attachment(attachment)
        configs.append({**config, "Target": network["Id"]})
    return sorted(configs, key=lambda config: str(config["Target"]))


def file_references(
    client: Client, kind: str, references: list[FileReference]
) -> list[dict[str, Any]]:
    """SecretReferences or ConfigReferences (`kind` Secret or Config) with the objects' ids."""
    if not references:
        return []
    targets = [reference.target for reference in references]
    for target in targets:
        if targets.count(target) > 1:
            raise Failure(f"duplicate {kind.lower()} target for {target} not allowed")
    names = sorted({reference.source for reference in references})
    found = client.get(f"/{kind.lower()}s", {"filters": {"name": names}})
    ids = {each["Spec"]["Name"]: each["ID"] for each in found}
    missing = [name for name in names if name not in ids]
    if missing:
        raise Failure(f"{kind.lower()} not found: {missing[0]}")
    return [as_json(reference, kind, ids[reference.source]) for reference in references]


def pin_image(client: Client, task: dict[str, Any], auth: str) -> str | None:
    """Write the digest that the registry has now into the spec, so that all nodes run the same.

    A registry that does not answer is no error: the name stays as it is, and the warning that
    comes back is to be shown once the service is made.
    """
    container = task["ContainerSpec"]
    image = with_tag(container["Image"])
    container["Image"] = image
    headers = {"X-Registry-Auth": auth}
    try:
        found = client.get(f"/distribution/{image}/json", headers=headers)
    except ApiFailure:
        return unpinned_warning(image)
    digest = (found.get("Descriptor") or {}).get("digest")
    if digest and "@" not in image:
        container["Image"] = f"{image}@{digest}"
    platforms = [_platform(each) for each in found.get("Platforms") or []]
    if platforms:
        task.setdefault("Placement", {})["Platforms"] = platforms
    return None


def _platform(platform: dict[str, Any]) -> dict[str, str]:
    # What a registry calls arm is several kinds of machine that nodes name more closely.
    architecture = platform.get("architecture", "")
    return {
        "Architecture": "" if architecture == _ARM else architecture,
        "OS": platform.get("os", ""),
    }


def unpinned_warning(image: str) -> str:
    """docker's words for an image whose digest could not be read."""
    return (
        f"image {image} could not be accessed on a registry to record\n"
        f"its digest. Each node will access {image} independently,\n"
        "possibly leading to different nodes running different\n"
        "versions of the image.\n"
    )


def with_tag(image: str) -> str:
    """`image` with the tag latest where it has neither tag nor digest."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"


def say_warnings(session: Session, answer: dict[str, Any] | None, *own: str | None) -> None:
    for warning in (*((answer or {}).get("Warnings") or []), *own):
        if warning:
            session.complain(warning)


def registry_auth(session: Session, image: str) -> str:
    return session.settings.header(registry_of(image))
