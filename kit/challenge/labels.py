"""Cell line and compound of each well, always from the official tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.images.metadata import Metadata, read_metadata
from kit.profiles.table import PLATE, WELL

LABELS = {"broad_sample": "Metadata_broad_sample", "pert_iname": "Metadata_pert_iname", "inchikey": "Metadata_InChIKey"}


def label_wells(who: pd.DataFrame, metadata: Path | str | Metadata | pd.DataFrame, label: str) -> pd.DataFrame:
    """Return Metadata_Plate, Metadata_Well, line, label and is_control, row for row with `who`.

    Args:
        metadata: folder of the official tables, the tables read, or the wells of a work folder (`Work.wells`).

    Raises:
        KitError: a plate or well the tables do not have, a compound without this label, or a Metadata_broad_sample in
            `who` that the plate map contradicts.
    """
    known = metadata if isinstance(metadata, pd.DataFrame) else _known_wells(who, metadata)
    rows = pd.MultiIndex.from_frame(known[[PLATE, WELL]]).get_indexer(pd.MultiIndex.from_frame(who[[PLATE, WELL]]))
    if (rows < 0).any():
        first = who[rows < 0].iloc[0]
        raise KitError(f"well {first[WELL]} of plate {first[PLATE]} is not in its plate map")
    known = known.iloc[rows].reset_index(drop=True)
    _check_samples(who, known)
    found = known[[PLATE, WELL]].assign(
        line=known["Metadata_Cell_type"], label=known[LABELS[label]], is_control=known["Metadata_is_control"].astype(bool)
    )
    blank = found[~found["is_control"] & (found["label"] == "")]
    if len(blank):
        first = blank.iloc[0]
        raise KitError(f"the compound in well {first[WELL]} of plate {first[PLATE]} has no {label}: use --label broad_sample")
    return found


def _known_wells(who: pd.DataFrame, metadata: Path | str | Metadata) -> pd.DataFrame:
    tables = metadata if isinstance(metadata, Metadata) else read_metadata(Path(metadata))
    return pd.concat([tables.wells(plate) for plate in sorted(who[PLATE].unique())], ignore_index=True)


def _check_samples(who: pd.DataFrame, known: pd.DataFrame) -> None:
    if "Metadata_broad_sample" not in who:
        return
    said = who["Metadata_broad_sample"].fillna("").astype(str).replace("DMSO", "").to_numpy()
    official = known["Metadata_broad_sample"].to_numpy(dtype=str)
    wrong = np.flatnonzero(said != official)
    if len(wrong):
        row = wrong[0]
        raise KitError(
            f"well {who[WELL].iloc[row]} of plate {who[PLATE].iloc[row]}: the features say Metadata_broad_sample "
            f"{said[row] or 'empty (DMSO)'}, the plate map says {official[row] or 'empty (DMSO)'}"
        )
