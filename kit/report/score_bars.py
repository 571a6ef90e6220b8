"""Accuracies as bars, with their intervals, chance and what shuffled wells give."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from kit.report.blocks import Figure
from kit.report.colours import INK, MUTED, PALETTE
from kit.report.figures import Files, figure, inline, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _ROW = 3.8, 0.34  # inches: of a panel, of a bar
_MOST = 6  # panels; of more directions the mean is drawn alone
_COLUMNS = ["direction", "feature set", "accuracy", "low", "high", "shuffled", "shuffled_p95", "chance"]


def bars(files: Files, name: str, sets: Mapping[str, Mapping[str, Any]]) -> list[Figure]:
    """Return the figure of a score file's feature sets; nothing where no direction has a value."""
    table = bar_table(sets)
    if table.empty:
        return []
    by = "direction" if len(sets) > 1 else "feature set"
    panels = {str(key): rows for key, rows in table.groupby(by, sort=False)}
    if len(panels) > _MOST:
        panels = {key: rows for key, rows in panels.items() if key == "mean"}
    with style():
        from matplotlib.figure import Figure as Drawing

        most = min(1.0, 1.12 * table[["accuracy", "high", "shuffled_p95", "chance"]].max().max())
        height = max(len(rows) for rows in panels.values()) * _ROW + 0.75
        across = min(2, len(panels))
        down = -(-len(panels) // across)
        whole = Drawing(figsize=(_WIDTH * across, height * down + 0.2), layout="constrained")
        spots = whole.subplots(down, across, squeeze=False).ravel()
        pictures = []
        for number, (title, rows) in enumerate(panels.items()):
            one = Drawing(figsize=(_WIDTH, height), layout="constrained")
            label = "feature set" if by == "direction" else "direction"
            for axes in (one.add_subplot(), spots[number]):
                _draw(axes, rows, label, 100 * most)
            spots[number].set_title(title)
            pictures.append(inline(one, f"{name}-bars-{number}", title if len(panels) > 1 else "", _alt(title, rows, label)))
        for axes in spots[len(panels) :]:
            axes.set_axis_off()
        caption = (
            "Share of wells whose perturbation their nearest wells on other plates name. Black line: 95 % interval over plates. "
            "Orange: what shuffled wells reach, to their 95th percentile. Dotted: chance."
        )
        return [figure(files, f"{name}_bars", whole, _rounded(table), alt=_alt_all(table), caption=caption, pictures=pictures)]


def bar_table(sets: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row for each direction and feature set that have a value, and for the mean: fractions, None where unknown."""
    rows = []
    for name, result in sets.items():
        null = result.get("null", {})
        for direction, own in result["directions"].items():
            if own["accuracy"] is not None:
                low, high = own.get("interval") or (None, None)
                shuffled = null.get("directions", {}).get(direction, {})
                rows.append(
                    [direction, name, own["accuracy"], low, high, shuffled.get("value"), shuffled.get("p95"), result["chance"]]
                )
        if len(result["mean_of"]) > 1:
            rows.append(["mean", name, result["mean"], None, None, null.get("value"), None, result["chance"]])
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table.astype(dict.fromkeys(_COLUMNS[2:], "float64"))


def _draw(axes: "Axes", rows: pd.DataFrame, label: str, most: float) -> None:
    at = range(len(rows))
    shuffled = 100 * rows["shuffled_p95"].fillna(rows["shuffled"])
    axes.barh(at, 100 * rows["accuracy"], 0.62, color=PALETTE[0])
    axes.barh(at, shuffled, 0.62, color=PALETTE[1])
    for row, (low, high, end) in enumerate(zip(rows["low"], rows["high"], rows["accuracy"], strict=True)):
        if pd.notna(low):
            axes.plot([100 * low, 100 * high], [row, row], color=INK, linewidth=2, solid_capstyle="butt")
        axes.text(100 * max(end, high if pd.notna(high) else 0) + most / 80, row, f"{100 * end:.1f}", va="center", fontsize=8.5)
    axes.axvline(100 * rows["chance"].iloc[0], color=MUTED, linestyle=":", linewidth=1.6)
    axes.set_yticks(list(at), rows[label])
    axes.set(xlim=(0, most), ylim=(len(rows) - 0.5, -0.6), xlabel="accuracy, %")
    axes.tick_params(axis="y", length=0)


def _alt(title: str, rows: pd.DataFrame, label: str) -> str:
    said = ", ".join(f"{name} {100 * value:.1f} %" for name, value in zip(rows[label], rows["accuracy"], strict=True))
    return f"Accuracy, {title}: {said}; chance {100 * rows['chance'].iloc[0]:.1f} %"


def _alt_all(table: pd.DataFrame) -> str:
    best = table.iloc[int(table["accuracy"].to_numpy().argmax())]
    return f"Bars of accuracy; the highest is {best['feature set']}, {best['direction']}: {100 * best['accuracy']:.1f} %"


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    return table.round(4)
