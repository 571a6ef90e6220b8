"""`import kit.images.zarr_codecs` teaches zarr-python the codecs of the store, for those who open a store without kit.open."""

from kit.images.store.zarr_codecs import JpegLs, JpegXl

__all__ = ["JpegLs", "JpegXl"]
