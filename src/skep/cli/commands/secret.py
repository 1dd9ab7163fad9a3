"""`skep secret create`, `ls`, `inspect`, `rm`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from skep.cli.client.client import filters_query
from skep.cli.commands.contents import read_content
from skep.cli.errors import Failure
from skep.cli.flags.command import NONE, SOME, Arity, Command
from skep.cli.flags.flag import Options, filters, switch, text, texts
from skep.cli.session import Session
from skep.cli.show.details import inspect_or_pretty
from skep.cli.show.listing import Field, Fields
from skep.cli.show.lists import inspect_format, list_format, show_list
from skep.cli.show.sections import Lines
from skep.cli.show.units import go_time, human_duration, natural_key, seconds_since
from skep.cli.show.words import label_header, label_of, labels_text
from skep.cli.values.pairs import check_label, mapping

_TABLE = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}"


class Row(NamedTuple):
    secret: dict[str, Any]
    now: datetime


def _labels(row: Row) -> dict[str, str] | None:
    labels: dict[str, str] | None = row.secret["Spec"].get("Labels")
    return labels


def _ago(key: str) -> Any:
    return lambda row: f"{human_duration(seconds_since(row.secret[key], row.now))} ago"


FIELDS: Fields = {
    "ID": Field("ID", lambda row: row.secret["ID"]),
    "Name": Field("NAME", lambda row: row.secret["Spec"]["Name"]),
    "Driver": Field("DRIVER", lambda row: (row.secret["Spec"].get("Driver") or {}).get("Name", "")),
    "CreatedAt": Field("CREATED", _ago("CreatedAt")),
    "UpdatedAt": Field("UPDATED", _ago("UpdatedAt")),
    "Labels": Field("LABELS", lambda row: labels_text(_labels(row))),
    "Label": Field(label_header, label_of(_labels)),
}


def _create(session: Session, options: Options, arguments: list[str]) -> None:
    name, *source = arguments
    driver = options.text("driver")
    if driver and source:
        raise Failure("When using secret driver secret data must be empty")
    if not driver and not source:
        raise Failure("secret file is required: name a file, or - for standard input")
    spec: dict[str, Any] = {"Name": name, "Labels": mapping(options.items("label"))}
    if source:
        spec["Data"] = read_content(source[0])
    if driver:
        spec["Driver"] = {"Name": driver}
    if options.text("template-driver"):
        spec["Templating"] = {"Name": options.text("template-driver")}
    session.say(session.client.post("/secrets/create", spec)["ID"])


def _ls(session: Session, options: Options, _: list[str]) -> None:
    secrets = session.client.get("/secrets", {"filters": filters_query(options.items("filter"))})
    secrets.sort(key=lambda secret: natural_key(secret["Spec"]["Name"]))
    now = session.now
    rows = [Row(secret, now) for secret in secrets]
    show_list(session, options, FIELDS, rows, table=_TABLE, setting="secretFormat")


def pretty_secret(secret: dict[str, Any]) -> str:
    spec = secret["Spec"]
    lines = Lines()
    lines.add("ID", secret["ID"], column=17)
    lines.add("Name", spec["Name"], column=19)
    if spec.get("Labels"):
        lines.title("Labels")
        lines.plain(f" - {key}={value}" for key, value in sorted(spec["Labels"].items()))
    lines.add("Driver", (spec.get("Driver") or {}).get("Name", ""), column=19)
    lines.add("Created at", go_time(secret["CreatedAt"]).lower(), column=19)
    lines.add("Updated at", go_time(secret["UpdatedAt"]).lower(), column=19)
    return lines.text().rstrip("\n")


def _inspect(session: Session, options: Options, names: list[str]) -> int:
    def find(name: str) -> Any:
        return session.client.get(f"/secrets/{name}")

    return inspect_or_pretty(session, options, names, find, pretty_secret)


def _rm(session: Session, _: Options, names: list[str]) -> int:
    def one(name: str) -> str:
        session.client.delete(f"/secrets/{name}")
        return name

    return session.each(names, one)


CREATE = Command(
    "SECRET [file|-]",
    _create,
    Arity(1, 2),
    (
        text("-d --driver", "Secret driver"),
        texts("-l --label", "Secret labels", check_label),
        text("--template-driver", "Template driver"),
    ),
)
LS = Command("", _ls, NONE, (filters(), list_format(), switch("-q --quiet", "Only display IDs")))
INSPECT = Command(
    "SECRET [SECRET...]",
    _inspect,
    SOME,
    (inspect_format(), switch("--pretty", "Print the information in a human friendly format")),
)
RM = Command("SECRET [SECRET...]", _rm, SOME)
