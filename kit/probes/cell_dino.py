"""Cell-DINO's evaluation of Cell Painting features: means up to treatments, sphering, mechanisms and treatments named.

As the paper has it: means of cells, fields, wells, then treatments; sphering right after the wells, with and without it;
mechanisms named by a trained classifier, area under the precision-recall curve over 10 runs; highest dose and DMSO only.
The paper names neither classifiers, folds nor k-NN's k and metric: `classify` and `tasks` say ours.
Source: Cell-DINO (doi:10.1371/journal.pcbi.1013828), tables 1, 3 and 4.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.errors import KitError, UsageError
from kit.probes.rows import CONTROL, DOSE, LABEL, MECHANISM, Asked, Rows, check_mechanisms, read_rows, treatments
from kit.probes.tasks import mechanism_task, treatment_task
from kit.profiles.table import PLATE
from kit.profiles.whiten import RIDGE, Sphering, covariance

RUNS = 10
NEIGHBOURS = 5
UNITS = ("treatments", "wells")


def cell_dino(
    files: Sequence[Path],
    metadata: Path | None = None,
    *,
    asked: Asked,
    unit: str = "treatments",
    ridge: float = RIDGE,
    k: int = NEIGHBOURS,
    runs: int = RUNS,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the scores of a feature set.

    Keys: what was read (level, rows, wells, plates, treatments, controls, features, dropped, at_lower_doses, dose), unit, seeds,
    sphering (its facts, or {"reason"}) and tasks: mechanism and treatment, see `tasks`, each with scores or {"scores": null,
    "reason"}.

    Args:
        files: features with Metadata_Plate and Metadata_Well, a file or several, or a folder; a row a cell, a field or a well.
        metadata: folder of the official tables. asked: the columns that say what is in a well.
        unit: what the mechanism is named from, the mean of a treatment (the paper's text) or its wells (its section on MoA).
        ridge: of the sphering, see `Sphering`. k: of the nearest neighbours among rows. runs: seeds, from `seed` on.

    Raises:
        UsageError: no such file or column. KitError: features that cannot be used, nothing that can be asked of them.
    """
    if unit not in UNITS:
        raise UsageError(f"--unit {unit}: need {' or '.join(UNITS)}")
    rows = read_rows(files, metadata, asked)
    wells, seeds = rows.wells(), list(range(seed, seed + runs))
    sphering = fit(wells, ridge)
    at = {"sphered": sphering} if isinstance(sphering, Sphering) else {}
    named = _units(wells, unit)
    variants = {name: _units(wells.with_features(turn(wells.features_RF)), unit).features_RF for name, turn in at.items()}
    mechanism = mechanism_task(variants | {"plain": named.features_RF}, named.who, rows.columns[MECHANISM], seeds)
    variants = {name: turn(rows.features_RF) for name, turn in at.items()}
    treatment = treatment_task(variants | {"plain": rows.features_RF}, rows.who, rows.columns[LABEL], seeds, k)
    if mechanism["scores"] is None and treatment["scores"] is None:
        raise KitError(
            f"{rows.called}: neither mechanism ({mechanism['reason']}) nor treatment ({treatment['reason']}) can be scored"
        )
    return {
        "benchmark": "cell-dino",
        **_read(rows, wells),
        "unit": unit,
        "seeds": seeds,
        "sphering": sphering.facts | {"controls": int(wells.who[CONTROL].sum())} if isinstance(sphering, Sphering) else sphering,
        "tasks": {"mechanism": mechanism, "treatment": treatment},
    }


def fit(wells: Rows, ridge: float) -> Sphering | dict[str, str]:
    """Return the sphering by the control wells, or why there is none."""
    controls_CF = wells.features_RF[wells.who[CONTROL].to_numpy(dtype=bool)].astype(np.float64)
    if len(controls_CF) < 2:
        return {
            "reason": f"{len(controls_CF) or 'no'} control well{'s' * (not len(controls_CF))}: --control VALUE names the control"
        }
    mean_F = controls_CF.mean(axis=0)
    of = covariance(controls_CF - mean_F)
    if not len(of.variance_R):
        return {"reason": f"the {len(controls_CF)} control wells are identical"}
    return Sphering(mean_F.astype(np.float32), of, ridge)


def _units(wells: Rows, unit: str) -> Rows:
    if unit == "treatments":
        return treatments(wells)
    treated = wells.taken((wells.who[LABEL] != "").to_numpy())
    check_mechanisms(treated)
    return treated


def _read(rows: Rows, wells: Rows) -> dict[str, Any]:
    return {
        "level": rows.level,
        "rows": len(rows.who),
        "wells": len(wells.who),
        "plates": int(wells.who[PLATE].nunique()),
        "treatments": int((wells.who[LABEL].unique() != "").sum()),
        "controls": int(wells.who[CONTROL].sum()),
        "features": rows.features_RF.shape[1],
        "dropped": rows.dropped,
        "at_lower_doses": rows.left_out,
        "dose": rows.columns[DOSE] or None,
    }
