"""`skep config create`, `ls`, `inspect`, `rm`."""

from __future__ import annotations

import base64
from typing import Any

from skep.cli.client.client import filters_query
from skep.cli.commands.contents import read_content
from skep.cli.commands.secret import FIELDS as SECRET_FIELDS
from skep.cli.commands.secret import Row
from skep.cli.flags.command import NONE, SOME, TWO, Command
from skep.cli.flags.flag import Options, filters, switch, text, texts
from skep.cli.session import Session
from skep.cli.show.details import inspect_or_pretty
from skep.cli.show.lists import inspect_format, list_format, show_list
from skep.cli.show.sections import Lines
from skep.cli.show.units import go_time, natural_key
from skep.cli.values.pairs import check_label, mapping

_TABLE = "{{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}"
FIELDS = {name: field for name, field in SECRET_FIELDS.items() if name != "Driver"}
"""A config is shown as a secret is, but no driver keeps it."""


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    name, source = arguments
    spec: dict[str, Any] = {
        "Name": name,
        "Labels": mapping(options.items("label")),
        "Data": read_content(source),
    }
    if options.text("template-driver"):
        spec["Templating"] = {"Name": options.text("template-driver")}
    session.say(session.client.post("/configs/create", spec)["ID"])


def _ls(session: Session, options: Options, _: list[str]) -> None:
    configs = session.client.get("/configs", {"filters": filters_query(options.items("filter"))})
    configs.sort(key=lambda config: natural_key(config["Spec"]["Name"]))
    now = session.now
    rows = [Row(config, now) for config in configs]
    show_list(session, options, FIELDS, rows, table=_TABLE, setting="configFormat")


def pretty_config(config: dict[str, Any]) -> str:
    spec = config["Spec"]
    lines = Lines()
    lines.add("ID", config["ID"], column=24)
    lines.add("Name", spec["Name"], column=24)
    if spec.get("Labels"):
        lines.title("Labels")
        lines.plain(f" - {key}={value}" for key, value in sorted(spec["Labels"].items()))
    lines.add_padded("Created at", go_time(config["CreatedAt"]).lower())
    lines.add_padded("Updated at", go_time(config["UpdatedAt"]).lower())
    lines.title("Data")
    return lines.text() + base64.b64decode(spec.get("Data") or "").decode(errors="replace")


def _inspect(session: Session, options: Options, names: list[str]) -> int:
    def find(name: str) -> Any:
        return session.client.get(f"/configs/{name}")

    return inspect_or_pretty(session, options, names, find, pretty_config)


def _rm(session: Session, _: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/configs/{name}")
        return name

    return session.each(names, one)


CREATE = Command(
    "CONFIG file|-",
    _create,
    TWO,
    (
        texts("-l --label", "Config labels", check_label),
        text("--template-driver", "Template driver"),
    ),
)
LS = Command("", _ls, NONE, (filters(), list_format(), switch("-q --quiet", "Only display IDs")))
INSPECT = Command(
    "CONFIG [CONFIG...]",
    _inspect,
    SOME,
    (inspect_format(), switch("--pretty", "Print the information in a human friendly format")),
)
RM = Command("CONFIG [CONFIG...]", _rm, SOME)
