"""The networks of this node: objects, addresses and names; the kernel part is skep.network."""

from skep.engine.networks.services import ServiceBackend, ServicePort

__all__ = ["ServiceBackend", "ServicePort"]
