"""A picture of the augmentations: one site, each op alone and all combined, per channel. C channels, P view side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kit.config import ViewsConfig
from kit.config.channels import groups_of
from kit.errors import KitError
from kit.files import whole_file
from kit.images.crops.preparation import Preparation
from kit.images.names import order_channels
from kit.images.store.work import Work
from kit.kernels.view import elastic_warp
from kit.model import views

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SIDE = 518  # pixels: the middle of a larger site is shown
GRID_LINES = 7  # along each side, to show where pixels move
COLOURS = {"as it is": "black", "jitter": "tab:blue", "noise": "tab:red", "all": "tab:green"}


@dataclass(frozen=True)
class Panel:
    """One view of all channels, intensities float32 [C, P, P], and lines that moved with it (or None)."""

    name: str
    image_CPP: np.ndarray
    lines_PP: np.ndarray | None = None


def draw_views_figure(work: Work, config: ViewsConfig, path: Path, *, seed: int = 0, channels: tuple[str, ...] = ()) -> None:
    """Draw one site of `work` under each augmentation of `config`, every one switched on, as a PNG at `path`.

    A row per channel (default: all that the site has): as it is, each op alone, all together, and the histograms. Under the
    noise stand the SD of the signal (the channel as it is), the SD of what the noise adds, and their ratio. Grey levels run
    from 0 to the channel's percentile 99.8. Columns where pixels move show a grid that moves with them.

    Raises:
        KitError: the work folder holds no site with these channels.
    """
    plate, well, site, names = _choose_site(work, channels)
    groups = groups_of(names, work.groups)
    site_CHW = work.read_site(plate, well, site, channels=list(names))
    pixels_CPP = _middle(Preparation.of(config, groups)(site_CHW))
    panels = make_panels(pixels_CPP, groups, config, channels=names, seed=seed)
    _draw(panels, names, f"plate {plate}, well {well}, site {site}: {pixels_CPP.shape[1]} px, style {config.style}", Path(path))


def make_panels(
    pixels_CPP: np.ndarray, channel_groups: tuple[str, ...], config: ViewsConfig, *, channels: tuple[str, ...] = (), seed: int = 0
) -> list[Panel]:
    """Return the views that are drawn: as it is, each op alone with probability 1, all together; arguments as `make_view`."""
    pixels = torch.from_numpy(np.ascontiguousarray(pixels_CPP))[None]
    sums, sample = pixels.long().sum((2, 3)), torch.zeros(1, dtype=torch.int64)
    mean_C, sd_C = torch.zeros(len(channel_groups)), torch.ones(len(channel_groups))

    def make(one: ViewsConfig, role: str) -> np.ndarray:
        one = replace(one, normalise="dataset", composite="none")
        view = views.make_view(
            pixels, sums, sample, one, seed=seed, role=role, channel_groups=channel_groups, channels=channels,
            mean_C=mean_C, sd_C=sd_C,
        )  # fmt: skip
        return view[0].numpy()

    panels = [Panel("as it is", make(replace(config, style="none"), "first"))]
    for name, one, role in _columns(config):
        panels.append(Panel(name, make(one, role), _moved_grid(one, sample, pixels_CPP.shape[1], seed)))
    return panels


def signal_and_noise(panels: list[Panel], channel: int) -> tuple[float, float] | None:
    """Return the SD of a channel as it is and the SD of what the noise adds to it; None where no noise is drawn."""
    found = {panel.name: panel.image_CPP[channel] for panel in panels}
    if "noise" not in found:
        return None
    return float(found["as it is"].std()), float((found["noise"] - found["as it is"]).std())


def _columns(config: ViewsConfig) -> list[tuple[str, ViewsConfig, str]]:
    """Name, configuration and role of every column after the first."""
    if config.style == "none":
        return []
    if config.style == "dinov2":
        off = replace(config, brightness=0.0, contrast=0.0, dinov2_blur_p=(0.0, 0.0, 0.0), dinov2_solarise_p=0.0)
        jitter = replace(off, brightness=config.brightness, contrast=config.contrast, dinov2_jitter_p=1.0)
        everything = replace(config, dinov2_jitter_p=1.0, dinov2_blur_p=(1.0, 1.0, 1.0), dinov2_solarise_p=1.0)
        blur, solarise = replace(off, dinov2_blur_p=(1.0, 1.0, 1.0)), replace(off, dinov2_solarise_p=1.0)
        return [
            ("jitter", jitter, "first"),
            ("blur", blur, "first"),
            ("solarise", solarise, "second"),
            ("all", everything, "second"),
        ]
    if config.style == "cell-dino":
        return [(name, one, "first") for name, one in _cell_dino_columns(config)]
    off = replace(config, brightness=0.0, contrast=0.0, elastic_p=0.0, rotation="none", noise_p=0.0)
    columns = [("jitter", replace(off, brightness=config.brightness, contrast=config.contrast))]
    if config.rotation == "free":
        columns.append(("rotation", replace(off, rotation="free")))
    columns += [("warp", replace(off, elastic_p=1.0)), ("noise", replace(off, noise_p=1.0))]
    columns.append(("all", replace(config, elastic_p=1.0, noise_p=1.0)))
    return [(name, one, "first") for name, one in columns]


def _cell_dino_columns(config: ViewsConfig) -> list[tuple[str, ViewsConfig]]:
    off = replace(config, brightness=0.0, contrast=0.0, cell_dino_drop_p=0.0, cell_dino_rescale_p=0.0)
    columns = [
        ("brightness", replace(off, brightness=config.brightness)),
        ("contrast", replace(off, contrast=config.contrast)),
        ("a channel dropped", replace(off, cell_dino_drop_p=1.0)),
    ]
    columns += [("a channel rescaled", replace(off, cell_dino_rescale_p=1.0))] if config.cell_dino_rescale else []
    return [*columns, ("all", replace(config, cell_dino_drop_p=1.0, cell_dino_rescale_p=1.0))]


def _moved_grid(config: ViewsConfig, sample: torch.Tensor, side: int, seed: int) -> np.ndarray | None:
    """The grid after this view's own warp, 0 to 1, [P, P]; None where pixels do not move."""
    if config.style != "sslprofiler":
        return None
    warp = views._warp(config, views._Draws(sample, 1, seed, 0), side, side)
    if warp is None:
        return None
    lines = torch.zeros(1, 1, side, side)
    thick = max(1, side // 259)  # pixels
    for start in range(side // GRID_LINES // 2, side, max(side // GRID_LINES, 1)):
        lines[..., start : start + thick, :] = 1
        lines[..., start : start + thick] = 1
    return elastic_warp(lines, warp)[0, 0].numpy()


def _choose_site(work: Work, channels: tuple[str, ...]) -> tuple[str, str, int, tuple[str, ...]]:
    """Return the first site with the most channels among those that have the requested ones, and the channels to draw."""
    sites = work.sites_with(channels)
    if sites.empty:
        raise KitError(f"{work.path} holds no site with {'the channels ' + ', '.join(channels) if channels else 'any channel'}")
    best = sites.iloc[int(sites["channels"].str.count(",").to_numpy().argmax())]
    names = tuple(channels) or order_channels(best["channels"].split(","))
    return best["Metadata_Plate"], best["Metadata_Well"], int(best["Metadata_Site"]), names


def _middle(pixels_CHW: np.ndarray) -> np.ndarray:
    side = min(*pixels_CHW.shape[1:], MOST_SIDE)
    top, left = ((n - side) // 2 for n in pixels_CHW.shape[1:])
    return pixels_CHW[:, top : top + side, left : left + side]


def _draw(panels: list[Panel], names: tuple[str, ...], title: str, path: Path) -> None:
    from matplotlib.figure import Figure  # here: training needs no drawing

    rows, columns = len(names), len(panels) + 1
    width, height = 2.0 * columns + 0.6, 2.25 * rows + 0.5  # inches, as are the margins; a layout engine would draw it all twice
    figure = Figure(figsize=(width, height), dpi=120)
    figure.suptitle(title, y=1 - 0.1 / height)
    figure.subplots_adjust(0.3 / width, 0.4 / height, 1 - 0.5 / width, 1 - 0.65 / height, wspace=0.05, hspace=0.25)
    for channel, axes in enumerate(figure.subplots(rows, columns, squeeze=False)):
        white = max(float(np.percentile(panels[0].image_CPP[channel], 99.8)), 1 / 255)
        for axis, panel in zip(axes, panels, strict=False):
            axis.imshow(panel.image_CPP[channel], cmap="gray", vmin=0, vmax=white, interpolation="nearest")
            if panel.lines_PP is not None:
                axis.imshow(np.ones_like(panel.lines_PP), cmap="autumn", alpha=0.6 * panel.lines_PP.clip(0, 1), vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[], title=panel.name if channel == 0 else "")
        axes[0].set_ylabel(names[channel])
        _caption(axes, panels, channel)
        _histogram(axes[-1], panels, channel, with_title=channel == 0)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def _caption(axes: "Sequence[Axes]", panels: list[Panel], channel: int) -> None:
    found = signal_and_noise(panels, channel)
    if found is None:
        return
    signal, noise = found
    ratio = f"{noise / signal:.1f}" if signal > 0 else "-"
    place = [panel.name for panel in panels].index("noise")
    axes[place].set_xlabel(f"signal SD {signal:.3f}, noise SD {noise:.3f}\nnoise / signal {ratio}", fontsize=8)


def _histogram(axis: "Axes", panels: list[Panel], channel: int, with_title: bool) -> None:
    from matplotlib.ticker import NullLocator

    bins = np.linspace(-0.05, 1.05, 111)
    for panel in panels:
        if panel.name in COLOURS:
            count, _ = np.histogram(panel.image_CPP[channel], bins)
            axis.stairs(count / count.sum(), bins, color=COLOURS[panel.name], label=panel.name)
    axis.set(yscale="log", ylim=(1e-5, 1), title="pixels by intensity" if with_title else "")
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.tick_right()
    axis.tick_params(labelsize=7)
    if with_title:
        axis.legend(fontsize=7)
