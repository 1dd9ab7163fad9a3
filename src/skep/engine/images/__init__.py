"""A node's images: pulled, loaded, named, unpacked once per layer, and handed to containers."""

from skep.engine.images.overlay import mount_overlay
from skep.engine.images.registry import RegistryError
from skep.engine.images.removal import ImageUser
from skep.engine.images.store import ImageStore, LoadedImage

__all__ = [
    "ImageStore",
    "ImageUser",
    "LoadedImage",
    "RegistryError",
    "mount_overlay",
]
