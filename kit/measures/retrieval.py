"""Mean average precision of compounds, or targets, with its p, the false discovery rate, and the share that is retrieved."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kit.errors import UsageError
from kit.measures.fdr import benjamini_hochberg, hierarchical
from kit.measures.null import NullRule, Nulls


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What counts as retrieved: an adjusted p below `rate`, against the null."""

    null: NullRule = field(default_factory=NullRule)
    rate: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise UsageError(f"false discovery rate {self.rate}: need a number between 0 and 1")


def retrieve(queries: pd.DataFrame, rule: Rule, parents: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return one row per label of the queries, in order of the label.

    Columns: label, mean_average_precision, queries (their number), p, adjusted_p, retrieved.

    Args:
        queries: what `activity` or `consistency` gives. parents: what each label belongs to, as a dose to its compound: the false
            discovery rate is then held in two stages, see `fdr.hierarchical`; without it by Benjamini and Hochberg.
    """
    kinds = list(zip(queries["positives"].tolist(), queries["ranked"].tolist(), strict=True))
    nulls = Nulls(kinds, rule.null)
    labels, place_Q = np.unique(queries["label"].to_numpy(dtype=str), return_inverse=True)
    rows_of = [np.flatnonzero(place_Q == place) for place in range(len(labels))]
    precision_Q = queries["average_precision"].to_numpy(dtype=float)
    mean_L = np.array([precision_Q[rows].mean() for rows in rows_of])
    p_L = np.array([nulls.p_value(mean, [kinds[row] for row in rows]) for mean, rows in zip(mean_L, rows_of, strict=True)])
    if parents is None:
        adjusted_L = benjamini_hochberg(p_L)
    else:
        adjusted_L = hierarchical(p_L, np.array([parents[label] for label in labels]), rule.rate)
    return pd.DataFrame(
        {
            "label": labels,
            "mean_average_precision": mean_L,
            "queries": [len(rows) for rows in rows_of],
            "p": p_L,
            "adjusted_p": adjusted_L,
            "retrieved": adjusted_L < rule.rate,
        }
    )
