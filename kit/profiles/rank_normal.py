"""The rank-based inverse normal transform: every feature takes the values of a normal distribution, in the order it has.

It sums over compounds, controls and positions alike, so a shuffle of wells within their plates shuffles its result.
M wells, F features.
"""

import numpy as np

from kit.profiles.table import PLATE, Profiles

BLOM = 3 / 8  # offset of the ranks; Blom 1958, Statistical Estimates and Transformed Beta-Variables
_CHUNK = 512  # columns ranked together


def rank_normal(profiles: Profiles, over: str) -> Profiles:
    """Replace every value by the normal quantile of its rank among the wells of its plate, or of all plates.

    over: `none`; `plate`; `all`: all wells of all plates together, as the JUMP consortium's recipes do after MAD scaling.

    Source: Arevalo et al. 2024 (doi:10.1038/s41467-024-50613-5).
    """
    if over == "none":
        return profiles
    assert over in ("plate", "all"), over
    out_MF, plates = np.empty_like(profiles.features_MF), profiles.who[PLATE].to_numpy()
    groups = [plates == plate for plate in np.unique(plates)] if over == "plate" else [np.ones(len(plates), dtype=bool)]
    for here_M in groups:
        for start in range(0, len(profiles.names), _CHUNK):
            columns = slice(start, start + _CHUNK)
            out_MF[here_M, columns] = normal_scores(profiles.features_MF[here_M, columns])
    return profiles.after(out_MF, step="rank_normal", over=over, offset=BLOM)


def normal_scores(values_MF: np.ndarray, offset: float = BLOM) -> np.ndarray:
    """Return the normal quantile of (rank - offset) / (M + 1 - 2 offset) of every value in its column, float64 [M, F].

    Equal values have the mean of their ranks, so a constant column becomes 0.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata  # takes half a second to import

    return ndtri((rankdata(values_MF, axis=0) - offset) / (len(values_MF) + 1 - 2 * offset))
