"""SOURCE: where the plates of an ingest come from: a folder of plate folders (local or a URL), or a load_data table."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from kit.errors import KitError, UsageError
from kit.files import existing_file, existing_folder
from kit.images.source.cell_source import ENDINGS, CellSource
from kit.images.source.find import find_plates, no_names_known
from kit.images.source.folders import Folder, ImageFile, Reader, is_url
from kit.images.source.load_data import images_of, read_load_data
from kit.images.source.planes import count_channels
from kit.images.source.plates import ALL, Pick, Plate, list_plate
from kit.images.source.tiff import BadImage
from kit.words import nearest, some

_TRIES = 8  # files of a plate to open, to see how many channels one holds


@dataclass(frozen=True)
class FolderSource:
    """Plate folders, as microscopes leave them."""

    folder: Folder
    plates: dict[str, Folder]
    reader: Reader
    pick: Pick = ALL  # of z-stacks and time series

    def plate(self, barcode: str) -> Plate:
        """Return the plate's files.

        Raises:
            KitError: none has the name of an image, or see `kit.images.source.plates.list_plate`.
        """
        folder = self.plates[barcode]
        plate = list_plate(barcode, folder, self.pick)
        if not plate.images:
            raise KitError(f"{folder.path}: {no_names_known(folder)[0]}")
        return _with_channels(plate, self.reader)

    def table(self, barcode: str) -> None:
        """Return None: positions come from other files."""
        return


def _with_channels(plate: Plate, reader: Reader) -> Plate:
    """Return a plate whose file names have no channel with those that its files hold: ch1, or ch1 to chC of C planes."""
    if plate.channels != ("",):
        return plate
    files = plate.files()
    for file in files[:_TRIES]:
        try:
            planes = count_channels(reader(file))
            break
        except FileNotFoundError:
            continue
        except BadImage as error:
            reason = f"{file.path}: {error}"
    else:
        raise KitError(reason)
    images = {
        key: {
            f"ch{number}": file if planes == 1 else replace(file, plane=number, planes=planes) for number in range(1, planes + 1)
        }
        for key, by_channel in plate.images.items()
        for file in by_channel.values()
    }
    return replace(plate, images=images)


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


Source = FolderSource | TableSource | CellSource


def open_source(source: str | Path, reader: Reader, pick: Pick = ALL) -> Source:
    """Open a folder, a URL or a load_data table; `pick` says which images of a z-stack or time series to take from a folder.

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
        if pick != ALL:
            raise UsageError("--plane and --time are for folders: a load_data table names each file itself")
        return TableSource(file, rows)
    if text.lower().endswith(ENDINGS):
        raise UsageError(f"{text} is an array of single cells: also give their table with --cells FILE.csv")
    if not is_url(text):
        existing_folder(Path(text), "need a folder of plates or a load_data.csv(.gz)")
    folder = Folder(text)
    return FolderSource(folder, find_plates(folder), reader, pick)


def choose_plates(there: Collection[str], named: tuple[str, ...]) -> list[str]:
    """Return the barcodes named, or all of them where none is.

    Raises:
        UsageError: a named plate does not exist; the message lists those that do.
    """
    missing = [barcode for barcode in named if barcode not in there]
    if missing:
        raise UsageError(f"--plates {missing[0]}: no such plate{nearest(missing[0], there)}; available: {some(list(there))}")
    return [barcode for barcode in there if not named or barcode in named]
