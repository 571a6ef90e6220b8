"""Wells that nobody measured: a submission needs a row for each of its IDs. M wells, F features."""

from dataclasses import replace

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.profiles.table import PLATE, WELL, Profiles


def fill_wells(profiles: Profiles, wells: pd.DataFrame) -> Profiles:
    """Return the profiles with those of `wells` (Metadata_Plate, Metadata_Well) added that they lack: the mean of their plate.

    An added well has no label and is no control. The mean is that of all wells of the plate, so it reads neither a label nor
    a position.

    Raises:
        KitError: a plate has no well at all.
    """
    there = pd.MultiIndex.from_frame(profiles.who[[PLATE, WELL]])
    lacking = wells.loc[~pd.MultiIndex.from_frame(wells[[PLATE, WELL]]).isin(there), [PLATE, WELL]]
    if lacking.empty:
        return profiles
    plates = profiles.who[PLATE].to_numpy()
    none = sorted(set(lacking[PLATE]) - set(plates))
    if none:
        raise KitError(f"no well of plate {none[0]} has a profile, and {len(none)} of the plates with an ID have none")
    means = {plate: profiles.features_MF[plates == plate].mean(axis=0) for plate in lacking[PLATE].unique()}
    added_MF = np.stack([means[plate] for plate in lacking[PLATE]])
    who = pd.concat([profiles.who, lacking], ignore_index=True)
    if "Metadata_is_control" in who:
        who["Metadata_is_control"] = who["Metadata_is_control"].astype("boolean").fillna(False).astype(bool)
    whole = replace(profiles, features_MF=np.concatenate([profiles.features_MF, added_MF]), who=who)
    return whole.after(whole.features_MF, step="fill", wells=len(lacking), by="the mean of the plate")
