"""A store in parts: a folder with work folders of some plates each below it, as Kaggle mounts data sets."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kit.errors import KitError, UsageError
from kit.files import existing_folder

_DEEPEST = 4  # levels below the folder: Kaggle mounts a data set at most so deep (datasets/OWNER/NAME), and an archive one deeper
_MOST_FOLDERS = 20_000
_STORE = "store.toml"


def complete_plates(work: Path) -> list[str]:
    """Return the plates of a work folder whose table is written, which is done last."""
    return sorted(file.stem for file in (work / "plates").glob("*.parquet"))


def find_parts(folder: Path) -> list[Path]:
    """Return the work folders at or below a folder, sorted; nothing below one of them is looked at."""
    return sorted(_stores(Path(folder)))


def plates_of_parts(folder: Path, parts: list[Path]) -> dict[str, Path]:
    """Return plate -> the work folder that holds it, sorted by plate.

    Raises:
        KitError: two parts hold one plate, or were scaled or encoded differently.
    """
    texts = {part: (part / _STORE).read_text() for part in parts}
    other = next((part for part in parts if texts[part] != texts[parts[0]]), None)
    if other is not None:
        raise KitError(f"{other / _STORE} and {parts[0] / _STORE} differ: parts of {folder} are of two stores; open one of them")
    found: dict[str, Path] = {}
    for part in parts:
        for plate in complete_plates(part):
            if plate in found:
                raise KitError(f"plate {plate} is in two parts of {folder}: {found[plate]} and {part}; take one of them away")
            found[plate] = part
    return dict(sorted(found.items()))


def link_store(source: Path, work: Path) -> list[str]:
    """Make a work folder that can be written to of a store that cannot, whole or in parts: links to its plates. Return these.

    Raises:
        UsageError: there is no store at or below `source`.
        KitError: see `plates_of_parts`; or `work` holds another store.
    """
    source, work = existing_folder(source), Path(work)
    parts = find_parts(source)
    if not parts:
        raise UsageError(f"{source} holds no store: no {_STORE} in it or up to {_DEEPEST} folders below")
    plates = plates_of_parts(source, parts)
    (work / "plates").mkdir(parents=True, exist_ok=True)
    if (work / _STORE).exists() and (work / _STORE).read_text() != (parts[0] / _STORE).read_text():
        raise KitError(f"{work} holds a store of its own, other than {source}: name another folder")
    for plate, part in plates.items():
        for name in (f"plates/{plate}.zarr", f"plates/{plate}.parquet", f"cells/{plate}.parquet"):
            link = work / name
            if not link.exists() and (part / name).exists():
                link.parent.mkdir(exist_ok=True)
                link.unlink(missing_ok=True)  # one that leads nowhere any more
                link.symlink_to((part / name).absolute())
    shutil.copyfile(parts[0] / _STORE, work / _STORE)
    return list(plates)


def _stores(folder: Path) -> Iterator[Path]:
    start = len(folder.parts)
    for seen, (path, folders, files) in enumerate(os.walk(folder, followlinks=True)):
        here = Path(path)
        if _STORE in files:
            yield here
        if _STORE in files or len(here.parts) - start >= _DEEPEST or seen > _MOST_FOLDERS:
            folders.clear()
