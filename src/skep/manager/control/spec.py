"""What is written into a spec when it is stored, as docker does: names become ids, a mode is named.

Everything else stays as it was written; `skep.model.defaults` says what it means.
"""

from __future__ import annotations

from msgspec.structs import replace

from skep.kit.errors import InvalidArgument
from skep.manager.control import resolve
from skep.model import defaults
from skep.model.service import (
    EndpointSpec,
    NetworkAttachmentConfig,
    ServiceSpec,
)
from skep.store.change import View


def complete(view: View, spec: ServiceSpec) -> ServiceSpec:
    """The spec to be stored. Raises NotFound for a network that does not exist."""
    networks = [_resolved(view, wish) for wish in defaults.networks(spec)]
    return replace(
        spec,
        task_template=replace(spec.task_template, networks=networks),
        networks=[],
        mode=defaults.complete_mode(spec),
        endpoint_spec=replace(
            spec.endpoint_spec or EndpointSpec(), mode=defaults.endpoint_mode(spec)
        ),
    )


def _resolved(view: View, wish: NetworkAttachmentConfig) -> NetworkAttachmentConfig:
    if not wish.target:
        raise InvalidArgument("a network attachment needs a target: the network's name or id")
    return replace(wish, target=resolve.network(view, wish.target).id)
