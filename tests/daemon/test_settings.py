"""What a daemon may be told, by flags and by daemon.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from skep.daemon.settings import DaemonSettings, generic_resources, instance_of, read_settings
from skep.kit.errors import InvalidArgument
from skep.model.service import DiscreteGenericResource, GenericResource, NamedGenericResource


def settings_of(tmp_path: Path, text: str, **flags: object) -> DaemonSettings:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    return read_settings({key.replace("_", "-"): v for key, v in flags.items()}, file)


def test_flags_and_file_add_up(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '{"labels": ["zone=west"]}', log_level="warn")
    assert (settings.labels, settings.log_level) == (["zone=west"], "warn")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "invalid JSON"),
        ('{"storage-driver": "btrfs"}', "unknown field `storage-driver`"),
        ('{"log-level": "loud"}', "log-level"),
        ('{"data-root": 3}', "data-root"),
        ('{"data-root": "/a"}', "both as a flag and in"),
        ('{"node-generic-resources": ["gpu"]}', "invalid node-generic-resource"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        settings_of(tmp_path, text, data_root="/b")


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="cannot read the configuration file"):
        read_settings({}, tmp_path / "none.json")


def test_places_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings_of(tmp_path, "", data_root="here").data_root == str(tmp_path / "here")


def test_an_instance_is_told_by_its_places() -> None:
    one, other = (instance_of(Path("/a"), Path(exec_root)) for exec_root in ("/r", "/s"))
    assert one != other
    assert one == instance_of(Path("/a"), Path("/r"))


def test_generic_resources_are_named_or_counted() -> None:
    assert generic_resources(["gpu=U1", "ssd=3"]) == [
        GenericResource(named_resource_spec=NamedGenericResource(kind="gpu", value="U1")),
        GenericResource(discrete_resource_spec=DiscreteGenericResource(kind="ssd", value=3)),
    ]
