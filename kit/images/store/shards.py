"""One well of a plate as one file: a shard of the Zarr v3 sharding codec, written image by image and renamed when whole.

A shard is its chunks one after the other, then per chunk (offset, length) as little-endian uint64 and the CRC-32C of this index.
For a missing chunk all bits of both are set. Chunks are (field, channel), row-major.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from kit.errors import KitError
from kit.files import whole_file

_MISSING = np.uint64(2**64 - 1)
_CRC_BYTES = 4


class ShardWriter:
    """Writes the packed images of one well in chunk order; keeps only their offsets in memory."""

    def __init__(self, file: BinaryIO, chunks: int):
        self._file = file
        self._index = np.full((chunks, 2), _MISSING, "<u8")
        self._end = 0

    def append(self, chunk: int, *packed: bytes) -> None:
        """Write the next image, packed by `kit.images.store.codecs.pack` or in the parts of `pack_parts`."""
        length = sum(self._file.write(part) for part in packed)
        self._index[chunk] = self._end, length
        self._end += length

    def finish(self) -> int:
        """Write the index and return the size of the shard in bytes."""
        index = self._index.tobytes()
        self._file.write(index + google_crc32c.value(index).to_bytes(_CRC_BYTES, "little"))
        self._file.flush()
        return self._end + len(index) + _CRC_BYTES


@contextlib.contextmanager
def write_shard(path: Path, chunks: int) -> Iterator[ShardWriter]:
    """Yield a writer of the shard `path`, which is renamed at the end of the block, after `finish`, or never."""
    with whole_file(path) as part, part.open("wb") as file:
        yield ShardWriter(file, chunks)


class Shard:
    """Read access to one shard: the index once, then any chunk by one positioned read; safe to share between threads."""

    def __init__(self, path: Path, chunks: int):
        self.path = path
        self._file = path.open("rb")  # closed with the object: another thread may still be reading
        self._index = _read_index(path, self._file.fileno(), chunks)
        self._end = os.fstat(self._file.fileno()).st_size - self._index.nbytes - _CRC_BYTES

    def has(self, chunk: int) -> bool:
        """Return whether the chunk exists."""
        return self._index[chunk, 0] != _MISSING

    def read(self, chunk: int) -> bytes:
        """Return the packed bytes of an existing chunk.

        Raises:
            KitError: the file ends before it does.
        """
        offset, length = (int(value) for value in self._index[chunk])
        if offset + length > self._end:
            raise KitError(
                f"{self.path} is damaged: an image of {length} bytes at {offset} runs past the end of the images at {self._end}"
            )
        data = os.pread(self._file.fileno(), length, offset)
        if len(data) != length:
            raise KitError(f"{self.path} is truncated: {len(data)} of {length} bytes at {offset}")
        return data


def _read_index(path: Path, handle: int, chunks: int) -> np.ndarray:
    length = chunks * 16 + _CRC_BYTES
    size = os.fstat(handle).st_size
    data = os.pread(handle, length, max(size - length, 0))
    if len(data) != length or google_crc32c.value(data[:-_CRC_BYTES]) != int.from_bytes(data[-_CRC_BYTES:], "little"):
        raise KitError(f"{path} is damaged: its index does not match its checksum; delete it and ingest the plate again")
    return np.frombuffer(data[:-_CRC_BYTES], "<u8").reshape(chunks, 2)
