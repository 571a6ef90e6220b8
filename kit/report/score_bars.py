"""Accuracies as bars, with their intervals, chance and what shuffled wells give."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from kit.report.blocks import Figure
from kit.report.colours import INK, MUTED, PALETTE
from kit.report.figures import Files
from kit.report.panels import Panel, panels

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
    by, label = ("direction", "feature set") if len(sets) > 1 else ("feature set", "direction")
    groups = {str(key): rows for key, rows in table.groupby(by, sort=False)}
    if len(groups) > _MOST:
        groups = {key: rows for key, rows in groups.items() if key == "mean"}
    most = min(1.0, 1.12 * table[["accuracy", "high", "shuffled_p95", "chance"]].max().max())
    shown = [
        Panel(title if len(groups) > 1 else "", _alt(title, rows, label), partial(_draw, rows=rows, label=label, most=100 * most))
        for title, rows in groups.items()
    ]
    caption = (
        "Share of wells whose perturbation their nearest wells on other plates name. Black line: 95 % interval over plates. "
        "Orange: what shuffled wells reach, to their 95th percentile. Dotted: chance."
    )
    size = (_WIDTH, max(len(rows) for rows in groups.values()) * _ROW + 0.75)
    drawn = panels(files, f"{name}_bars", shown, table.round(4), size=size, across=2, alt=_alt_all(table), caption=caption)
    return [drawn]


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
