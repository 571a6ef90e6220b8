"""How far each perturbation lies from the controls, to choose whose cells are shown. M wells, F features."""

import numpy as np
import pandas as pd

from kit.profiles.table import PLATE, WELL
from kit.report.context import Context, described

_MOST = 2048  # features that are looked at: of more every second, or third ...


def strengths(context: Context) -> tuple[pd.DataFrame, str]:
    """Return a row for each group and label with its strength, the strongest first in each group, and what it is made of.

    strength: root mean square over features of the mean difference from the controls of the plate, in their standard deviations
    (of all wells, where no well is a control). It is for choosing pictures, not a test.
    """
    profiles = context.profiles.profiles
    if profiles is not None:
        wells = described(profiles.who, profiles.labels.get("perturbation") or context.work.perturbation)
        wells["is_control"] = profiles.is_control_M
        step = -(-profiles.features_MF.shape[1] // _MOST)
        return _rank(wells, profiles.features_MF[:, ::step]), context.profiles.said
    sites = context.sites
    columns = [f"{channel}_{of}" for channel in context.work.channels for of in ("mean", "sd") if f"{channel}_{of}" in sites]
    means = sites.groupby([PLATE, WELL])[columns].mean().reset_index()
    wells = context.wells.merge(means, on=[PLATE, WELL], how="left")
    features_MF = np.log1p(wells[columns].to_numpy(dtype=np.float32))
    return _rank(wells, np.nan_to_num(features_MF)), "mean and spread of the counts of each channel"


def _rank(wells: pd.DataFrame, features_MF: np.ndarray) -> pd.DataFrame:
    control_M, plate_M = wells["is_control"].to_numpy(dtype=bool), wells[PLATE].to_numpy()
    base_M = control_M if control_M.any() else np.ones(len(wells), dtype=bool)
    centred_MF = np.array(features_MF, dtype=np.float32)
    for plate in np.unique(plate_M):
        here_M = plate_M == plate
        from_M = here_M & base_M if (here_M & base_M).any() else here_M
        centred_MF[here_M] -= centred_MF[from_M].mean(axis=0)
    rows = []
    for group in sorted(set(wells["group"])):
        in_group_M = (wells["group"] == group).to_numpy()
        sd_F = centred_MF[in_group_M & base_M if (in_group_M & base_M).sum() > 1 else in_group_M].std(axis=0)
        sd_F = np.where(sd_F > 0, sd_F, np.inf)
        treated = wells[in_group_M & ~control_M & (wells["label"] != "").to_numpy()]
        for label, at in treated.groupby("label").indices.items():
            mean_F = centred_MF[treated.index[at]].mean(axis=0) / sd_F
            rows.append((group, label, treated["name"].iloc[at[0]], float(np.sqrt(np.mean(mean_F**2)))))
    table = pd.DataFrame(rows, columns=["group", "label", "name", "strength"])
    return table.sort_values(["group", "strength"], ascending=[True, False], ignore_index=True)
