"""Made cells: plates with an offset of their own, treatments of a few mechanisms, DMSO wells; two fields a well."""

import numpy as np
import pandas as pd


def cells(
    *, plates: int = 3, treatments: int = 8, mechanisms: int = 2, dmso: int = 4, features: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Return the table. The last field of a well has one cell more than the first, so that means of means differ from means."""
    rng = np.random.default_rng(seed)
    centre_TF = 1.5 * rng.standard_normal((mechanisms, features))[np.arange(treatments) % mechanisms]
    rows = []
    for plate in range(plates):
        offset_F = 2 * rng.standard_normal(features)
        for well in range(treatments + dmso):
            treated = well < treatments
            who = {
                "Metadata_Plate": f"P{plate}",
                "Metadata_Well": f"{'ABCDEFGH'[well // 4]}{well % 4 + 1:02d}",
                "Metadata_broad_sample": f"BRD-{well:02d}" if treated else "",
                "Metadata_moa": f"m{well % mechanisms}" if treated else "",
            }
            for site in (1, 1, 2, 2, 2):
                x_F = offset_F + (centre_TF[well] if treated else 0) + rng.standard_normal(features)
                rows.append({**who, "Metadata_Site": site, **{f"x{index}": value for index, value in enumerate(x_F)}})
    return pd.DataFrame(rows)
