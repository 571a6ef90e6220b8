"""store.toml: how the pixels of a work folder were scaled and encoded, one choice for all of its plates."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import tomli_w

from kit.config import StoreConfig
from kit.errors import KitError
from kit.files import write_whole
from kit.images.store.codecs import find_codec

SCHEMA = 1


def read_settings(path: Path) -> StoreConfig | None:
    """Return the settings of the store in the work folder `path`, or None where it has none yet.

    Raises:
        KitError: store.toml is damaged or of another version.
    """
    file = Path(path) / "store.toml"
    if not file.is_file():
        return None
    try:
        table = tomllib.loads(file.read_text())
        schema = table.pop("schema")
        if schema != SCHEMA:
            raise KitError(f"{file}: schema {schema}; this version of kit reads {SCHEMA}")
        settings = StoreConfig(**table)
        find_codec(settings.codec)
        return settings
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise KitError(f"{file} is not readable: {error}") from error


def write_settings(path: Path, settings: StoreConfig) -> None:
    """Write store.toml."""
    write_whole(Path(path) / "store.toml", tomli_w.dumps({"schema": SCHEMA, **asdict(settings)}))
