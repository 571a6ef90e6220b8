"""Lay out what becomes a data set: the files of a folder as links, each folder in it as one archive, which Kaggle unpacks.

The kaggle command line uploads the files of one folder and skips folders. Archives are not compressed again, and made from the
same files they are the same bytes. A layout stays where it is until it has been uploaded, so that an upload can go on.
"""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kit.errors import KitError
from kit.files import file_sha256, whole_file, write_whole
from kit.kaggle.metadata import DATASET, NOTEBOOK
from kit.model.footprint import gb
from kit.progress import progress

_OF_KAGGLE = (DATASET, NOTEBOOK)  # described anew, not data
_DIGEST = ".digest"  # a name that kit leaves out of data sets: it is beside the folder that is uploaded
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip knows
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What becomes one file of a data set. name: its name there, NAME.zip for an archive; files: path in it -> path here."""

    name: str
    files: dict[str, Path]
    archive: bool

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(path.stat().st_size for path in self.files.values())


def pieces_of(folder: Path) -> list[Piece]:
    """Return the files of a folder and its sub-folders as pieces; hidden and half-written files are left out.

    Raises:
        KitError: a file has the name of a sub-folder's archive.
    """
    pieces = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _OF_KAGGLE:
            continue
        if path.is_file():
            pieces.append(Piece(name=path.name, files={path.name: path}, archive=False))
        elif path.is_dir() and (files := files_below(path)):
            pieces.append(Piece(name=f"{path.name}.zip", files=files, archive=True))
    names = [piece.name for piece in pieces]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise KitError(f"{folder} holds {twice} and a folder {twice.removesuffix('.zip')}: one of them would replace the other")
    return pieces


def files_below(folder: Path) -> dict[str, Path]:
    """Return path relative to the folder -> path, of every file that is not hidden, sorted."""
    found: dict[str, Path] = {}
    for path, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(path)
        found |= {str((here / name).relative_to(folder)): here / name for name in files if not name.startswith(".")}
    return dict(sorted(found.items()))


def digest_of(pieces: Iterable[Piece]) -> str:
    """Return a hash of names and contents. Of pixels only names and sizes count: their checksums are in the plates' tables."""
    found = hashlib.sha256()
    for piece in pieces:
        for name, path in piece.files.items():
            inside = file_sha256(path) if ".zarr/" not in f"{name}" else str(path.stat().st_size)
            found.update(f"{piece.name}\0{name}\0{inside}\n".encode())
    return found.hexdigest()


def lay_out(pieces: list[Piece], stage: Path, digest: str) -> Path:
    """Return the folder below `stage` that the kaggle command uploads; one made before with the same digest stays as it is.

    Raises:
        KitError: there is no room for its archives.
    """
    folder, said = stage / "upload", stage / _DIGEST
    if said.is_file() and said.read_text() == digest and all((folder / piece.name).is_file() for piece in pieces):
        return folder
    clear(stage)
    folder.mkdir(parents=True)
    need, free = sum(piece.size for piece in pieces if piece.archive), shutil.disk_usage(stage).free
    if need > free:
        raise KitError(
            f"{stage} has {gb(free)} left and the archives take {gb(need)}: free some, or name another folder with --stage"
        )
    for piece in pieces:
        if piece.archive:
            _pack(piece, folder / piece.name)
        else:
            (path,) = piece.files.values()
            (folder / piece.name).symlink_to(path.absolute())
    write_whole(said, digest)
    return folder


def clear(stage: Path) -> None:
    """Delete a layout."""
    (stage / _DIGEST).unlink(missing_ok=True)
    shutil.rmtree(stage / "upload", ignore_errors=True)


def _pack(piece: Piece, path: Path) -> None:
    total = max(1, piece.size // 1_000_000)
    with (
        whole_file(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
        progress(total=total, label=f"packing {piece.name}", unit=" MB") as bar,
    ):
        done = 0
        for name, file in piece.files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = 0o644 << 16
            size = file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w", force_zip64=size >= 1 << 31) as target:
                shutil.copyfileobj(source, target, _CHUNK)
            done += size
            bar.update(done // 1_000_000 - bar.n)
