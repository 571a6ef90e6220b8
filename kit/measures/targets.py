"""What a compound acts on: the column that consistency is measured by."""

from dataclasses import dataclass

import numpy as np

from kit.challenge.columns import SAMPLE, Columns, columns_of, short
from kit.challenge.sections import Scored
from kit.images.metadata import Metadata
from kit.profiles.table import PLATE

USUAL = ("Metadata_target_list", "Metadata_target", "Metadata_moa", "Metadata_gene")  # the first that has a value is taken


@dataclass(frozen=True, slots=True)
class Targets:
    """text_M: of each row of the features, | between several, "" for none. name: the column; "" where there is none."""

    text_M: np.ndarray
    name: str


def find_targets(scored: Scored, column: str | None) -> Targets:
    """Return the targets of all wells: of `column`, of the official compound tables, or of the first usual column.

    Raises:
        UsageError: `column` is nowhere. KitError: a table that cannot be read.
    """
    features = scored.features
    columns = columns_of(features.who, scored.tables, features.called)
    if column:
        found = columns.find("--target", column)
        return Targets(columns.text(found).to_numpy(dtype=str), short(found))
    if isinstance(scored.tables, Metadata):
        official = _official(scored.tables, columns)
        if official.name:
            return official
    for name in USUAL:
        if columns.has(name) and (columns.text(name) != "").any():
            return Targets(columns.text(name).to_numpy(dtype=str), short(name))
    return Targets(np.full(len(features.who), "", dtype=str), "")


def _official(metadata: Metadata, columns: Columns) -> Targets:
    plates = columns.who[PLATE].astype(str)
    of_plate = {plate: metadata.targets(plate) for plate in plates.unique()}
    found = [of_plate[plate].get(sample, "") for plate, sample in zip(plates, columns.text(SAMPLE), strict=True)]
    return Targets(np.array(found, dtype=str), "target" if any(found) else "")
