"""The guards of an ingest: one at a time per store, the same settings throughout, and disk errors in plain words."""

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import filelock

from kit.config import StoreConfig
from kit.errors import KitError, UsageError
from kit.files import is_full
from kit.images.store.settings import read_settings, write_settings


@contextlib.contextmanager
def only_one(work: Path) -> Iterator[None]:
    """Hold the store's lock.

    Raises:
        KitError: another ingest holds it.
    """
    work.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(work / ".ingest.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise KitError(f"another kit ingest is writing to {work}: wait for it, or use another --work") from error
    try:
        for part in (*work.glob(".*.part"), *work.glob("plates/.*.part")):
            part.unlink()  # of a killed ingest: none is at work now
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors(work: Path) -> Iterator[None]:
    """Turn the operating system's errors when writing the store into one line."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise KitError(f"no space left for {work}: free some and run the same command again to continue") from error
        raise KitError(f"{error.filename or work}: {error.strerror or error}") from error


def settle(work: Path, settings: StoreConfig) -> None:
    """Record the settings in a new store; check those of an existing one, as `check_agreement`."""
    if not check_agreement(work, settings):
        write_settings(work, settings)


def check_agreement(work: Path, settings: StoreConfig) -> bool:
    """Return whether a store exists; if so, it has these settings.

    Raises:
        UsageError: it was made with others.
        KitError: its store.toml cannot be read.
    """
    there = read_settings(work)
    if there is not None and there != settings:
        unlike = next(key for key in asdict(there) if getattr(there, key) != getattr(settings, key))
        before, now = (_as_option(unlike, getattr(which, unlike)) for which in (there, settings))
        raise UsageError(f"{work} was made {before}, not {now}: use the same settings, or another --work")
    return there is not None


def _as_option(key: str, value: object) -> str:
    if key == "illumination":
        return "with --illum" if value else "without --illum"
    return f"with --{key} {value}" if value else f"without --{key}"
