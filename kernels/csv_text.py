"""Rows of a wide CSV, a text field and then float32 numbers: written in the shortest form that reads back, and read again.

M rows, F numbers of a row. The numbers are written as polars writes them; without the compiled extension polars does.
"""

import io
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import polars as pl
import polars.exceptions

from kit.kernels.extension import cpu_extension, cpu_reason

THREADS = 2  # what a notebook has; more gain little over the disk


def csv_rows(first: Sequence[str], values_MF: np.ndarray) -> bytes:
    """Return the lines `first,number,...,number` of a CSV.

    Args:
        first: the first field of each row, quoted already where it has to be.
        values_MF: float32, contiguous, finite.
    """
    values_MF = _checked(values_MF, len(first))
    native = _native()
    if native is None:
        return csv_rows_reference(first, values_MF)
    return native.csv_rows([text.encode() for text in first], values_MF.ctypes.data, values_MF.shape[1], THREADS)


def csv_rows_reference(first: Sequence[str], values_MF: np.ndarray) -> bytes:
    """The same by polars, which defines it: the numbers alone, then the first field before every line."""
    out = io.BytesIO()
    pl.from_numpy(values_MF, schema=[str(column) for column in range(values_MF.shape[1])]).write_csv(out, include_header=False)
    lines = out.getvalue().splitlines(keepends=True)
    return b"".join(text.encode() + b"," + line for text, line in zip(first, lines, strict=True))


def csv_values(text: bytes, columns: int) -> tuple[list[str], np.ndarray] | None:
    """Return the first field of every line, and its numbers, float32 [M, F].

    None where a line is not `field,number,...,number` of this many finite float32 numbers, or its field has a quotation mark:
    a reader of every CSV must then say what it is.
    """
    native = _native()
    if native is None:
        return csv_values_reference(text, columns)
    rows = text.count(b"\n") + (not text.endswith(b"\n") and len(text) > 0)
    values_MF = np.empty((rows, columns), dtype=np.float32)
    first = native.csv_values(text, rows, columns, values_MF.ctypes.data, THREADS)
    try:
        return None if first is None else ([field.decode() for field in first], values_MF)
    except UnicodeDecodeError:
        return None


def csv_values_reference(text: bytes, columns: int) -> tuple[list[str], np.ndarray] | None:
    """The same by polars."""
    names = [str(column) for column in range(columns)]
    schema = {"first": pl.String, **dict.fromkeys(names, pl.Float32)}
    rows = [line for line in text.removesuffix(b"\n").split(b"\n") if text]
    if any(b'"' in line.partition(b",")[0] or line.count(b",") != columns for line in rows):
        return None
    try:
        frame = pl.read_csv(text, has_header=False, schema=schema)
    except (polars.exceptions.PolarsError, UnicodeDecodeError):
        return None
    values_MF = np.ascontiguousarray(frame.select(names).to_numpy(), dtype=np.float32)
    return (frame["first"].fill_null("").to_list(), values_MF) if np.isfinite(values_MF).all() else None


def backend() -> tuple[str, str]:
    """Return what writes and reads the rows here, "C++" or "polars", and why."""
    if _native() is not None:
        return "C++", cpu_reason()
    return "polars", f"kit.kernels._cpu: {cpu_reason() if cpu_extension() is None else 'its C++ library converts no floats'}"


def _native() -> ModuleType | None:
    module = cpu_extension()
    return module if hasattr(module, "csv_rows") else None  # not with a C++ library without floats


def _checked(values_MF: np.ndarray, rows: int) -> np.ndarray:
    if values_MF.dtype != np.float32 or values_MF.ndim != 2 or not values_MF.flags.c_contiguous or len(values_MF) != rows:
        raise ValueError(f"values: need contiguous float32 [{rows}, F], got {values_MF.dtype} {values_MF.shape}")
    if not np.isfinite(values_MF).all():
        raise ValueError("values: one is not finite")
    return values_MF
