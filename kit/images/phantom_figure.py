"""A picture of the made plates: one site's channels in both cell lines, and what the compounds do. H W pixels."""

from pathlib import Path

import numpy as np

from kit.config import CHANNELS
from kit.files import whole_file
from kit.images.phantom import draw_well
from kit.images.phantom_config import PhantomConfig, library
from kit.images.phantom_files import plates
from kit.images.phantom_tables import layout

_COMPOSITES = (("AGP", "ER", "DNA"), ("Mito", "RNA", "DNA"))  # red, green, blue
_COLUMNS = len(CHANNELS) + 1


def draw_plate_figure(config: PhantomConfig, path: Path) -> None:
    """Draw the made plates of `config` as a PNG at `path`: the same pixels as make_plates writes, without its files.

    First, per cell line, the eight channels of one site and its composite (red AGP, green ER, blue DNA). Then DMSO and the first
    eight compounds, each as two composites of one site (AGP ER DNA; Mito RNA DNA). Every channel of every panel is scaled on
    its own, from its percentile 1 to 99.8.
    """
    from matplotlib.figure import Figure  # here: the tables and the plates need no drawing

    first = [next(plate for plate in plates(config) if plate.line == line) for line in range(len(config.lines))]
    wells = {sample: well for well, sample in reversed(layout(config).items())}
    shown = [("DMSO", wells[""])] if "" in wells else []
    shown += [(compound.name.removeprefix("made-"), wells[compound.broad_sample]) for compound in library(config)]
    rows = []
    for plate in first:
        image, _ = draw_well(config, plate, shown[0][1], [1])[1]
        panels = [(name, scaled(channel)) for name, channel in zip(CHANNELS, image, strict=True)]
        rows.append((plate, f"{shown[0][0]} {shown[0][1]}", [*panels, ("AGP ER DNA", composite(image, _COMPOSITES[0]))]))
    for plate in first:
        images = [(name, draw_well(config, plate, well, [1])[1][0]) for name, well in shown[:_COLUMNS]]
        rows += [(plate, " ".join(rgb), [(name, composite(image, rgb)) for name, image in images]) for rgb in _COMPOSITES]
    figure = Figure(figsize=(1.6 * _COLUMNS, 1.8 * len(rows) + 0.5), dpi=100, layout="constrained")
    figure.suptitle(f"made plates, batch {config.batch}: drawn cells, not real ones")
    for axes, (plate, label, panels) in zip(figure.subplots(len(rows), _COLUMNS, squeeze=False), rows, strict=True):
        _show(axes, f"{config.lines[plate.line].name}\n{label}", panels)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def scaled(channel: np.ndarray) -> np.ndarray:
    """Return counts [H, W] as 0 to 1, from percentile 1 to 99.8."""
    low, high = np.percentile(channel, (1, 99.8))
    return np.clip((channel - low) / max(high - low, 1), 0, 1)


def composite(image: np.ndarray, rgb: tuple[str, str, str]) -> np.ndarray:
    """Return [H, W, 3]: three named channels of `image` [8, H, W] as red, green and blue, each scaled on its own."""
    return np.stack([scaled(image[CHANNELS.index(name)]) for name in rgb], axis=-1)


def _show(axes, label: str, panels: list[tuple[str, np.ndarray]]) -> None:
    for axis in axes:
        axis.axis("off")
    for axis, (title, picture) in zip(axes, panels, strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=8, pad=2)
    axes[0].text(-0.1, 0.5, label, rotation=90, va="center", ha="center", fontsize=8, transform=axes[0].transAxes)
