"""SOURCE: where the plates of an ingest come from: a folder of plate folders (local or a URL), or a load_data table."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kit.errors import KitError, UsageError
from kit.files import existing_file, existing_folder
from kit.images.source.folders import Folder, ImageFile, Reader, is_url
from kit.images.source.load_data import images_of, read_load_data
from kit.images.source.plates import Plate, find_plates, list_plate
from kit.words import nearest, some


@dataclass(frozen=True)
class FolderSource:
    """Plate folders, as in the Cell Painting Gallery."""

    folder: Folder
    plates: dict[str, Folder]

    def plate(self, barcode: str) -> Plate:
        """Return the plate's files.

        Raises:
            KitError: none has the name of an image.
        """
        plate = list_plate(barcode, self.plates[barcode])
        if not plate.images:
            folder = self.plates[barcode].path
            raise KitError(f"no file in {folder} has a name like r01c01f01p01-ch1sk1fk1fl1.tiff")
        return plate

    def table(self, barcode: str) -> None:
        """Return None: positions come from other files."""
        return


@dataclass(frozen=True)
class TableSource:
    """A load_data.csv(.gz): any microscope's file names, image sizes and channels."""

    file: ImageFile
    rows: pd.DataFrame

    @property
    def folder(self) -> Folder:
        return Folder(self.file.path).parent

    @property
    def plates(self) -> dict[str, Folder]:
        return dict.fromkeys(sorted(self.rows["plate"].unique()), self.folder)

    def plate(self, barcode: str) -> Plate:
        """Return the plate's files."""
        return Plate(barcode, self.folder.path, images_of(self.table(barcode), self.file))

    def table(self, barcode: str) -> pd.DataFrame:
        """Return the plate's rows, which may hold positions."""
        return self.rows[self.rows["plate"] == barcode]


Source = FolderSource | TableSource


def open_source(source: str | Path, reader: Reader) -> Source:
    """Open a folder, a URL or a load_data table.

    Raises:
        UsageError: it does not exist, or has no plates.
        KitError: the table cannot be used.
    """
    text = str(source)
    if not text:
        raise UsageError("SOURCE is empty: give a folder of plates, a URL or a load_data.csv(.gz)")
    if text.endswith((".csv", ".csv.gz")):
        if not is_url(text):
            existing_file(Path(text))
        file = ImageFile(text)
        rows = read_load_data(file, reader)
        if "" in set(rows["plate"]):
            raise KitError(f"{text} has no column Metadata_Plate, or rows where it is empty")
        return TableSource(file, rows)
    if not is_url(text):
        existing_folder(Path(text), "need a folder of plates or a load_data.csv(.gz)")
    folder = Folder(text)
    return FolderSource(folder, find_plates(folder))


def choose_plates(there: Collection[str], named: tuple[str, ...]) -> list[str]:
    """Return the barcodes named, or all of them where none is.

    Raises:
        UsageError: a named plate does not exist; the message lists those that do.
    """
    missing = [barcode for barcode in named if barcode not in there]
    if missing:
        raise UsageError(f"--plates {missing[0]}: no such plate{nearest(missing[0], there)}; available: {some(list(there))}")
    return [barcode for barcode in there if not named or barcode in named]
