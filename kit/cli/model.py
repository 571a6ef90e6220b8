"""The verbs of kit.model, and embed: recipes, train, plan, embed."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import kit
from kit.cli.options import OUT_FILE, PATH, Once, more_than_zero, recipe_option, words
from kit.config import RunConfig, channel_names
from kit.errors import UsageError
from kit.files import existing_file
from kit.model.machines import MACHINES
from kit.recipe import load_recipe

if TYPE_CHECKING:
    from kit.images.store.work import Work


def _run_config(recipe: str, channels: str | None, settings: Iterable[str], work: "Work | None", **values: Any) -> RunConfig:
    config = load_recipe(recipe, settings, channels=_channels(channels, work), **values)
    if config.model.weights:
        existing_file(config.model.weights, "model.weights is a file of weights to start from")
    return config


def _channels(text: str | None, work: "Work | None") -> tuple[str, ...] | None:
    """Return the channels of --channels, by the groups of the store, or of CPJUMP1 without one; None where it is not given."""
    if text is None:
        return None
    return channel_names(text) if work is None else channel_names(text, groups=work.groups)


def _say(text: str) -> None:
    """Print; under torchrun only rank 0 does."""
    if os.environ.get("RANK", "0") == "0":
        click.echo(text)


@click.command(cls=Once)
@click.option("--work", type=PATH, required=True)
@recipe_option
@click.option("--channels", help="A group of the store (fluorescence, brightfield ...), all, or comma-separated channel names.")
@click.option("--run", "name", required=True, help="Name of the run.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one value, e.g. train.lr=1e-4.")
@click.option("--seed", type=int, default=None)
@click.option("--epochs", type=float, default=None, help="Short for --set train.epochs=N; crops.epoch defines an epoch.")
@click.option("--plates", help="Train on these plates only.")
@click.option(
    "--on-bad", type=click.Choice(["fail", "skip"]), help="What to do with a damaged image; short for --set crops.on_bad=."
)
@click.option("--resume", is_flag=True, help="Continue the run, or start it if absent.")
@click.option(
    "--max-hours",
    type=float,
    callback=more_than_zero,
    help="Stop cleanly after this many hours: save everything and exit with code 75. Checked after every step.",
)
def train(
    work: Path,
    recipe: str,
    channels: str | None,
    name: str,
    settings: tuple[str, ...],
    seed: int | None,
    epochs: float | None,
    plates: str | None,
    on_bad: str | None,
    resume: bool,
    max_hours: float | None,
) -> None:
    """Train one model from the sites of a work folder."""
    from kit.model.train import train as run

    short = {"train.epochs": epochs, "crops.on_bad": on_bad}
    settings = (*settings, *(f"{key}={value}" for key, value in short.items() if value is not None))
    opened, named = kit.open(work), words(plates, "--plates")
    config = _run_config(recipe, channels, settings, opened.only(named) if named else opened, seed=seed, plates=named)
    summary = run(opened, name, config, resume=resume, max_hours=max_hours)
    _say(summary.text())


@click.command(cls=Once)
@click.argument("name", required=False)
@click.option("--settings", is_flag=True, help="List every --set key with its type, default and meaning.")
@click.option("--markdown", is_flag=True, help="Print all recipes and settings as Markdown (docs/settings.md).")
def recipes(name: str | None, settings: bool, markdown: bool) -> None:
    """List the recipes, or all values of one. NAME is a recipe or a .toml file; each value comes with its meaning."""
    from kit.settings import recipes_text, settings_markdown, settings_text

    if sum((name is not None, settings, markdown)) > 1:
        raise UsageError("kit recipes takes one of NAME, --settings and --markdown")
    if markdown:
        click.echo(settings_markdown(), nl=False)
    else:
        click.echo(settings_text(name) if name is not None or settings else recipes_text())


@click.command(cls=Once)
@recipe_option
@click.option("--machine", type=click.Choice(["here", *MACHINES]), default="here", show_default=True)
@click.option("--gpu-memory", type=float, metavar="GB", callback=more_than_zero, help="Memory per GPU; overrides the machine's.")
@click.option("--channels", help="As in kit train.  [default: the recipe's, or fluorescence]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--work", type=PATH, help="Count the sites of this work folder instead of CPJUMP1's.")
@click.option("--cells/--no-cells", default=None, help="Embedding as with kit embed --cells: cells count, not sites.")
@click.option("--fit", "fitted", is_flag=True, help="Change what is needed to fit the machine, and write the recipe.")
@click.option(
    "--hours", type=float, callback=more_than_zero,
    help="With --fit: for training and embedding all networks.  [default: the machine's weekly quota; without one, any]",
)  # fmt: skip
@click.option("--out", type=OUT_FILE, help="With --fit: the recipe to write.  [default: RECIPE-MACHINE.toml]")
def plan(
    recipe: str,
    machine: str,
    gpu_memory: float | None,
    channels: str | None,
    settings: tuple[str, ...],
    work: Path | None,
    cells: bool | None,
    fitted: bool,
    hours: float | None,
    out: Path | None,
) -> None:
    """Estimate a recipe's steps, hours, memory and disk space, or fit it to a machine.

    Hours are also given as 12-hour sessions and assume a fraction of the GPU's peak, which the plan states. GPU memory
    and peak are from the vendor's data sheet. --fit leaves what --set gives as it is and changes, in this order, memory
    settings, epochs (to a quarter at most), the size of the views, and epochs again.
    """
    from kit.model.plan import plan as run
    from kit.profiles.merging import averages

    opened = kit.open(work) if work else None
    config = _run_config(recipe, channels, settings, opened)
    if fitted:
        config, recipe = _fitted(recipe, channels, settings, opened, cells, machine, gpu_memory, hours, out)
    elif hours is not None or out is not None:
        raise UsageError(f"{'--out' if hours is None else '--hours'} goes with --fit")
    averaged = opened is not None and averages(opened)
    click.echo(run(config, machine, opened, gpu_memory=gpu_memory, name=recipe, averaged=averaged, by_cell=cells))


def _fitted(
    recipe: str, channels: str | None, settings: tuple[str, ...], work: "Work | None", by_cell: bool | None, name: str,
    gpu_memory: float | None, hours: float | None, out: Path | None,
) -> tuple[RunConfig, str]:  # fmt: skip
    """Print and write the recipe that fits; return its configuration and its file."""
    from kit.model.fit import fit
    from kit.model.fit_report import fit_report, write_fitted

    if name == "here":
        raise UsageError(f"--fit needs a machine whose memory is known: --machine {', '.join(MACHINES)}")
    machine = MACHINES[name].with_memory(gpu_memory)
    hours = hours or (machine.quota.weekly if machine.quota else math.inf)
    out = out or Path(f"{Path(recipe).stem}-{name}.toml")
    base = _run_config(recipe, channels, settings, work)
    kept = frozenset(setting.partition("=")[0].strip() for setting in settings)

    def rebuild(more: Sequence[str]) -> RunConfig:
        return _run_config(recipe, channels, (*settings, *more), work)

    found = fit(rebuild, kept, machine, work, hours=hours, by_cell=by_cell)
    click.echo(fit_report(recipe, base, found, machine, work, hours, by_cell))
    limit = "" if math.isinf(hours) else f" and {hours:g} h"
    about = f"{Path(recipe).stem} fitted to {machine.text}{limit} by kit plan --fit: computed, not measured"
    click.echo(write_fitted(out, recipe, found, _run_config(recipe, channels, (), work), about) + "\n")
    return found.config, str(out)


@click.command(cls=Once)
@click.option("--work", type=PATH, required=True)
@click.option("--run", "runs", multiple=True, required=True)
@click.option("--weights", type=PATH, help="A checkpoint other than the run's last, or a published DINOv2 file.")
@click.option(
    "--per-channel", is_flag=True,
    help="With published weights: each channel by itself, repeated to the file's channels; features concatenated, as "
    "RUN-per-channel.",
)  # fmt: skip
@click.option(
    "--channels",
    help="As in kit train; needed for a run that was not trained: published weights, intensity, texture. A run that takes any "
    "channels (cellrep, bag-of-channels) embeds others than its own, in any order, as RUN-<channels>.",
)
@click.option(
    "--baseline",
    type=click.Choice(["random", "intensity", "texture"]),
    help="Embed by random weights, or without a network by intensity or texture, as RUN-random, RUN-intensity or RUN-texture.",
)
@click.option(
    "--tiles", default="whole", show_default=True, metavar="WHAT",
    help="Average the vectors of several views of a site: turns (its quarter turns and mirror images), a number N (tiles of N "
    "pixels that cover it), or N,turns. Written as RUN-turns, RUN-Npx, RUN-Npx-turns.",
)  # fmt: skip
@click.option(
    "--cells/--no-cells",
    default=None,
    help="Show the cells of each site one by one (kit cells finds them) and average their vectors; written as RUN-cells. "
    "A run trained around cells does so anyway; with --no-cells it is shown whole sites, as RUN-sites.",
)
@click.option(
    "--cell-px",
    type=int,
    metavar="N",
    help="Side of the square shown around a cell, pixels of the site; default: as trained. Written as RUN-cellsN.",
)
@click.option("--keep-cells", is_flag=True, help="Also write the vector of every cell, to WORK/runs/RUN/cells/<plate>.parquet.")
def embed(
    work: Path,
    runs: tuple[str, ...],
    weights: Path | None,
    per_channel: bool,
    channels: str | None,
    baseline: str | None,
    tiles: str,
    cells: bool | None,
    cell_px: int | None,
    keep_cells: bool,
) -> None:
    """Turn each site into features with a trained backbone.

    Under torchrun, each process embeds its share of the plates on its own GPU.
    """
    from kit.profiles.by_cell import CellChoice
    from kit.profiles.embed import embed as run

    opened = kit.open(work)
    names = _channels(channels, opened) or ()
    choice = CellChoice(cells, cell_px, keep_cells)
    for name in runs:
        made = run(
            opened, name, weights=weights, baseline=baseline, channels=names, tiles=tiles, cells=choice, per_channel=per_channel
        )
        _say(made.text())


VERBS = (recipes, train, plan, embed)
