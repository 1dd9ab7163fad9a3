"""`--secret` and `--config`: which one, and as which file it shall be seen."""

from __future__ import annotations

from typing import Any, NamedTuple

from skep.cli.flags.kinds import read_uint
from skep.cli.values.pairs import csv_pairs

_READ_BY_ALL = 0o444


class FileReference(NamedTuple):
    """`mode` is the file's permission bits."""

    source: str
    target: str
    uid: str = "0"
    gid: str = "0"
    mode: int = _READ_BY_ALL


def parse_reference(text: str) -> FileReference:
    """`name`, or `source=…,target=…,uid=…,gid=…,mode=…` (mode in octal with its 0)."""
    if "=" not in text and "," not in text:
        return FileReference(text, text)
    fields: dict[str, Any] = {}
    for key, value in csv_pairs(text):
        match key:
            case "source" | "src":
                fields["source"] = value
            case "target":
                fields["target"] = value
            case "uid" | "gid":
                fields[key] = value
            case "mode":
                fields["mode"] = _mode(value)
            case _:
                raise ValueError(f"invalid field key {key}")
    if not fields.get("source"):
        raise ValueError("source is required")
    return FileReference(**{"target": fields["source"], **fields})


def _mode(text: str) -> int:
    try:
        return int(text, 8) if text.startswith("0") else read_uint(text)
    except ValueError:
        raise ValueError(f"invalid mode specified: {text}: write it as in 0440") from None


def as_json(reference: FileReference, kind: str, object_id: str) -> dict[str, Any]:
    """A SecretReference or ConfigReference (`kind` Secret or Config)."""
    return {
        "File": {
            "Name": reference.target,
            "UID": reference.uid,
            "GID": reference.gid,
            "Mode": reference.mode,
        },
        f"{kind}ID": object_id,
        f"{kind}Name": reference.source,
    }
