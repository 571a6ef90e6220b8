"""One training step of every recipe: does it run, how long does it take, what memory does it need?

    python -m kit.gpu.recipes --seconds 60 --json FILE

The data are random crops; all settings are the recipe's own but the batch, which is as many samples as fit, at most MOST. The
smaller networks come first.
"""

import math
import sys
from functools import partial

import torch

from kit.bench.step_case import KIT, Row, at_largest_batch, measure
from kit.bench.steps import TINY
from kit.bench.timebox import Timebox
from kit.config import CHANNELS, RunConfig
from kit.gpu.notes import Options
from kit.recipe import load_recipe, recipe_names

MOST = 32


def configuration(recipe: str, batch: int, *, rehearse: bool) -> RunConfig:
    """Return a recipe with a batch of this size, small in a rehearsal; a recipe that names no channels gets the stains."""
    plain = load_recipe(recipe, channels=CHANNELS) if recipe_is_for_all(recipe) else load_recipe(recipe, channels=CHANNELS[:5])
    patch = plain.model.patch
    small = [*TINY, f"crops.global_side={2 * patch}", f"crops.local_side={patch}", f"model.position_side={2 * patch}"]
    return load_recipe(recipe, [f"train.batch={batch}", *(small if rehearse else [])], channels=plain.channels)


def recipe_is_for_all(recipe: str) -> bool:
    """Whether a recipe names its channels itself, all eight."""
    return len(load_recipe(recipe).channels) == len(CHANNELS)


def step_of(recipe: str, device: torch.device, *, rehearse: bool) -> tuple[dict, str]:
    """Return the values and the line of a recipe's step, at the largest batch of MOST and its halves that fits.

    Raises:
        ValueError: the loss is not finite.
    """

    def take(batch: int) -> Row:
        config = configuration(recipe, batch, rehearse=rehearse)
        return measure(recipe, KIT, config, device, rate=None, seconds=0.0, split=False)

    row = at_largest_batch(2 if rehearse else MOST, device, take)
    if not math.isfinite(row.loss):
        raise ValueError(f"the loss of {recipe}'s first step is {row.loss}")
    return row.as_dict(), row.text()


def main() -> int:
    given = Options("kit.gpu.recipes", __doc__.partition("\n")[0])
    device = torch.device("cpu" if given.rehearse else "cuda")
    names = sorted(recipe_names(), key=lambda name: (load_recipe(name).model.dim, name))
    box = Timebox(given.left, given.json, {"recipes": names})
    for name in names:
        box.run(name, partial(step_of, name, device, rehearse=given.rehearse))
    box.finish()
    return int(any("error" in row for row in box.rows))


if __name__ == "__main__":
    sys.exit(main())
