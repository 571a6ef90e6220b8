"""Single cells that others cut out: one array of images, one table of what is known of each. N cells, C channels, H W pixels.

array   .npz (also compressed) or .npy: uint8 or uint16, (N, H, W) or (N, C, H, W)
table   .csv (also .gz): a row a cell, in the order of the array; whatever columns
"""

import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from kit.errors import KitError, UsageError
from kit.files import existing_file
from kit.words import count, nearest, some

SIDES = (8, 1024)  # pixels of a cell's image, least and most
MOST_CHANNELS = 16
_MOST_BYTES = 1 << 33
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What numpy and zipfile raise on damaged bytes.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Cells:
    """Single cells: images, uint8 or uint16 [N, C, H, W], and a table with a row each, all text; "" is unknown.

    channels: their places in the array, counted from 0.
    """

    images_NCHW: np.ndarray
    table: pd.DataFrame
    channels: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The channels' names in a store: c0, c1 ..."""
        return tuple(f"c{channel}" for channel in self.channels)

    def column(self, name: str, option: str) -> np.ndarray:
        """Return a column of the table, text [N].

        Raises:
            UsageError: there is none of that name, which `option` gave.
        """
        there = [str(column) for column in self.table]
        if name not in there:
            raise UsageError(f"{option} {name}: no such column{nearest(name, there)}; the table has {some(there, 12)}")
        return self.table[name].to_numpy(dtype=str)


def read_cell_images(array: Path, table: Path, *, name: str = "", channels: Sequence[int] = ()) -> Cells:
    """Read the cells of an array and its table.

    Args:
        name: of the array in a .npz; not needed where it holds one.
        channels: those to take, counted from 0; none named: all.

    Raises:
        UsageError: no such file, array or channel.
        KitError: one of the files cannot be used, or the table has not one row a cell.
    """
    images_NCHW, rows = read_array(array, name), _read_table(table)
    if len(rows) != len(images_NCHW):
        raise KitError(
            f"{table} has {len(rows)} rows, {array} {len(images_NCHW)} cells: need a row a cell, in the order of the array"
        )
    absent = [channel for channel in channels if not 0 <= channel < images_NCHW.shape[1]]
    if absent:
        raise UsageError(f"channel {absent[0]}: {array} has {count(images_NCHW.shape[1], 'channel')}, counted from 0")
    chosen = tuple(channels) or tuple(range(images_NCHW.shape[1]))
    return Cells(images_NCHW[:, chosen], rows, chosen)


def read_array(path: Path, name: str = "") -> np.ndarray:
    """Return the images of cells, uint8 or uint16 [N, C, H, W]; errors as `read_cell_images`.

    Nothing is unpickled, and shape and type are checked before any pixel is read.
    """
    existing_file(path, "need an array of cells, a .npz or .npy")
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as file:
                return _read(file, path.stat().st_size, str(path))
        with zipfile.ZipFile(path) as archive:
            member = _choose(archive, path, name)
            with archive.open(member) as file:
                return _read(file, member.file_size, f"{path}, {member.filename.removesuffix('.npy')}")
    except KitError:
        raise
    except _DAMAGE as error:
        raise KitError(f"{path}: not an array that numpy can read ({error or type(error).__name__})") from error


def _choose(archive: zipfile.ZipFile, path: Path, name: str) -> zipfile.ZipInfo:
    arrays = {member.filename.removesuffix(".npy"): member for member in archive.infolist() if member.filename.endswith(".npy")}
    if not arrays:
        raise KitError(f"{path} holds no array")
    if name and name not in arrays:
        raise UsageError(f"--array {name}: {path} has no such array{nearest(name, arrays)}; it has {some(list(arrays))}")
    if not name and len(arrays) > 1:
        raise UsageError(f"{path} holds several arrays: name one with --array: {some(list(arrays))}")
    return arrays[name] if name else next(iter(arrays.values()))


def _read(file: IO[bytes], size: int, where: str) -> np.ndarray:
    """Return the array of a .npy of `size` bytes."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise KitError(f"{where}: format {version[0]}.{version[1]} of .npy; save it with numpy.save or numpy.savez")
    shape, _, dtype = _HEADERS[version](file)
    _check(shape, dtype, where)
    pixels = math.prod(shape) * dtype.itemsize
    if size - file.tell() != pixels:
        raise KitError(f"{where}: {size - file.tell()} bytes of pixels, {pixels} expected of {shape}: the file is damaged")
    file.seek(0)
    images = np.lib.format.read_array(file, allow_pickle=False)
    images_NCHW = images[:, None] if images.ndim == 3 else images
    return np.ascontiguousarray(images_NCHW, dtype.newbyteorder("="))


def _check(shape: tuple[int, ...], dtype: np.dtype, where: str) -> None:
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise KitError(f"{where}: {dtype} pixels; save them as unsigned 8-bit or 16-bit counts (uint8, uint16)")
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise KitError(f"{where}: shape {shape}; need (cells, height, width) or (cells, channels, height, width)")
    if len(shape) == 4 and shape[1] > MOST_CHANNELS:
        raise KitError(
            f"{where}: shape {shape} has {shape[1]} channels; need (cells, channels, height, width), at most 16 channels"
        )
    if not SIDES[0] <= min(shape[-2:]) <= max(shape[-2:]) <= SIDES[1]:
        raise KitError(f"{where}: cells of {shape[-2]} x {shape[-1]} pixels; a side has {SIDES[0]} to {SIDES[1]}")
    if math.prod(shape) * dtype.itemsize > _MOST_BYTES:
        raise KitError(f"{where}: {math.prod(shape) * dtype.itemsize >> 30} GB of pixels; at most {_MOST_BYTES >> 30} are read")


def _read_table(path: Path) -> pd.DataFrame:
    existing_file(path, "need the table of the cells, a .csv")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row of more values than columns
            table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False, encoding="utf-8-sig")
    except UnicodeError as error:
        raise KitError(f"{path} is not UTF-8 text: save the table of the cells as CSV in UTF-8") from error
    except pd.errors.ParserWarning as error:
        raise KitError(f"{path} cannot be read as a table: a row has more values than the first line has names") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise KitError(f"{path} cannot be read as a table: {str(error).strip()}") from error
    return table.fillna("")
