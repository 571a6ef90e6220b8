"""Labels of plates and wells from the official tables: cell line, time, compound. No other table is needed.

experiment-metadata.tsv                          one row per plate: batch, plate map, cell line (column Cell_type), time ...
barcode_platemap.csv                             barcode -> plate map
<plate map>.txt                                  well -> broad_sample; empty is DMSO
<plate map without _platemap>_metadata.tsv       broad_sample -> name, InChIKey, type
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from kit.errors import KitError, UsageError
from kit.files import existing_folder
from kit.images.names import normalise_wells

_PLATE_COLUMNS = ("Batch", "Plate_Map_Name", "Assay_Plate_Barcode", "Cell_type")
_COMPOUND_COLUMNS = ("InChIKey", "pert_iname", "pert_type", "control_type")
_DMSO = {"InChIKey": "", "pert_iname": "DMSO", "pert_type": "control", "control_type": "negcon"}
LABEL_COLUMNS = ("Metadata_broad_sample", *(f"Metadata_{name}" for name in _COMPOUND_COLUMNS))


@dataclass(frozen=True)
class Metadata:
    """The official tables of one or more batches.

    `plates`: one row per plate, columns Metadata_Plate, Metadata_Batch, Metadata_Plate_Map_Name, Metadata_Cell_type and
    whatever else experiment-metadata.tsv has, all text.
    """

    folder: Path
    plates: pd.DataFrame
    _maps: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    _wells: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)

    def is_known(self, plate: str) -> bool:
        """Return whether experiment-metadata.tsv has the plate."""
        return plate in self._rows

    def is_labelled(self, plate: str) -> bool:
        """Return whether the plate is known and has its plate map and compound table."""
        return self.why_unlabelled(plate) == ""

    def why_unlabelled(self, plate: str) -> str:
        """Return what is missing for the plate's labels, in words; empty if nothing is."""
        if not self.is_known(plate):
            return "not in experiment-metadata.tsv"
        plate_map = self._rows[plate]["Metadata_Plate_Map_Name"]
        for name in (f"{plate_map}.txt", compound_table(plate_map)):
            if _find(self.folder, name) is None:
                return f"{name} is missing"
        return ""

    @property
    def columns(self) -> list[str]:
        """The columns that a labelled well has, without plate and well."""
        of_plates = [column for column in map(str, self.plates) if column != "Metadata_Plate"]
        return list(dict.fromkeys([*LABEL_COLUMNS, *of_plates]))

    def batch(self, plate: str) -> str:
        """Return the plate's batch; empty where the plate is unknown."""
        return self._rows[plate]["Metadata_Batch"] if self.is_known(plate) else ""

    def of_plate(self, plate: str) -> dict[str, str]:
        """Return the plate's own columns (Metadata_Cell_type ...); empty where it is unknown."""
        return dict(self._rows.get(plate, {}))

    def wells(self, plate: str) -> pd.DataFrame:
        """Return one row per well of the plate map, in plate order.

        Columns: Metadata_Plate, Metadata_Well, Metadata_broad_sample ("" is DMSO), Metadata_is_control (DMSO only),
        Metadata_InChIKey, Metadata_pert_iname, Metadata_pert_type, Metadata_control_type, and the plate's own.

        Raises:
            KitError: the plate has no labels, or a table lacks a column.
        """
        reason = self.why_unlabelled(plate)
        if reason:
            raise KitError(f"plate {plate} has no labels in {self.folder}: {reason}")
        if plate not in self._wells:
            of_plate = self.of_plate(plate)
            plate_map = of_plate["Metadata_Plate_Map_Name"]
            if plate_map not in self._maps:
                self._maps[plate_map] = _read_plate_map(self.folder, plate_map)
            wells = self._maps[plate_map].copy()
            wells.insert(0, "Metadata_Plate", plate)
            self._wells[plate] = wells.assign(**{key: value for key, value in of_plate.items() if key not in wells})
        return self._wells[plate].copy()

    def targets(self, plate: str) -> dict[str, str]:
        """Return the targets of the plate's compounds, by broad_sample, | between several; a compound without one is absent.

        From column target_list of <plate map without _platemap>_metadata_targets.tsv, else from gene of the compound table.

        Raises:
            KitError: a table that cannot be read.
        """
        compounds = compound_table(self._rows[plate]["Metadata_Plate_Map_Name"]) if self.is_known(plate) else ""
        for name, column in ((f"{compounds.removesuffix('.tsv')}_targets.tsv", "target_list"), (compounds, "gene")):
            path = _find(self.folder, name) if compounds else None
            table = _read_table(path, ("broad_sample",)) if path is not None else pd.DataFrame()
            if column in table:
                rows = zip(table["broad_sample"], table[column], strict=True)
                return {sample: targets for sample, targets in rows if sample and targets}
        return {}

    @functools.cached_property
    def _rows(self) -> dict[str, dict[str, str]]:
        rows = self.plates.to_dict("records")
        return {row["Metadata_Plate"]: {str(column): value for column, value in row.items()} for row in rows}


def read_metadata(folder: Path) -> Metadata:
    """Read the official tables of `folder` (subfolders are searched too, as in the CPJUMP1 repository).

    Raises:
        UsageError: no such folder, or it has no experiment-metadata.tsv.
        KitError: a table lacks a column or two tables disagree; the message names file and column.
    """
    folder = existing_folder(folder, "need the folder of the official tables, including experiment-metadata.tsv")
    path = _find(folder, "experiment-metadata.tsv")
    if path is None:
        raise UsageError(f"{folder} has no experiment-metadata.tsv (it gives each plate's batch, plate map and cell line)")
    plates = _read_table(path, _PLATE_COLUMNS)
    plates = plates.rename(columns={"Assay_Plate_Barcode": "Plate"}).add_prefix("Metadata_")
    plates = _one_row_each(plates, path)
    _check_barcodes(folder, plates)
    return Metadata(folder, plates)


def compound_table(plate_map: str) -> str:
    """Return the file name of a plate map's compound table: X_platemap has X_metadata.tsv."""
    return f"{plate_map.removesuffix('_platemap')}_metadata.tsv"


def _one_row_each(plates: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep a plate's first row: re-imaged plates are listed once per batch, with the same cells and map."""
    key = ["Metadata_Plate", "Metadata_Plate_Map_Name", "Metadata_Cell_type"]
    unlike = plates.drop_duplicates(key)["Metadata_Plate"]
    if unlike.duplicated().any():
        plate = unlike[unlike.duplicated()].iloc[0]
        raise KitError(f"{path}: the rows of plate {plate} disagree on its plate map or cell line")
    return plates.drop_duplicates("Metadata_Plate").reset_index(drop=True)


def _check_barcodes(folder: Path, plates: pd.DataFrame) -> None:
    """Check barcode_platemap.csv against experiment-metadata.tsv for plates in both."""
    path = _find(folder, "barcode_platemap.csv")
    if path is None:
        return
    maps = _read_table(path, ("Assay_Plate_Barcode", "Plate_Map_Name")).set_index("Assay_Plate_Barcode")["Plate_Map_Name"]
    for plate, plate_map in zip(plates["Metadata_Plate"], plates["Metadata_Plate_Map_Name"], strict=True):
        if plate in maps.index and maps[plate] != plate_map:
            raise KitError(f"plate {plate}: experiment-metadata.tsv says plate map {plate_map}, {path.name} says {maps[plate]}")


def _read_plate_map(folder: Path, plate_map: str) -> pd.DataFrame:
    path, compound_path = _find(folder, f"{plate_map}.txt"), _find(folder, compound_table(plate_map))
    assert path is not None, plate_map  # the plate is labelled
    assert compound_path is not None, plate_map
    wells = _read_table(path, ("well_position", "broad_sample"))
    wells["Metadata_Well"] = normalise_wells(wells["well_position"], path)
    repeated = wells["Metadata_Well"][wells["Metadata_Well"].duplicated()]
    if len(repeated):
        raise KitError(f"{path}: well {repeated.iloc[0]} has more than one row")
    # The official map leaves DMSO empty; some tables write the word.
    sample = wells["broad_sample"].where(wells["broad_sample"] != "DMSO", "")
    compounds = _read_table(compound_path, ("broad_sample", *_COMPOUND_COLUMNS))
    compounds = compounds.drop_duplicates("broad_sample").set_index("broad_sample")[list(_COMPOUND_COLUMNS)]
    compounds.loc[""] = _DMSO
    labels = compounds.reindex(sample).fillna("").add_prefix("Metadata_").reset_index(drop=True)
    table = pd.DataFrame({"Metadata_Well": wells["Metadata_Well"], "Metadata_broad_sample": sample})
    return pd.concat([table, (sample == "").rename("Metadata_is_control"), labels], axis=1)


def _find(folder: Path, name: str) -> Path | None:
    direct = folder / name
    return direct if direct.is_file() else min(folder.rglob(name), default=None)


def _read_table(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a table as text, empty cells as "", and check that the needed columns exist."""
    try:
        table = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise KitError(f"{path} cannot be read as a table: {error}") from error
    missing = [column for column in needed if column not in table]
    if missing:
        between = "" if table.shape[1] > 1 else f"; {'commas' if path.suffix == '.csv' else 'tabs'} separate its columns"
        raise KitError(f"{path} has no column {missing[0]}; it has: {', '.join(map(str, table))}{between}")
    return table
