"""What may be asked of a container's place on a network."""

from __future__ import annotations

from collections.abc import Iterable

from skep.kit.errors import Unimplemented

_DOCKERS_OWN = "com.docker.network."


def check_endpoint_options(options: Iterable[str]) -> None:
    """Driver options: docker keeps and shows any, and does those of its own names, which we do not
    (sysctls, an interface's name)."""
    for option in options:
        if option.startswith(_DOCKERS_OWN):
            raise Unimplemented(f'endpoint option "{option}" is not supported by this engine')
