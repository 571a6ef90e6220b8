"""The rows of a submission, a block of them in memory at a time: written, and read back. M rows, F features."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from kit.errors import KitError
from kit.kernels.csv_text import csv_rows, csv_values

# Blocks small enough that the allocator uses their memory again: fresh pages took as long as the numbers.
_NUMBERS = 1_000_000  # of a block that is written
_BYTES = 8 << 20  # of a block that is read
_QUOTED = frozenset(',"\n\r')


def write_rows(path: Path, ids: list[str], names: tuple[str, ...], features_MF: np.ndarray) -> None:
    """Write column ID, then the features, float32 in their shortest form."""
    header = pl.DataFrame(schema=dict.fromkeys(("ID", *names), pl.String))
    rows = max(1, _NUMBERS // len(names))
    with path.open("wb") as file:
        header.write_csv(file)
        for start in range(0, len(ids), rows):
            some = slice(start, start + rows)
            file.write(csv_rows([_quoted(text) for text in ids[some]], np.ascontiguousarray(features_MF[some])))


def are_plain(*texts: Iterable[str]) -> bool:
    """Return whether none of these texts needs quotation marks in a CSV: what `read_rows` reads."""
    return not any(not text or _QUOTED & set(text) for some in texts for text in some)


def read_rows(path: Path, columns: int, digest: "hashlib._Hash | None" = None) -> Iterator[tuple[list[str], np.ndarray] | None]:
    """Yield the IDs and features of block after block, float32 [rows, F]; None, and no more, at lines that are not plain.

    columns: F. digest: takes in every byte of the file.
    """
    with path.open("rb") as file:
        header = file.readline()
        rest = b""
        if digest is not None:
            digest.update(header)
        while block := file.read(_BYTES):
            if digest is not None:
                digest.update(block)
            lines, newline, rest = (rest + block).rpartition(b"\n")
            if newline:
                found = csv_values(lines, columns)
                yield found
                if found is None:
                    return
        if rest:
            yield csv_values(rest, columns)


def read_plain(path: Path, is_text: Callable[[str], bool]) -> pl.DataFrame | None:
    """Return a table as `kit export` writes it, text first and then float32 numbers; None of any other."""
    with path.open("rb") as file:
        try:
            names = file.readline().removesuffix(b"\n").decode().split(",")
        except UnicodeDecodeError:  # a packed file, say
            return None
    first, *numbers = names
    if not numbers or not are_plain(names) or len(set(names)) < len(names) or not is_text(first) or any(map(is_text, numbers)):
        return None
    texts: list[str] = []
    blocks = []
    for found in read_rows(path, len(numbers)):
        if found is None or not all(found[0]):  # an empty field is no text but missing
            return None
        texts += found[0]
        blocks.append(found[1])
    if not blocks:
        return None
    features_MF = np.concatenate(blocks)
    del blocks
    return pl.DataFrame({first: texts}).hstack(pl.from_numpy(features_MF, schema=numbers, orient="row"))


def read_back(path: Path, ids: list[str], features_MF: np.ndarray, called: str) -> str:
    """Read what `write_rows` wrote of plain IDs and return its SHA-256.

    Raises:
        KitError: the file holds anything else, as on a disk that fails.
    """
    digest, start = hashlib.sha256(), 0
    for found in read_rows(path, features_MF.shape[1], digest):
        some = slice(start, start + len(found[0])) if found else slice(0)
        if found is None or found[0] != ids[some] or not np.array_equal(found[1], features_MF[some]):
            break
        start += len(found[0])
    if start != len(ids):
        raise KitError(f"{called}: row {start + 2} does not read back as it was written: is the disk sound?")
    return digest.hexdigest()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or _QUOTED & set(text) else text
