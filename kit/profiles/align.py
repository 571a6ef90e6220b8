"""Cross-plate alignment: pull each well towards the mean of its position over all plates.

If all plates share one plate map, position determines the compound: this step then leaks the label into features that
hold none (pure noise scores far above chance after it). It is off by default, and files made with it say so.
"""

import numpy as np

from kit.errors import UsageError
from kit.profiles.table import WELL, Profiles


def align(profiles: Profiles, a: float) -> Profiles:
    """Return z <- a z + (1 - a) mean of z over all plates at the same well position.

    Source: SSLProfiler 1, section 3.4.3.

    Raises:
        UsageError: a is not in [0, 1].
    """
    if not 0 <= a <= 1:
        raise UsageError(f"--align {a}: need a share of the well's own features, 0 to 1")
    aligned_MF = np.empty_like(profiles.features_MF)
    for rows in profiles.who.groupby(WELL).indices.values():
        here_PF = profiles.features_MF[rows]
        aligned_MF[rows] = a * here_PF + (1 - a) * here_PF.mean(axis=0, dtype=np.float64).astype(np.float32)
    return profiles.after(aligned_MF, step="align", a=a, uses_well_position=True)
