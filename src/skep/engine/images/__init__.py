"""A node's images: pulled, loaded, named, unpacked once per layer, and handed to containers."""

from skep.engine.images.store import Filters, ImageStore, ImageUser, LoadedImage

__all__ = ["Filters", "ImageStore", "ImageUser", "LoadedImage"]
