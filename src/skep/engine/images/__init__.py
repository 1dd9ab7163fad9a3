"""A node's images: pulled, loaded, named, unpacked once per layer, and handed to containers.

Start at store.py (`ImageStore`, the facade). From the outside in:

    registry   skopeo, the one door to registries      archive, export   reading and writing tars
    transfer   one image on its way here               unpack, whiteouts one layer into a folder
    pulls, archives   what the store offers of them    layers, records, names, shelf   what is kept
    listing, removal, manifests, changes   decisions as functions of values
"""

from skep.engine.images.archives import LoadedImage
from skep.engine.images.registry import RegistryError
from skep.engine.images.removal import ImageUser
from skep.engine.images.store import ImageStore

__all__ = [
    "ImageStore",
    "ImageUser",
    "LoadedImage",
    "RegistryError",
]
