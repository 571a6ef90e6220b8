"""Check files before reading, with one clear line per problem; write files whole or not at all.

A whole file is written under a temporary name in the same folder, flushed to disk, then renamed.
"""

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kit.errors import UsageError
from kit.words import nearest


def existing_file(path: Path | str, way_out: str = "") -> Path:
    """Return the path of a file that the user named.

    Raises:
        UsageError: it does not exist; the message suggests the file with the nearest name, then `way_out`.
    """
    path = Path(path)
    if path.is_file():
        return path
    raise _refused(path, "is a folder" if path.is_dir() else "is not a regular file", way_out)


def existing_folder(path: Path | str, way_out: str = "") -> Path:
    """Return the path of a folder that the user named; errors as `existing_file`."""
    path = Path(path)
    if path.is_dir():
        return path
    raise _refused(path, "is not a folder", way_out)


def _refused(path: Path, kind: str, way_out: str) -> UsageError:
    if path.exists():
        reason = f" {kind}"
    elif path.is_symlink():
        reason = " is a dangling symlink"
    elif path.parent.is_dir():
        reason = " does not exist" + nearest(path.name, (other.name for other in path.parent.iterdir()), cutoff=0.6)
    else:
        reason = f" does not exist: no folder {path.parent}"
    return UsageError(f"{path}{reason}{f'; {way_out}' if way_out else ''}")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it takes the final name only if the block ends without an error.

    The temporary name starts with a dot and ends with `.part`: a killed process leaves nothing else.
    """
    path = Path(path)
    with errors_name(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        part = Path(name)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
            _sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Make an OSError of writing name `path` instead of the temporary file, or of no file, as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename and not str(error.filename).endswith(".part"):
            raise
        said = re.search(r"\(os error (\d+)\)", str(error))  # a library written in Rust puts the number into its words
        number = error.errno or (int(said[1]) if said else errno.EIO)
        raise OSError(number, os.strerror(number), str(path)) from error


def is_full(error: OSError) -> bool:
    """Return whether there was no space left to write to."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(path: Path, data: bytes | str) -> None:
    """Write bytes or text so that `path` never holds half of it."""
    with whole_file(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
