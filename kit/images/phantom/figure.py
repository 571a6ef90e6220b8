"""A picture of the made plates: one site's channels in both cell lines, and the effects of the compounds. H W pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from kit.config import CHANNELS
from kit.errors import KitError
from kit.files import whole_file
from kit.images.phantom.config import PhantomConfig, library
from kit.images.phantom.files import Plate, image_name, plates
from kit.images.phantom.tables import layout, read_answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COMPOSITES = (("AGP", "ER", "DNA"), ("Mito", "RNA", "DNA"))  # red, green, blue
_COLUMNS = len(CHANNELS) + 1


def draw_plate_figure(folder: Path, path: Path) -> None:
    """Draw the made plates in `folder` (as make_plates left it) as a PNG at `path`.

    First, per cell line, the eight channels of one site and its composite (red AGP, green ER, blue DNA). Then DMSO and the first
    eight compounds, each as two composites of one site (AGP ER DNA; Mito RNA DNA). Every channel of every panel is scaled on
    its own, from its percentile 1 to 99.8.

    Raises:
        KitError: `folder` holds no made plates.
    """
    from matplotlib.figure import Figure  # here: all else of the made plates needs no drawing

    answers = Path(folder) / "answers.json"
    if not answers.is_file():
        raise KitError(f"{folder} holds no made plates (no answers.json)")
    config = read_answers(answers)
    first = [next(plate for plate in plates(config) if plate.line == line) for line in range(len(config.lines))]
    rows = [_channel_row(folder, config, plate) for plate in first]
    rows += [row for plate in first for row in _compound_rows(folder, config, plate)]
    width, height = 1.6 * _COLUMNS, 1.8 * len(rows) + 0.5  # inches, as are the margins
    figure = Figure(figsize=(width, height), dpi=100)
    figure.suptitle(f"made plates, batch {config.batch}: drawn cells, not real ones", y=1 - 0.1 / height)
    figure.subplots_adjust(0.4 / width, 0.05 / height, 1 - 0.05 / width, 1 - 0.6 / height, wspace=0.04, hspace=0.16)
    for axes, (label, panels) in zip(figure.subplots(len(rows), _COLUMNS, squeeze=False), rows, strict=True):
        _show(axes, label, panels)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def scaled(channel: np.ndarray) -> np.ndarray:
    """Return counts [H, W] as 0 to 1, from percentile 1 to 99.8."""
    low, high = np.percentile(channel, (1, 99.8))
    return np.clip((channel - low) / max(high - low, 1), 0, 1)


def composite(image: np.ndarray, rgb: tuple[str, str, str]) -> np.ndarray:
    """Return [H, W, 3]: three named channels of `image` [8, H, W] as red, green and blue, each scaled on its own."""
    return np.stack([scaled(image[CHANNELS.index(name)]) for name in rgb], axis=-1)


def _examples(config: PhantomConfig) -> list[tuple[str, str]]:
    """Return (what, well): DMSO, then the first compounds, each at its first well."""
    wells = {sample: well for well, sample in reversed(layout(config).items())}
    found = [("DMSO", wells[""])] if "" in wells else []
    found += [(compound.name.removeprefix("made-"), wells[compound.broad_sample]) for compound in library(config)]
    return found[:_COLUMNS]


def _read(folder: Path, plate: Plate, well: str) -> np.ndarray:
    """Return the well's first site, uint16 [8, H, W]."""
    images = Path(folder) / "images" / plate.folder / "Images"
    for site in range(1, len(plate.places) + 1):
        if (images / image_name(well, site, 1)).is_file():
            return np.stack([tifffile.imread(images / image_name(well, site, channel)) for channel in range(1, 9)])
    raise KitError(f"{images} has no image of well {well}: make the plates again")


def _channel_row(folder: Path, config: PhantomConfig, plate: Plate) -> tuple[str, list]:
    what, well = _examples(config)[0]
    image = _read(folder, plate, well)
    panels = [(name, scaled(channel)) for name, channel in zip(CHANNELS, image, strict=True)]
    return f"{config.lines[plate.line].name}\n{what}", [*panels, (" ".join(_COMPOSITES[0]), composite(image, _COMPOSITES[0]))]


def _compound_rows(folder: Path, config: PhantomConfig, plate: Plate) -> list[tuple[str, list]]:
    images = [(what, _read(folder, plate, well)) for what, well in _examples(config)]
    return [
        (f"{config.lines[plate.line].name}\n{' '.join(rgb)}", [(what, composite(image, rgb)) for what, image in images])
        for rgb in _COMPOSITES
    ]


def _show(axes: "Sequence[Axes]", label: str, panels: list[tuple[str, np.ndarray]]) -> None:
    for axis in axes:
        axis.axis("off")
    for axis, (title, picture) in zip(axes, panels, strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=8, pad=2)
    axes[0].text(-0.1, 0.5, label, rotation=90, va="center", ha="center", fontsize=8, transform=axes[0].transAxes)
