"""The verb profile: runs, or files of any tool, to one profile a well."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import kit
from kit.cli.options import OUT_FILE, PATH, Once, words
from kit.errors import UsageError

if TYPE_CHECKING:
    from kit.profiles.table import Profiles

_OF_RUNS = ("work", "runs", "parts", "sites", "order", "merge", "whiten_on", "balance_runs", "run_weights", "explain")
_OF_FILES = ("metadata", "labels", "perturbation", "control", "drop_missing", "unaligned")


@click.command(cls=Once)
@click.option("--work", type=PATH, help="The work folder of --run.")
@click.option("--run", "runs", multiple=True, help="One or more runs; their features are concatenated.")
@click.option(
    "--from", "files", type=PATH, multiple=True, metavar="FILES",
    help="Instead of runs: profiles of any tool, a row a well: .parquet, .csv, .csv.gz, .h5ad, or a folder of them.",
)  # fmt: skip
@click.option("--out", type=OUT_FILE, required=True, help="The file to write: .parquet, .csv, .csv.gz or .h5ad.")
@click.option("--plates", help="These plates only, comma-separated.  [default: all that every run, or the files, have]")
@click.option(
    "--parts", default="cls,patch", show_default=True, metavar="NAMES",
    help="Of a network's vectors: cls, the class token; patch, the mean of the patch tokens; patch_sd, their SD.",
)  # fmt: skip
@click.option(
    "--sites",
    type=click.Choice(["position", "area", "bilinear", "corners"]),
    help="Make nine blocks of a well's sites in this way. Default: position with --merge concat; none with mean, which takes "
    "all sites.",
)
@click.option("--order", type=click.Choice(["file", "position"]), default="file", show_default=True)
@click.option(
    "--merge",
    type=click.Choice(["concat", "mean"]),
    help="Default: concat where every plate images the challenge's nine places or --sites is given, else mean.",
)
@click.option("--normalize", type=click.Choice(["none", "centre", "mad"]), default="none", show_default=True)
@click.option(
    "--rank-normal",
    type=click.Choice(["none", "plate", "all"]),
    default="none",
    show_default=True,
    help="Replace each feature by the normal quantile of its rank among the wells of its plate, or of all plates.",
)
@click.option(
    "--max-control-correlation",
    type=float,
    metavar="R",
    help="Leave out features whose controls repeat by position: those that correlate above R between plates (median of pairs).",
)
@click.option("--whiten", type=click.Choice(["none", "sphere", "tvn"]), default="none", show_default=True)
@click.option(
    "--controls",
    type=click.Choice(["labelled", "all"]),
    default="labelled",
    show_default=True,
    help="The wells that --normalize and --whiten are fitted on; all: every well, for plates without controls.",
)
@click.option(
    "--whiten-on",
    type=click.Choice(["wells", "sites"]),
    default="wells",
    show_default=True,
    help="sites: normalize and whiten sites, fitted on the controls' sites, before they are merged.",
)
@click.option(
    "--ridge",
    type=float,
    help="The ridge of --whiten, in units of the controls' mean eigenvalue; 0 makes the controls exactly white.  [default: 0.1]",
)
@click.option(
    "--balance-runs",
    is_flag=True,
    help="Standardize all columns and give every run the same total variance, whatever its number of columns.",
)
@click.option(
    "--run-weight",
    "run_weights",
    multiple=True,
    metavar="NAME=W",
    help="As --balance-runs, and give this run W times the share.",
)
@click.option(
    "--align",
    type=float,
    default=None,
    help="Optional cross-plate alignment (leaks well position): weight of the well's own profile, 0 to 1.",
)
@click.option("--l2", is_flag=True, help="Scale each profile to unit length.")
@click.option("--metadata", type=PATH, help="With --from: folder of the official tables.")
@click.option("--labels", type=PATH, help="With --from: your own table of the wells instead.")
@click.option("--perturbation", metavar="COLUMN", help="With --from: the column with the classes.  [default: the recorded one]")
@click.option("--control", metavar="VALUE", help="With --from: the wells with this value of it are controls.")
@click.option("--drop-missing", is_flag=True, help="With --from: leave out features with a missing or infinite value.")
@click.option(
    "--unaligned", is_flag=True,
    help="With --from: no step before read the well position, as alignment does. Without it kit score gives no verdict.",
)  # fmt: skip
@click.option(
    "--names",
    type=click.Choice(["kit", "cells"]),
    default="kit",
    show_default=True,
    help="cells: begin each feature's name with Cells_, by which pycytominer knows features.",
)
@click.option("--explain", is_flag=True, help="Print the weight of every field in a well's blocks, and draw it beside --out.")
def profile(
    work: Path | None,
    runs: tuple[str, ...],
    files: tuple[Path, ...],
    out: Path,
    plates: str | None,
    explain: bool,
    **options: Any,
) -> None:
    """Merge the sites of each well into one profile, or take profiles from files. Post-processing is optional."""
    named = words(plates, "--plates")
    if files:
        _refuse(_OF_RUNS, "--from takes profiles, a row a well: {} belongs to --run")
        made = _from_files(files, out, named, options)
    else:
        _refuse(_OF_FILES, "{} belongs to --from: a work folder has its labels and its steps")
        if work is None or not runs:
            raise UsageError(f"{'--work' if work is None else '--run'} is missing: give --work and --run, or --from FILES")
        made = _from_runs(work, runs, out, named, options)
    click.echo(f"{out}: {made.text()}")
    if explain and work is not None:
        _explain(work, sorted(set(made.who["Metadata_Plate"])), out, options)


def _refuse(names: tuple[str, ...], why: str) -> None:
    """Raise a UsageError where one of these options is given."""
    context = click.get_current_context()
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) == ParameterSource.COMMANDLINE:
            raise UsageError(why.format(option.opts[0]))


def _from_runs(work: Path, runs: tuple[str, ...], out: Path, plates: tuple[str, ...], options: dict[str, Any]) -> "Profiles":
    from kit.profiles.balance import run_weights as weights_of
    from kit.profiles.profile import profile as run

    weights = weights_of(runs, options.pop("run_weights"), balanced=options.pop("balance_runs"))
    taken = {name: value for name, value in options.items() if name not in (*_OF_FILES, "parts")}
    return run(kit.open(work), runs, out, parts=words(options["parts"], "--parts"), plates=plates, weights=weights, **taken)


def _from_files(files: tuple[Path, ...], out: Path, plates: tuple[str, ...], options: dict[str, Any]) -> "Profiles":
    from kit.challenge.from_files import Source, profiles_from
    from kit.profiles.post_processing import post_process
    from kit.profiles.table import check_name, write_profiles

    check_name(out)
    steps = {name: value for name, value in options.items() if name not in (*_OF_RUNS, *_OF_FILES, "names")}
    source = Source(files=files, plates=plates, **{name: options[name] for name in _OF_FILES})
    made = post_process(profiles_from(source), **steps).named(options["names"])
    write_profiles(made, out)
    return made


def _explain(work: Path, plates: list[str], out: Path, options: dict[str, Any]) -> None:
    from kit.profiles.explain import draw_weights, explain_merging

    layouts = explain_merging(kit.open(work), plates, options["merge"], options["sites"], options["order"])
    picture = out.with_name(f"{out.name.partition('.')[0]}.layouts.png")
    draw_weights(layouts, picture)
    click.echo("\n".join([*(layout.text() for layout in layouts), str(picture)]))


VERBS = (profile,)
