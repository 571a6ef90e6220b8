"""Which perturbations look alike: cosines of their median profiles, in an order that puts like beside like."""

from typing import Any

import numpy as np
import pandas as pd

from kit.measures.similarity import clustered_order, similarity
from kit.report.blocks import Chart, Missing
from kit.report.charts import chart
from kit.report.context import Context

MOST = 60  # perturbations on either side


def alike(context: Context, median_LF: np.ndarray, names: list[str], total: int) -> Chart | Missing:
    """Return the matrix of these perturbations as a chart; `total`: of how many they were chosen."""
    what = "which perturbations look alike"
    if len(names) < 3:
        return Missing(what, "profiles of three perturbations or more")
    order = clustered_order(cosine_LL := similarity(median_LF))
    cosine_LL, ordered = cosine_LL[np.ix_(order, order)], [names[place] for place in order]
    one, other = np.indices(cosine_LL.shape).reshape(2, -1)
    table = pd.DataFrame(
        {"perturbation": np.array(ordered)[one], "beside": np.array(ordered)[other], "cosine": cosine_LL.ravel().round(3)}
    )
    chosen = f"The {len(names)} that stand out most, of {total}. " if len(names) < total else ""
    caption = (
        f"{chosen}Cosine of the median profiles, +1 alike, -1 opposite; ordered by average-linkage clustering, so that families "
        "form squares along the diagonal."
    )

    def make(altair: Any) -> Any:
        return _specify(altair, table, ordered)

    alt = f"A matrix of {len(names)} perturbations, coloured by the cosine of their profiles"
    return chart(context.files, "alike", make, table, alt=alt, caption=caption, title="Which perturbations look alike")


def _specify(altair: Any, table: pd.DataFrame, ordered: list[str]) -> Any:
    labels = altair.Axis(labelLimit=110, labelFontSize=9 if len(ordered) > 30 else 11, title=None, ticks=False, domain=False)
    return (
        altair.Chart(table)
        .mark_rect()
        .encode(
            x=altair.X("beside:N", sort=ordered, axis=labels),
            y=altair.Y("perturbation:N", sort=ordered, axis=labels),
            color=altair.Color(
                "cosine:Q", scale=altair.Scale(scheme="purpleorange", domain=[-1, 1], reverse=True),
                legend=altair.Legend(orient="bottom", title="cosine", gradientLength=180),
            ),
            tooltip=["perturbation:N", "beside:N", "cosine:Q"],
        )
        .properties(width="container", height=max(220, 11 * len(ordered)))
    )  # fmt: skip
