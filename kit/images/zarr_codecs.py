"""`import kit.images.zarr_codecs` registers the store's codecs with zarr-python, to open a store without kit.open."""

from kit.images.store.zarr_codecs import JpegLs, JpegXl

__all__ = ["JpegLs", "JpegXl"]
