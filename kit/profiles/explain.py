"""What merging does to each layout of plates: the weight of every field in every block, as text and as a picture.

F fields of a plate, B blocks of a merged vector: nine, or one mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from kit.files import whole_file
from kit.profiles.merging import choose_merging
from kit.profiles.places import field_positions, lacks_positions
from kit.profiles.table import PLATE, SITE
from kit.profiles.wells import Layout, place_sites
from kit.words import count, some

if TYPE_CHECKING:
    from kit.images.store.work import Work


@dataclass(frozen=True, slots=True)
class Weights:
    """One layout, and the plates that have it.

    fields: their numbers. at_F2: stage offsets from the centre of the well, micrometres, NaN where unknown. blocks: names.
    weight_BF: of each field in each block. mean_B: the weight of the well's mean, which stands in for places without a field.
    """

    plates: tuple[str, ...]
    fields: tuple[int, ...]
    at_F2: np.ndarray
    blocks: tuple[str, ...]
    weight_BF: np.ndarray
    mean_B: np.ndarray

    def text(self) -> str:
        """Return a line on the layout, and one for every block."""
        lines = [f"{count(len(self.plates), 'plate')} ({some(self.plates)}), {count(len(self.fields), 'field')}:"]
        for block, weight_F, mean in zip(self.blocks, self.weight_BF, self.mean_B, strict=True):
            parts = [(f"f{field:02d}", weight) for field, weight in zip(self.fields, weight_F, strict=True) if weight]
            parts += [("mean of the well", mean)] if mean else []
            lines.append(f"  {block:>4} = {_sum(parts)}")
        return "\n".join(lines)


def explain_merging(work: "Work", plates: Sequence[str], merge: str | None, sites: str | None, order: str) -> list[Weights]:
    """Return the weights of every layout among the plates, as `merge.merge_runs` takes them; arguments as there.

    Raises:
        KitError: sites that cannot be placed.
    """
    rows = work.sites[work.sites[PLATE].isin(plates)]
    fields = field_positions(rows)
    merging = choose_merging(fields, merge, sites, order)
    layout = None if merging.sites == "all" else place_sites(rows, merging.sites, order)
    found: dict[tuple, Weights] = {}
    for plate, of_plate in fields.groupby(PLATE):
        made = _weights(str(plate), of_plate, layout, merging.how == "mean")
        key = (made.fields, made.weight_BF.tobytes(), made.mean_B.tobytes())
        known = found[key].plates if key in found else ()
        found[key] = Weights((*known, str(plate)), made.fields, made.at_F2, made.blocks, made.weight_BF, made.mean_B)
    return list(found.values())


def draw_weights(layouts: Sequence[Weights], path: Path) -> None:
    """Draw every layout as PNG: its fields where they are in the well, and their weights in the blocks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6 * len(layouts)), layout="constrained")
    axes = figure.subplots(len(layouts), 2, squeeze=False, width_ratios=(1, 2))
    for (place, table), made in zip(axes, layouts, strict=True):
        place.set_title(f"{count(len(made.plates), 'plate')}: {some(made.plates, 2)}", fontsize=9)
        for field, (x, y), used in zip(made.fields, made.at_F2, made.weight_BF.sum(axis=0) > 0, strict=True):
            if np.isfinite([x, y]).all():
                place.text(x, y, f"f{field:02d}", ha="center", va="center", color="black" if used else "silver", fontsize=9)
        known_F2 = made.at_F2[np.isfinite(made.at_F2).all(axis=1)]
        most = 1.3 * np.abs(known_F2).max(initial=1.0)
        place.set(xlim=(-most, most), ylim=(-most, most), aspect="equal", xlabel="x, µm", ylabel="y, µm")
        weight_BF = np.column_stack([made.weight_BF, made.mean_B])
        table.imshow(weight_BF, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for (block, field), weight in np.ndenumerate(weight_BF):
            if weight:
                table.text(
                    field,
                    block,
                    f"{weight:.2g}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if weight > 0.6 else "black",
                )
        table.set_xticks(range(len(made.fields) + 1), [*(f"f{field:02d}" for field in made.fields), "mean"], fontsize=7)
        table.set_yticks(range(len(made.blocks)), made.blocks, fontsize=7)
        table.set_title("weight of each field in each block; mean: of the well, where there is no field", fontsize=9)
    with whole_file(path) as part:
        FigureCanvasAgg(figure).print_png(str(part))


def _weights(plate: str, fields: pd.DataFrame, layout: Layout | None, mean: bool) -> Weights:
    numbers = tuple(int(number) for number in fields[SITE])
    at_F2 = np.full((len(fields), 2), np.nan) if lacks_positions(fields) else fields[["x_um", "y_um"]].to_numpy(dtype=float)
    if layout is None:
        weight_BF, mean_B = np.full((1, len(numbers)), 1 / len(numbers)), np.zeros(1)
    else:
        places, slots = layout.slots[plate]
        nine_9P = layout.to_nine(places)
        weight_BF = np.stack([nine_9P[:, slots[number]] if number in slots else np.zeros(9) for number in numbers], axis=1)
        mean_B = nine_9P.sum(axis=1) - weight_BF.sum(axis=1)
        mean_B[np.abs(mean_B) < 1e-12] = 0
        if mean:
            weight_BF, mean_B = weight_BF.mean(axis=0, keepdims=True), mean_B.mean(keepdims=True)
    blocks = ("mean",) if len(weight_BF) == 1 else tuple(f"s{block}" for block in range(1, 10))
    return Weights((plate,), numbers, at_F2, blocks, weight_BF, mean_B)


def _sum(parts: list[tuple[str, float]]) -> str:
    weights = {round(weight, 12) for _, weight in parts}
    if len(parts) == 1 and weights == {1.0}:
        return parts[0][0]
    if len(weights) == 1 and len(parts) > 4:
        return f"{next(iter(weights)):.3g} of each of {', '.join(name for name, _ in parts)}"
    return " + ".join(f"{weight:.3g} {name}" for name, weight in parts)
