"""The codecs of the store: how one image becomes bytes, and the name under which Zarr knows it. docs/store.md compares them."""

from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c
import imagecodecs
import numpy as np

from kit.errors import KitError, UsageError

DEFAULT = "zstd"
_CRC_BYTES = 4
_LITTLE = {"name": "bytes", "configuration": {"endian": "little"}}


@dataclass(frozen=True)
class Codec:
    """`encode` an image, `decode` into an image; `chain` is the same in a Zarr v3 array's metadata (the crc32c comes last)."""

    name: str
    encode: Callable[[np.ndarray], bytes | bytearray]
    decode: Callable[[bytes, np.ndarray], object]
    chain: tuple[dict, ...]

    def __reduce__(self) -> tuple[Callable[..., "Codec"], tuple[str]]:
        return find_codec, (self.name,)  # another process has the same functions


def _zstd(level: int) -> Codec:
    def decode(data: bytes, out: np.ndarray) -> None:
        filled = imagecodecs.zstd_decode(data, out=out.view(np.uint8).reshape(-1).data)
        if len(filled) != out.nbytes:
            raise KitError(f"{len(filled) // out.itemsize} pixels of {out.dtype} where {out.shape[0]} x {out.shape[1]} should be")

    return Codec(
        "zstd",
        lambda image: imagecodecs.zstd_encode(image.view(np.uint8).ravel(), level=level),  # type: ignore[arg-type]  # takes any buffer
        decode,
        (_LITTLE, {"name": "zstd", "configuration": {"level": level, "checksum": False}}),
    )


def _jpeg_ls() -> Codec:
    return Codec(
        "jpegls",
        lambda image: imagecodecs.jpegls_encode(image, level=0),  # level 0: no loss
        lambda data, out: imagecodecs.jpegls_decode(data, out=out),
        ({"name": "imagecodecs_jpegls", "configuration": {"level": 0}},),
    )


def _jpeg_xl(effort: int) -> Codec:
    return Codec(
        "jpegxl",
        lambda image: imagecodecs.jpegxl_encode(image, lossless=True, effort=effort, numthreads=1),
        lambda data, out: imagecodecs.jpegxl_decode(data, out=out, numthreads=1),
        ({"name": "imagecodecs_jpegxl", "configuration": {"lossless": True, "effort": effort}},),
    )


CODECS = {codec.name: codec for codec in (_zstd(3), _jpeg_ls(), _jpeg_xl(3))}


def find_codec(name: str | None) -> Codec:
    """Return the codec of that name, the default for None.

    Raises:
        UsageError: no such codec.
    """
    name = name or DEFAULT
    if name not in CODECS:
        raise UsageError(f"--codec {name}: need {' or '.join(CODECS)}")
    return CODECS[name]


def pack(image_HW: np.ndarray, codec: Codec) -> bytes:
    """Return an image as the store holds it: encoded, followed by the CRC-32C of the encoded bytes."""
    return b"".join(pack_parts(image_HW, codec))


def pack_parts(image_HW: np.ndarray, codec: Codec) -> tuple[bytes, bytes]:
    """Return the encoded bytes of an image and their CRC-32C, not yet copied together."""
    encoded = codec.encode(np.ascontiguousarray(image_HW, image_HW.dtype.newbyteorder("<")))
    encoded = encoded if isinstance(encoded, bytes) else bytes(encoded)
    return encoded, google_crc32c.value(encoded).to_bytes(_CRC_BYTES, "little")


def unpack_into(out_HW: np.ndarray, data: bytes, codec: Codec) -> None:
    """Fill `out_HW` with the image of packed bytes.

    Raises:
        KitError: the checksum does not fit, or the bytes are another image's.
    """
    encoded = data[:-_CRC_BYTES]
    if google_crc32c.value(encoded) != int.from_bytes(data[-_CRC_BYTES:], "little"):
        raise KitError("checksum mismatch: the stored bytes have changed")
    try:
        codec.decode(encoded, out_HW)
    except KitError:
        raise
    except (RuntimeError, ValueError) as error:
        raise KitError(f"no {codec.name} image of {out_HW.shape[0]} x {out_HW.shape[1]} {out_HW.dtype}: {error}") from error


def checksum(image_HW: np.ndarray) -> int:
    """Return the CRC-32C of an image's pixels, little-endian and row by row."""
    return google_crc32c.value(np.ascontiguousarray(image_HW, image_HW.dtype.newbyteorder("<")))
