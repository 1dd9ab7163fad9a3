"""--security-opt, in docker's words. Pure."""

from __future__ import annotations

import msgspec

from skep.kit.errors import InvalidArgument, Unimplemented

_YES, _NO = frozenset({"", "true", "1"}), frozenset({"false", "0"})


class Security(msgspec.Struct, frozen=True):
    """`seccomp` is "default", "unconfined" or a profile's JSON; `apparmor` "" is the default."""

    no_new_privileges: bool = False
    seccomp: str = "default"
    apparmor: str = ""
    unmasked: bool = False


def parse_security(options: list[str]) -> Security:
    """Raises InvalidArgument for what docker does not know, Unimplemented for SELinux labels."""
    found: dict[str, bool | str] = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not separator:
            key, _, value = option.partition(":")
        if key == "no-new-privileges" and value in _YES | _NO:
            found["no_new_privileges"] = value in _YES
        elif key == "seccomp" and value:
            found["seccomp"] = "default" if value in {"builtin", "default"} else value
        elif key == "apparmor" and value:
            found["apparmor"] = value
        elif key == "systempaths" and value == "unconfined":
            found["unmasked"] = True
        elif key == "label" and value == "disable":
            continue
        elif key == "label":
            raise Unimplemented("SELinux labels (label=…) are not supported by this engine")
        else:
            raise InvalidArgument(f'invalid --security-opt: "{option}"')
    return msgspec.convert(found, Security)
