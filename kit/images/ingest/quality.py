"""Quality columns of a site: saturation, focus, empty field. They only flag; nothing is dropped."""

import numpy as np
import pandas as pd

from kit.config import CHANNEL_GROUPS

EMPTY_CONTRAST = (
    0.3  # below it in every fluorescent channel a field holds no cells; fields of CPJUMP1 with cells have 0.4 to 0.98
)
BLURRED = 0.5  # of the plate's median focus


def add_quality(table: pd.DataFrame, channels: tuple[str, ...], pixels: int) -> pd.DataFrame:
    """Return a plate's sites table with three more columns.

    saturated_share: share of the pixels at the largest value of the file's type, of the channel that has most.
    focus: the channel's focus (see `kit.images.store.levels.focus_of`) over the plate's median, of the channel that falls lowest.
    empty: (high - low) / (high + low) of the counts at percentiles 99.5 and 0.5 is below 0.3 in every fluorescent channel.
    """
    measured = [channel for channel in channels if f"{channel}_focus" in table]
    saturated = pd.DataFrame({channel: _numbers(table, channel, "saturated") for channel in measured})
    focus = pd.DataFrame({channel: _numbers(table, channel, "focus") for channel in measured})
    stained = [channel for channel in measured if not is_brightfield(channel)]
    contrast = pd.DataFrame({channel: _contrast(table, channel) for channel in stained}, index=table.index)
    columns = {
        "saturated_share": saturated.max(axis=1) / pixels,
        "focus": (focus / focus.median().replace(0, np.nan)).min(axis=1),
        "empty": (contrast < EMPTY_CONTRAST).sum(axis=1).eq(contrast.notna().sum(axis=1)) & contrast.notna().any(axis=1),
    }
    at = list(table).index("channels") + 1
    return pd.concat([table.iloc[:, :at], pd.DataFrame(columns, index=table.index), table.iloc[:, at:]], axis=1)


def is_brightfield(channel: str) -> bool:
    """Return whether a channel shows transmitted light, by its name: such an image is never dark between cells."""
    return channel in CHANNEL_GROUPS["brightfield"] or "bright" in channel.lower()


def _contrast(table: pd.DataFrame, channel: str) -> pd.Series:
    low, high = _numbers(table, channel, "low"), _numbers(table, channel, "high")
    return (high - low) / (high + low).replace(0, np.nan)


def _numbers(table: pd.DataFrame, channel: str, name: str) -> pd.Series:
    return table[f"{channel}_{name}"].astype("float64")
