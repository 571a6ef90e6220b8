"""Folders of files, local or behind any URL that fsspec knows (s3://, gs://, https:// ...): list them, read from them."""

import functools
import io
import os
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import tenacity

from kit.errors import KitError, UsageError
from kit.images.source.tiff import BadImage

T = TypeVar("T")
TRIES = 8
_FIRST_WAIT = 0.25  # seconds; doubled from try to try
_ANSWERS = (FileNotFoundError, PermissionError)
_REQUESTS = 64  # in flight per process, over all wells at work


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image: a path or URL, its size in bytes where a listing gave it (else -1), and which plane of the file it is."""

    path: str
    size: int = -1
    plane: int = 0  # from 1; 0: the file has one
    planes: int = 0  # that the file must have, one a channel; 0: not said


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a folder."""

    name: str
    path: str
    is_folder: bool
    size: int


@dataclass(frozen=True)
class Folder:
    """A local folder or a URL prefix."""

    path: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return Path(self.path).resolve().name if not is_url(self.path) else self.path.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> "Folder":
        """The folder above."""
        if is_url(self.path):
            return Folder(self.path.rstrip("/").rpartition("/")[0])
        return Folder(str(Path(self.path).resolve().parent))

    def __truediv__(self, name: str) -> "Folder":
        return Folder(f"{self.path.rstrip('/')}/{name}")

    def entries(self) -> list[Entry]:
        """Return what is in it, by name; nothing where it does not exist."""
        return list_url(self.path) if is_url(self.path) else _list_local(self.path)

    def names(self, *, folders: bool) -> list[str]:
        """Return the names of the folders in it, or of the files, in order; of a local folder nothing else is read."""
        if is_url(self.path):
            return [entry.name for entry in self.entries() if entry.is_folder == folders]
        if not Path(self.path).is_dir():
            return []
        with os.scandir(self.path) as found:
            return sorted(entry.name for entry in found if entry.is_dir() == folders)

    def has_folder(self, name: str) -> bool:
        """Return whether a folder of that name is in it."""
        if not is_url(self.path):
            return (Path(self.path) / name).is_dir()
        return any(entry.name == name and entry.is_folder for entry in self.entries())

    def file(self, name: str) -> ImageFile | None:
        """Return the file of that name, or None."""
        if not is_url(self.path):
            path = Path(self.path) / name
            return ImageFile(str(path), path.stat().st_size) if path.is_file() else None
        found = next((entry for entry in self.entries() if entry.name == name and not entry.is_folder), None)
        return ImageFile(found.path, found.size) if found else None


Answer = bytes | FileNotFoundError | BadImage  # what reading a file gave


@dataclass
class Reader:
    """Reads whole files, remote ones with many requests in flight and again when the connection fails."""

    ahead: int = 16  # remote files to prefetch, per stream
    _pool: ThreadPoolExecutor | None = field(default=None, repr=False, compare=False)

    def __call__(self, file: ImageFile) -> bytes:
        """Return the file's bytes.

        Raises:
            FileNotFoundError: it does not exist.
            BadImage: it cannot be read, or has another size than its listing says.
            KitError: the server does not answer, or refuses.
        """
        if is_url(file.path):
            return _read_url(file)
        try:
            return Path(file.path).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadImage(f"cannot be read: {error.strerror or error}") from error

    def stream(self, files: Iterable[ImageFile]) -> Iterator[tuple[ImageFile, Answer]]:
        """Yield each file with its bytes, or with the FileNotFoundError or BadImage that reading it gave, in order."""
        coming: deque[tuple[ImageFile, Future[Answer]]] = deque()
        last: tuple[str, Answer] = ("", b"")  # the planes of a file follow each other: it is read once
        for file in files:
            if not is_url(file.path):
                last = last if file.path == last[0] else (file.path, self._attempt(file))
                yield file, last[1]
                continue
            if coming and coming[-1][0].path == file.path:
                coming.append((file, coming[-1][1]))
            else:
                coming.append((file, self._threads().submit(self._attempt, file)))
            if len(coming) > self.ahead:
                first, future = coming.popleft()
                yield first, future.result()
        for first, future in coming:
            yield first, future.result()

    def _attempt(self, file: ImageFile) -> Answer:
        try:
            return self(file)
        except (FileNotFoundError, BadImage) as error:
            return error

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="fetch")
        return self._pool

    def __getstate__(self) -> dict[str, object]:
        return {"ahead": self.ahead, "_pool": None}


def is_url(path: str) -> bool:
    """Return whether the path is a URL for fsspec."""
    return "://" in str(path)


def open_file(reader: Reader, file: ImageFile) -> BinaryIO:
    """Return a local file open for reading, or a remote one in memory: for tables and XML."""
    return io.BytesIO(reader(file)) if is_url(file.path) else Path(file.path).open("rb")


def _list_local(path: str) -> list[Entry]:
    if not Path(path).is_dir():
        return []
    with os.scandir(path) as found:
        entries = [Entry(e.name, e.path, e.is_dir(), 0 if e.is_dir() else e.stat().st_size) for e in found]
    return sorted(entries, key=lambda entry: entry.name)


@functools.lru_cache(maxsize=256)
def list_url(url: str) -> list[Entry]:
    """Return the entries under a URL, by name; listed once per process."""
    system, path, scheme = _system(url)
    try:
        found = _again(lambda: system.ls(path, detail=True), url)
    except FileNotFoundError:
        return []
    entries = []
    for item in found:
        name = item["name"].rstrip("/").rpartition("/")[2]
        if item["name"].rstrip("/") != path.rstrip("/"):
            full = item["name"] if is_url(item["name"]) else f"{scheme}://{item['name']}"
            entries.append(Entry(name, full, item["type"] == "directory", int(item.get("size") or 0)))
    return sorted(entries, key=lambda entry: entry.name)


def _read_url(file: ImageFile) -> bytes:
    system, path, _ = _system(file.path)

    def fetch() -> bytes:
        data = system.cat_file(path)
        if file.size >= 0 and len(data) != file.size:
            raise _WrongSize(f"{len(data)} of {file.size} bytes")
        return data

    try:
        return _again(fetch, file.path)
    except _WrongSize as error:
        raise BadImage(f"the server sent {error}, {TRIES} times") from error


class _WrongSize(OSError):
    """The number of bytes received differs from the listing."""


def _again(action: Callable[[], T], url: str) -> T:
    """Try up to TRIES times with growing pauses; a missing key or denied access is an answer, not a failure."""
    try:
        return _tries()(action)
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise KitError(f"{url}: the server denies access ({error})") from error
    except _WrongSize:
        raise
    except _transient() as error:
        raise KitError(f"{url}: no answer after {TRIES} tries ({error}); run the same command again to continue") from error


def _tries() -> tenacity.Retrying:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, _transient()) and not isinstance(error, _ANSWERS)),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=lambda state: _FIRST_WAIT * 2 ** (state.attempt_number - 1) * random.uniform(0.5, 1.5),
        reraise=True,
    )


@functools.cache
def _transient() -> tuple[type[Exception], ...]:
    """The errors of a bad connection or a failing server, in the installed libraries."""
    kinds: list[type[Exception]] = [OSError, TimeoutError, EOFError]
    for module, name in (
        ("botocore.exceptions", "BotoCoreError"),
        ("botocore.exceptions", "ClientError"),
        ("aiohttp", "ClientError"),
    ):
        try:
            kinds.append(getattr(__import__(module, fromlist=[name]), name))
        except ImportError:
            continue
    return tuple(kinds)


def _system(url: str) -> tuple[Any, str, str]:
    """Return the file system of a URL, the path within it and the scheme. s3 is read anonymously unless fsspec is configured."""
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(f"{url}: reading from URLs needs fsspec: pip install cellpaint-kit[s3]") from error
    scheme = url.partition("://")[0]
    try:
        system, path = fsspec.core.url_to_fs(url, **(_s3_options(fsspec.config.conf.get("s3", {})) if scheme == "s3" else {}))
    except (ImportError, ValueError) as error:
        raise UsageError(f"{url}: {error}") from error
    if scheme == "s3":
        system.retries = 1  # kit tries again itself, with its own pauses and its own word at the end
    return system, path, scheme


def _s3_options(configured: dict) -> dict:
    """Anonymous, one try per request, a connection for each: unless fsspec's configuration says otherwise."""
    network = {"retries": {"total_max_attempts": 1}, "connect_timeout": 15, "read_timeout": 60, "max_pool_connections": _REQUESTS}
    return {"anon": True, "config_kwargs": network} | configured
