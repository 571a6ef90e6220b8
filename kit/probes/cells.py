"""Cell-DINO's evaluation on images of single cells: an array and a table, as `kit.images.source.cells` reads them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kit.config import ModelConfig
from kit.errors import KitError, UsageError
from kit.images.source.cells import Cells, read_cell_images
from kit.measures.consistency import split_targets
from kit.model.checkpoint import load_backbone
from kit.model.official import official_backbone
from kit.model.vit import Vit, seeded_vit
from kit.probes.images import Labelled, Plan, heads_on_images
from kit.probes.tasks import indicators
from kit.probes.text import spread
from kit.words import count

CROP = 0.8  # of an image's side, as 128 of 160 px; rounded to whole patches
RANDOM, GIVEN = "random weights", "these weights"


def cell_dino_cells(
    array: Path, table: Path, *, label: str, leave_out: str, weights: Path | None = None, side: int | None = None, plan: Plan
) -> dict[str, Any]:
    """Return macro-F1 by row and share of labels, see `images.heads_on_images`, and what was read.

    label: column of the classes, | between several; an image without one is left out, and so is a class of one image.
    leave_out: column of what a fold keeps whole. weights: a run's folder, a checkpoint, or a published file; without it a small
    network with random weights alone. side: of a crop, pixels; default: 0.8 of the image's, in whole patches.

    Raises:
        UsageError: no such file or column, a crop that does not fit. KitError: labels or groups that cannot be used.
    """
    cells = read_cell_images(array, table)
    networks = open_networks(weights, cells, plan.seeds[0])
    labelled, classes = labelled_cells(cells, label, leave_out, _side(side, cells, next(iter(networks.values())).config.patch))
    found = heads_on_images(labelled, networks, plan, end_to_end=list(networks))
    return {
        "benchmark": "cell-dino-cells",
        "label": label,
        "leave_out": leave_out,
        "images": len(labelled.group_N),
        "groups": len(np.unique(labelled.group_N)),
        "classes": classes,
        "side": labelled.side,
        "exclusive": labelled.exclusive,
        "seeds": list(plan.seeds),
        "shares": list(plan.shares),
        **found,
    }


def open_networks(weights: Path | None, cells: Cells, seed: int) -> dict[str, Vit]:
    """Return the network of the weights, and the same with random weights.

    Raises:
        UsageError: it takes other channels.
    """
    channels = cells.images_NCHW.shape[1]
    if weights is None:
        config = ModelConfig(dim=96, depth=4, heads=3, patch=8, position_side=64, ffn="mlp", layerscale=1.0, drop_path=0.0)
        return {RANDOM: seeded_vit(config, channels, seed).requires_grad_(False).eval()}
    trained_here = weights.is_dir() or weights.with_suffix(".json").is_file()
    network = load_backbone(weights)[0] if trained_here else official_backbone(weights, channels)
    if network.channels != channels:
        raise UsageError(f"--weights {weights} take {count(network.channels, 'channel')}, the images have {channels}")
    return {RANDOM: seeded_vit(network.config, channels, seed).requires_grad_(False).eval(), GIVEN: network}


def labelled_cells(cells: Cells, label: str, leave_out: str, side: int) -> tuple[Labelled, list[str]]:
    """Return the cells that have a class, and the names of the classes.

    Raises:
        UsageError: no such column. KitError: fewer than two classes or groups.
    """
    label_N, group_N = cells.column(label, "--label"), cells.column(leave_out, "--leave-out")
    names, said_NL = indicators(split_targets(label_N.tolist()))
    if len(names) < 2:
        there = f"{names[0]} alone has them" if names else "none has them"
        raise KitError(f"--label {label}: need two classes of two images each; {there}")
    kept_N = said_NL.any(axis=1)
    if len(np.unique(group_N[kept_N])) < 2:
        raise KitError(f"--leave-out {leave_out}: all labelled images are of {group_N[kept_N][0] or 'no group'}; need two")
    images = torch.from_numpy(cells.images_NCHW[kept_N].astype(np.float32) / np.iinfo(cells.images_NCHW.dtype).max)
    return Labelled(images_NCHW=images, said_NL=torch.from_numpy(said_NL[kept_N]), group_N=group_N[kept_N], side=side), names


def _side(side: int | None, cells: Cells, patch: int) -> int:
    """Return the side of a crop; errors as `cell_dino_cells`."""
    least = min(cells.images_NCHW.shape[-2:])
    chosen = side or round(CROP * least / patch) * patch
    if not 0 < chosen <= least or chosen % patch:
        raise UsageError(f"--crop {chosen}: need a multiple of the patch, {patch} px, no larger than the images, {least} px")
    return chosen


def cells_text(result: dict[str, Any]) -> str:
    """Return a row for each network and head, a column for each share of the labels."""
    shares = [f"{share:g}" for share in result["shares"]]
    row = ("{:<44}" + " {:>15}" * len(shares)).format
    lines = [row("macro-F1", *(f"{100 * share:g} % labels" for share in result["shares"]))]
    lines += [row(name, *(spread(of_share[share]) for share in shares)) for name, of_share in result["rows"].items()]
    kind = "one class each" if result["exclusive"] else "several classes each"
    lines += [
        f"chance {result['chance']['mean']:.3f}: each class named as often as it occurs",
        f"{count(result['images'], 'image')} of {len(result['classes'])} classes ({result['label']}, {kind}), "
        f"{result['side']} px crops; of {result['groups']} groups ({result['leave_out']}) a fifth is tested; "
        f"{_seeds(result['seeds'])}",
    ]
    return "\n".join(lines)


def _seeds(seeds: Sequence[int]) -> str:
    return f"mean ± SD of {len(seeds)} seeds" if len(seeds) > 1 else "one seed"
