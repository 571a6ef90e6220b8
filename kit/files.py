"""Files that are either whole or not there: written beside their name, flushed to disk, then renamed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it takes the final name only if the block ends without an error.

    The temporary name starts with a dot and ends with `.part`: a killed process leaves nothing else behind.
    """
    path = Path(path)
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
    except OSError as error:
        if error.errno and not error.filename:  # a full disk says so without naming the file
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


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
