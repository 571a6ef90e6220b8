"""JPEG-LS and JPEG XL for zarr-python: import this module, and it opens stores of those codecs.

The names are those of imagecodecs' own Zarr codecs, which newer versions of imagecodecs bring along.
"""

from dataclasses import dataclass

import imagecodecs
import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.registry import register_codec


@dataclass(frozen=True)
class _ImageCodec(ArrayBytesCodec):
    configuration: tuple[tuple[str, object], ...] = ()
    is_fixed_size = False

    @classmethod
    def from_dict(cls, data):
        return cls(tuple(sorted(data.get("configuration", {}).items())))

    def to_dict(self):
        return {"name": self.codec_name, "configuration": dict(self.configuration)}

    async def _decode_single(self, chunk_bytes, chunk_spec):
        image = self.image_of(chunk_bytes.to_bytes())
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(np.asarray(image).reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_array, chunk_spec):
        image = chunk_array.as_numpy_array().reshape(chunk_spec.shape[-2:])
        return chunk_spec.prototype.buffer.from_bytes(bytes(self.bytes_of(np.ascontiguousarray(image))))

    def compute_encoded_size(self, input_byte_length, chunk_spec):
        raise ValueError("the size of a compressed image is not known in advance")


class JpegLs(_ImageCodec):
    """imagecodecs_jpegls"""

    codec_name = "imagecodecs_jpegls"

    def bytes_of(self, image):
        return imagecodecs.jpegls_encode(image, **dict(self.configuration))

    def image_of(self, data):
        return imagecodecs.jpegls_decode(data)


class JpegXl(_ImageCodec):
    """imagecodecs_jpegxl"""

    codec_name = "imagecodecs_jpegxl"

    def bytes_of(self, image):
        return imagecodecs.jpegxl_encode(image, numthreads=1, **dict(self.configuration))

    def image_of(self, data):
        return imagecodecs.jpegxl_decode(data, numthreads=1)


for codec in (JpegLs, JpegXl):
    register_codec(codec.codec_name, codec)
