"""The made plates' tables, in the format of the official ones: plate maps, compound metadata, load_data, the challenge's IDs."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from kit.config import CHANNELS
from kit.images.phantom.config import CellLine, PhantomConfig, library
from kit.images.phantom.files import Plate, exposure_time, image_name, plates, positions_m, row_column
from kit.streams import made_plate

PLATE_MAP = "MADE-Target_compound_platemap"

EXPERIMENT_COLUMNS = (
    "Batch", "Plate_Map_Name", "Assay_Plate_Barcode", "Perturbation", "Cell_type", "Time", "Density", "Antibiotics",
    "Cell_line", "Time_delay", "Times_imaged", "Anomaly", "Number_of_images",
)  # fmt: skip
COMPOUND_COLUMNS = ("broad_sample", "InChIKey", "pert_iname", "pubchem_cid", "gene", "pert_type", "control_type", "smiles")


def layout(config: PhantomConfig) -> dict[str, str]:
    """Return well -> broad_sample ("" is DMSO) in order of the wells, the same on every plate.

    One DMSO well is placed in each block of a grid over the 384 positions; compounds take random other positions.
    """
    rng = made_plate(config.seed, "positions")
    names = [f"{chr(ord('A') + row)}{column:02d}" for row in range(16) for column in range(1, 25)]
    blocks = [names[i * 384 // config.dmso_wells : (i + 1) * 384 // config.dmso_wells] for i in range(config.dmso_wells)]
    wells = {block[int(rng.integers(len(block)))]: "" for block in blocks}
    free = [name for name in names if name not in wells]
    samples = [compound.broad_sample for compound in library(config) for _ in range(config.wells_per_compound)]
    wells.update(zip((free[i] for i in rng.permutation(len(free))), samples, strict=False))
    return {name: wells[name] for name in names if name in wells}


def write_metadata(config: PhantomConfig, folder: Path, images: dict[str, int]) -> None:
    """Write the four official metadata files; `images` is the number of images of each plate."""
    folder.mkdir()
    experiment, barcodes = [], []
    for plate in plates(config):
        line = config.lines[plate.line].name
        experiment.append((config.batch, PLATE_MAP, plate.barcode, "compound", line, 48, 100, "absent", "Parental", "Day0", 1,
                           "none", images[plate.barcode]))  # fmt: skip
        barcodes.append((plate.barcode, PLATE_MAP))
    compounds = [(c.broad_sample, c.inchikey, c.name, "", "", "trt", "", "") for c in library(config)]
    dmso = ("", "IAZDPXIOMUYVGZ-UHFFFAOYSA-N", "DMSO", 679, "", "control", "negcon", "CS(=O)C")
    wells = [(well, sample, "DMSO") for well, sample in layout(config).items()]
    _write(folder / "experiment-metadata.tsv", EXPERIMENT_COLUMNS, experiment, "\t")
    _write(folder / "barcode_platemap.csv", ("Assay_Plate_Barcode", "Plate_Map_Name"), barcodes, ",")
    _write(folder / f"{PLATE_MAP}.txt", ("well_position", "broad_sample", "solvent"), wells, "\t")
    _write(folder / f"{PLATE_MAP.removesuffix('_platemap')}_metadata.tsv", COMPOUND_COLUMNS, [*compounds, dmso], "\t")


def write_load_data(config: PhantomConfig, folder: Path, plate: Plate, sites: list[tuple[str, int, int]]) -> None:
    """Write a plate's load_data.csv.gz; `sites` are (well, field number, cells seen), in order."""
    folder.mkdir(parents=True)
    channels = sorted(CHANNELS)
    order = {well: index for index, well in enumerate(layout(config))}
    places = positions_m(config, plate)
    rows = []
    for well, site, cells in sites:
        row, column = row_column(well)
        time = exposure_time(plate, order[well], site)
        entry: dict[str, float | str] = {"Count_Cells": float(cells), "Count_Nuclei": float(cells)}
        entry |= {f"FileName_Orig{name}": image_name(well, site, CHANNELS.index(name) + 1) for name in channels}
        entry |= {f"PathName_Orig{name}": f"images/{plate.folder}/Images/" for name in channels}
        entry |= {
            "Metadata_AbsPositionZ": 0.1345, "Metadata_AbsTime": time.isoformat(timespec="milliseconds"), "Metadata_BinningX": 4,
            "Metadata_BinningY": 4, "Metadata_ChannelID": 5, "Metadata_ChannelName": "HOECHST 33342", "Metadata_Col": column,
            "Metadata_ExposureTime": 0.01, "Metadata_FieldID": site, "Metadata_ImageResolutionX": config.pixel_um * 1e-6,
            "Metadata_ImageResolutionY": config.pixel_um * 1e-6, "Metadata_ImageSizeX": config.side,
            "Metadata_ImageSizeY": config.side, "Metadata_MainEmissionWavelength": 456, "Metadata_MainExcitationWavelength": 405,
            "Metadata_MaxIntensity": 65535, "Metadata_ObjectiveMagnification": 20, "Metadata_ObjectiveNA": 1,
            "Metadata_PlaneID": 1, "Metadata_Plate": plate.barcode, "Metadata_PositionX": f"{places[site - 1][0]:.9f}",
            "Metadata_PositionY": f"{places[site - 1][1]:.9f}", "Metadata_PositionZ": -2e-06, "Metadata_Row": row,
            "Metadata_Site": site, "Metadata_Well": well,
        }  # fmt: skip
        rows.append(entry)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (folder / "load_data.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def write_ids(config: PhantomConfig, path: Path) -> None:
    """Write the table of the challenge: ID, plate and well of every compound well, shuffled."""
    wells = [(plate.barcode, well) for plate in plates(config) for well, sample in layout(config).items() if sample]
    shuffled = (wells[i] for i in made_plate(config.seed, "ids").permutation(len(wells)))
    rows = [(number, *who) for number, who in enumerate(shuffled)]
    _write(path, ("ID", "Metadata_Plate", "Metadata_Well"), rows, ",")


def write_answers(config: PhantomConfig, path: Path) -> None:
    """Write the known answers: every parameter, and what each compound was made to do."""
    compounds = {c.broad_sample: {"pert_iname": c.name, "traits": c.traits} for c in library(config)}
    path.write_text(json.dumps({"made": True, "config": asdict(config), "compounds": compounds}, indent=1) + "\n")


def read_answers(path: Path) -> PhantomConfig:
    """Return the configuration that an answers.json was written for."""
    values = json.loads(path.read_text())["config"]
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return PhantomConfig(**values | {"lines": tuple(CellLine(**line) for line in values["lines"])})


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], delimiter: str) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
