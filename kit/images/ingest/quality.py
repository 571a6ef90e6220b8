"""Quality columns of a site: saturation, focus, empty field. They only flag; nothing is dropped."""

import numpy as np
import pandas as pd

from kit.config.channels import BRIGHTFIELD, Groups

EMPTY_CONTRAST = (
    0.3  # below it in every fluorescent channel a field holds no cells; fields of CPJUMP1 with cells have 0.4 to 0.98
)
BLURRED = 0.5  # of the plate's median focus


def add_quality(table: pd.DataFrame, groups: Groups, pixels: int) -> pd.DataFrame:
    """Return a plate's sites table with three more columns; `groups` are those of its channels.

    saturated_share: share of the pixels at the camera's largest count, of the channel that has most.
    focus: the channel's focus (see `kit.images.store.levels.focus_of`) over the plate's median, of the channel that falls lowest.
    empty: (high - low) / (high + low) of the counts at percentiles 99.5 and 0.5 is below 0.3 in every channel that is
        not in the group brightfield: an image of transmitted light is never dark between cells.
    """
    measured = [channel for channels in groups.values() for channel in channels if f"{channel}_focus" in table]
    saturated = pd.DataFrame({channel: _numbers(table, channel, "saturated") for channel in measured})
    focus = pd.DataFrame({channel: _numbers(table, channel, "focus") for channel in measured})
    columns = {
        "saturated_share": saturated.max(axis=1) / pixels,
        "focus": (focus / focus.median().replace(0, np.nan)).min(axis=1),
        "empty": empty_sites(table, groups),
    }
    at = list(table).index("channels") + 1
    return pd.concat([table.iloc[:, :at], pd.DataFrame(columns, index=table.index), table.iloc[:, at:]], axis=1)


def empty_sites(table: pd.DataFrame, groups: Groups) -> pd.Series:
    """Return column `empty` of a plate's sites table, see `add_quality`."""
    stained = [name for group, names in groups.items() if group != BRIGHTFIELD for name in names if f"{name}_low" in table]
    contrast = pd.DataFrame({channel: _contrast(table, channel) for channel in stained}, index=table.index)
    return (contrast < EMPTY_CONTRAST).sum(axis=1).eq(contrast.notna().sum(axis=1)) & contrast.notna().any(axis=1)


def _contrast(table: pd.DataFrame, channel: str) -> pd.Series:
    low, high = _numbers(table, channel, "low"), _numbers(table, channel, "high")
    return (high - low) / (high + low).replace(0, np.nan)


def _numbers(table: pd.DataFrame, channel: str, name: str) -> pd.Series:
    return table[f"{channel}_{name}"].astype("float64")
