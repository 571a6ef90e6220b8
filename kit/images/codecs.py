"""The codecs of the store: how one image becomes bytes, and the name under which Zarr knows it."""

from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c
import imagecodecs
import numpy as np

from kit.errors import KitError, UsageError

_CRC_BYTES = 4
DEFAULT = "zstd"


@dataclass(frozen=True)
class Codec:
    """`encode` and `decode` one image, `chain` is the same in a Zarr v3 array's metadata (the crc32c comes last)."""

    name: str
    encode: Callable[[np.ndarray], bytes]
    decode: Callable[[bytes, tuple[int, int], np.dtype], np.ndarray]
    chain: tuple[dict, ...]


def _zstd(level: int) -> Codec:
    def encode(image):
        return imagecodecs.zstd_encode(np.ascontiguousarray(image).view(np.uint8).ravel(), level=level)

    def decode(data, shape, dtype):
        size = shape[0] * shape[1] * dtype.itemsize
        return np.frombuffer(imagecodecs.zstd_decode(data, out=size), dtype).reshape(shape)

    chain = (
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": level, "checksum": False}},
    )
    return Codec("zstd" if level == 3 else f"zstd-{level}", encode, decode, chain)


CODECS = {codec.name: codec for codec in (_zstd(3),)}


def find_codec(name: str | None) -> Codec:
    """Return the codec of that name, the default for None.

    Raises:
        UsageError: no such codec.
    """
    name = name or DEFAULT
    if name not in CODECS:
        raise UsageError(f"--codec {name}: there are {', '.join(CODECS)}")
    return CODECS[name]


def pack(image_HW: np.ndarray, codec: Codec) -> bytes:
    """Return an image as the store holds it: encoded, with the CRC-32C of the encoded bytes behind."""
    encoded = codec.encode(image_HW)
    return encoded + google_crc32c.value(encoded).to_bytes(_CRC_BYTES, "little")


def unpack(data: bytes, codec: Codec, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Return the image of packed bytes.

    Raises:
        KitError: the checksum does not fit.
    """
    encoded = data[:-_CRC_BYTES]
    if google_crc32c.value(bytes(encoded)) != int.from_bytes(data[-_CRC_BYTES:], "little"):
        raise KitError("checksum mismatch: the stored bytes have changed")
    return codec.decode(encoded, shape, dtype)


def checksum(image_HW: np.ndarray) -> int:
    """Return the CRC-32C of an image's pixels, little-endian and row by row."""
    little = np.ascontiguousarray(image_HW, image_HW.dtype.newbyteorder("<"))
    return google_crc32c.value(little.tobytes())
