"""Leave out the features that follow the well's position: those whose controls repeat it from plate to plate.

Controls hold one treatment, so whatever of them comes back at the same position of every plate is the position: an edge, a
row of the dispenser. Only controls are looked at, never compounds, and a feature is left out for all wells or for none.
P plates, N control positions, F features.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from kit.errors import KitError
from kit.profiles.controls import choose_controls
from kit.profiles.table import PLATE, WELL, Profiles
from kit.words import count

_CHUNK = 256  # columns correlated together
_LEAST = 3  # positions


def select_by_controls(profiles: Profiles, most: float) -> Profiles:
    """Keep the features whose controls correlate at most `most` between plates, position by position.

    Raises:
        KitError: fewer than two plates, fewer than three positions that are controls on every plate, or no feature is kept.
    """
    rows_PN = _control_rows(profiles)
    correlation_F = np.concatenate(
        [
            replicate_correlation(profiles.features_MF[:, at : at + _CHUNK][rows_PN])
            for at in range(0, len(profiles.names), _CHUNK)
        ]
    )
    kept_F = correlation_F <= most
    if not kept_F.any():
        raise KitError(
            f"--max-control-correlation {most:g} keeps none of {count(len(kept_F), 'feature')}: "
            f"the lowest correlation is {correlation_F.min():.3g}"
        )
    names = np.array(profiles.names, dtype=object)
    selected = replace(profiles, names=tuple(names[kept_F]), features_MF=profiles.features_MF[:, kept_F])
    step = {"most": most, "statistic": "median over pairs of plates", "plates": len(rows_PN), "positions": rows_PN.shape[1]}
    return selected.after(selected.features_MF, step="select", by="control correlation", **step, dropped=list(names[~kept_F]))


def replicate_correlation(values_PNF: np.ndarray) -> np.ndarray:
    """Return the median over pairs of plates of the correlation over positions, float64 [F]; 0 to a plate without variation.

    Source: the replicate correlation of cytominer (doi:10.1038/nmeth.4397), here of controls.
    """
    centred_PNF = values_PNF - values_PNF.mean(axis=1, keepdims=True, dtype=np.float64)
    length_P1F = np.sqrt(np.square(centred_PNF).sum(axis=1, keepdims=True))
    unit_PNF = np.divide(centred_PNF, length_P1F, out=np.zeros_like(centred_PNF), where=length_P1F > 0)
    unit_FPN = unit_PNF.transpose(2, 0, 1)
    pairs = np.triu_indices(len(values_PNF), k=1)
    return np.median((unit_FPN @ unit_FPN.transpose(0, 2, 1))[:, *pairs], axis=1)


def _control_rows(profiles: Profiles) -> np.ndarray:
    """Return the row of every plate's control at every position that is a control on all plates, int [P, N]."""
    chosen = choose_controls(profiles)
    where = pd.DataFrame({PLATE: profiles.who[PLATE], WELL: profiles.who[WELL], "row": np.arange(len(profiles.who))})
    table = where[chosen.rows_M].pivot(index=PLATE, columns=WELL, values="row")
    plates = profiles.who[PLATE].nunique()
    rows = table.dropna(axis=1) if len(table) == plates else table.iloc[:, :0]
    if plates < 2 or rows.shape[1] < _LEAST:
        raise KitError(
            f"--max-control-correlation compares {chosen.name} at the same position of at least two plates: these are "
            f"{count(plates, 'plate')} with {count(rows.shape[1], 'position')} in common, and it takes {_LEAST}"
        )
    return rows.to_numpy(dtype=np.int64)
