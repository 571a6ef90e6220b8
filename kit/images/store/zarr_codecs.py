"""JPEG-LS and JPEG XL for zarr-python: import this module to open stores with these codecs.

The names are those of imagecodecs' own Zarr codecs, which newer versions of imagecodecs include.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import imagecodecs
import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.registry import register_codec

if TYPE_CHECKING:
    from zarr.abc.buffer import Buffer, NDBuffer
    from zarr.core.array_spec import ArraySpec


@dataclass(frozen=True)
class _ImageCodec(ArrayBytesCodec):
    configuration: tuple[tuple[str, Any], ...] = ()
    is_fixed_size = False
    codec_name: ClassVar[str]

    @abstractmethod
    def bytes_of(self, image: np.ndarray) -> bytes | bytearray:
        """Return an image encoded."""

    @abstractmethod
    def image_of(self, data: bytes) -> np.ndarray:
        """Return the image of encoded bytes."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(tuple(sorted(data.get("configuration", {}).items())))

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.codec_name, "configuration": dict(self.configuration)}

    async def _decode_single(self, chunk_bytes: "Buffer", chunk_spec: "ArraySpec") -> "NDBuffer":
        image = self.image_of(chunk_bytes.to_bytes())
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.asarray(image).reshape(chunk_spec.shape))

    async def _encode_single(self, chunk_array: "NDBuffer", chunk_spec: "ArraySpec") -> "Buffer | None":
        image = chunk_array.as_numpy_array().reshape(chunk_spec.shape[-2:])
        return chunk_spec.prototype.buffer.from_bytes(bytes(self.bytes_of(np.ascontiguousarray(image))))

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: "ArraySpec") -> int:
        raise ValueError("the size of a compressed image is not known in advance")


class JpegLs(_ImageCodec):
    """imagecodecs_jpegls"""

    codec_name = "imagecodecs_jpegls"

    def bytes_of(self, image: np.ndarray) -> bytes | bytearray:
        return imagecodecs.jpegls_encode(image, **dict(self.configuration))

    def image_of(self, data: bytes) -> np.ndarray:
        return imagecodecs.jpegls_decode(data)


class JpegXl(_ImageCodec):
    """imagecodecs_jpegxl"""

    codec_name = "imagecodecs_jpegxl"

    def bytes_of(self, image: np.ndarray) -> bytes | bytearray:
        return imagecodecs.jpegxl_encode(image, numthreads=1, **dict(self.configuration))

    def image_of(self, data: bytes) -> np.ndarray:
        return imagecodecs.jpegxl_decode(data, numthreads=1)


for codec in (JpegLs, JpegXl):
    register_codec(codec.codec_name, codec)
