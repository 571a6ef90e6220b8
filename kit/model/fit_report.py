"""What kit plan --fit says and writes: the recipe as it is, what was changed, and the file that extends it."""

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kit.config import RunConfig
from kit.errors import UsageError
from kit.files import write_whole
from kit.model.cost import step_memory
from kit.model.fit import Fitted
from kit.model.machines import Machine
from kit.model.networks import hours_of, networks_of
from kit.recipe import changed_keys, config_to_dict
from kit.words import count, typed

if TYPE_CHECKING:
    from kit.images.store.work import Work


def fit_report(
    name: str, base: RunConfig, fitted: Fitted, machine: Machine, work: "Work | None", hours: float, by_cell: bool | None = None
) -> str:
    """Return what the recipe takes as it is, what was changed to fit, and what would fit as well.

    Args:
        name: of the recipe as given. base: the recipe with the user's own settings. hours: that it was fitted to.
        work, by_cell: as `networks_of`.
    """
    networks = networks_of(base, work, by_cell=by_cell)
    memory = max(step_memory(one.config, one.config.view_channels, world=machine.cards).total for one in networks)
    takes = " and ".join(f"{one.flops / machine.rate / 3600:.1f}" for one in networks)
    limit = "" if math.isinf(hours) else f"{hours:g} hours, "
    lines = [
        f"{name} as it is: {takes} hours of training, {hours_of(networks, machine.rate):.1f} in all with embedding, and "
        f"{memory / 1e9:.1f} GB a process",
        f"to fit   {limit}{machine.usable / 1e9:.1f} GB usable of each card, a tenth of it left free: {machine.text}",
    ]
    before, after = _flat(base), _flat(fitted.config)
    keys = [setting.partition("=")[0] for setting in fitted.settings]
    width = max(map(len, keys), default=0)
    lines += [f"changed  {key:{width}}  {json.dumps(before[key])} -> {json.dumps(after[key])}" for key in keys]
    lines += [] if keys else ["changed  nothing: it fits"]
    lines += [f"settings {' '.join(fitted.settings)}"] if keys else []
    if len(fitted.others) > 1:
        unit = "step" if base.train.max_steps else "epoch"
        sides = ", ".join(f"{side} px {count(length, unit)}" for side, length in fitted.others)
        lines.append(f"as well  {sides}: --set crops.global_side=N keeps a size")
    return "\n".join(lines)


def write_fitted(out: Path, recipe: str, fitted: Fitted, base: RunConfig, about: str) -> str:
    """Write the recipe that extends `recipe` by what differs from `base`, its own values; return a line.

    Raises:
        UsageError: the file is there and holds something else.
    """
    extends = recipe
    if recipe.endswith(".toml"):
        extends = os.path.relpath(Path(recipe).resolve(), out.resolve().parent)
    text = recipe_toml(base, fitted.config, extends, about)
    if out.exists() and out.read_text(errors="replace") != text:
        raise UsageError(f"{out} is there already and holds something else: choose another --out, or delete it")
    write_whole(out, text)
    return f"written  {out}: kit train --recipe {typed(out)} and kit plan --recipe {typed(out)} take it"


def recipe_toml(base: RunConfig, fitted: RunConfig, extends: str, about: str) -> str:
    """Return a recipe that extends another one and says beside each value what it is there; channels are left to --channels."""
    keys = changed_keys(base, fitted, ignore=("channels", "recipe"))
    before, after = config_to_dict(base), config_to_dict(fitted)
    lines = [f"about = {json.dumps(about)}", f"extends = {json.dumps(extends)}"]
    lines += [_line(key, after[key], before[key], extends) for key in keys if "." not in key]
    for table in dict.fromkeys(key.partition(".")[0] for key in keys if "." in key):
        names = [key.partition(".")[2] for key in keys if key.startswith(f"{table}.")]
        lines += ["", f"[{table}]", *(_line(name, after[table][name], before[table][name], extends) for name in names)]
    return "\n".join(lines) + "\n"


def _line(name: str, value: object, was: object, where: str) -> str:
    return f"{name} = {json.dumps(value)}  # {json.dumps(was)} in {where}"


def _flat(config: RunConfig) -> dict[str, object]:
    """Return the values by dotted key."""
    found: dict[str, object] = {}
    for key, value in config_to_dict(config).items():
        found |= {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
    return found
