"""The verbs of kit.images: phantom, ingest, cells, views."""

from pathlib import Path
from typing import Any

import click

import kit
from kit.cli.options import PATH, PICTURE, Once, recipe_option, words
from kit.config import SCALES
from kit.errors import KitError, UsageError
from kit.recipe import config_from_settings, load_recipe, made_for


@click.command(cls=Once)
@click.argument("out", type=PATH)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a parameter of the plates, e.g. compounds=6.")
@click.option("--jobs", type=int, default=None, help="Number of processes; default: one per core.")
@click.option("--picture", type=PICTURE, default=None, help="Also draw the plates to this PNG file.")
def phantom(out: Path, seed: int, settings: tuple[str, ...], jobs: int | None, picture: Path | None) -> None:
    """Make plates with known answers, in the microscope's format."""
    from kit.images.phantom.plates import PhantomConfig, make_plates

    made = make_plates(out, config_from_settings(PhantomConfig, settings, where="phantom", seed=seed), jobs=jobs)
    click.echo(made.text())
    if picture:
        from kit.images.phantom.figure import draw_plate_figure

        draw_plate_figure(out, picture)
        click.echo(f"picture: {picture}")


@click.command(cls=Once)
@click.argument("source", required=False)
@click.option("--metadata", type=PATH, help="Folder with the official metadata tables.")
@click.option(
    "--cells",
    type=PATH,
    metavar="FILE.csv",
    help="Table of single cells, a row each; SOURCE is then the array of their images (.npz, .npy).",
)
@click.option("--array", default="", metavar="NAME", help="The array to take from a .npz that holds several.")
@click.option(
    "--labels",
    type=PATH,
    help="Your own table of wells (.csv, .tsv): plate, well and any columns.",
)
@click.option("--perturbation", metavar="COLUMN", help="The column of --labels, or --cells, with the treatments or classes.")
@click.option(
    "--control",
    metavar="VALUE",
    help="The value of that column that marks the control wells.",
)
@click.option("--work", type=PATH, required=True, help="Work folder; created if missing.")
@click.option("--plates", help="Comma-separated barcodes; default: all plates found.")
@click.option("--plane", type=int, default=None, help="Take this plane of a z-stack.")
@click.option("--time", type=int, default=None, help="Take this time point of a time series.")
@click.option("--jobs", type=int, default=None, help="Number of threads; default: one per core.")
@click.option("--load-data", help="Folder or URL with <plate>/load_data.csv(.gz).")
@click.option("--layout", type=PATH, help="CSV with the stage position of each field.")
@click.option(
    "--channel-names", help="Names of the channels, e.g. ch1=DNA,ch2=Actin; cpjump1: ch1 to ch8 are Mito to Brightfield."
)
@click.option("--groups", help='Groups of channels, e.g. "fluorescence=DNA,Actin brightfield=BF".')
@click.option("--pixel-size", type=float, metavar="UM", help="Micrometres per pixel on the sample.  [default: as the files say]")
@click.option(
    "--scale", type=click.Choice(SCALES), help="How counts become grey levels; default: the store's, image in a new one."
)
@click.option("--bits", type=click.Choice(["8", "16"]), default="8", show_default=True)
@click.option("--size", type=int, default=None, help="Downsample sites by area averaging; pixels of the longer side.")
@click.option("--codec", default=None, help="Codec of the stored pixels: zstd (default), jpegls or jpegxl.")
@click.option("--dry-run", is_flag=True, help="Print what would be done and write nothing.")
@click.option("--verify", is_flag=True, help="Read the whole store back and check its checksums.")
@click.option("--strict", is_flag=True, help="Stop at the first bad file.")
@click.option(
    "--max-bad", type=float, default=0.1, show_default=True, help="A plate fails if more than this fraction of its images is bad."
)
@click.option("--illum", help="Folder with <plate>/<plate>_Illum<Channel>.npy; images are divided by them first.")
@click.option("--dask", metavar="ADDRESS", help="Address of a Dask scheduler whose workers pack the plates.")
def ingest(
    source: str | None, work: Path, plates: str | None, channel_names: str | None, groups: str | None, bits: str,
    dry_run: bool, **options: Any,
) -> None:  # fmt: skip
    """Pack plates of microscope TIFFs, or an array of single cells, into a work folder.

    Without SOURCE, --labels or --metadata label the plates that are packed, and --groups groups their channels; no image is
    read.
    """
    from kit.images.ingest.dry_run import dry_run as rehearse
    from kit.images.ingest.groups import parse_groups
    from kit.images.ingest.naming import parse_names
    from kit.images.ingest.plan import IngestPlan
    from kit.images.ingest.run import ingest as run

    given = {name: value for name, value in options.items() if value is not None}
    given |= {} if channel_names is None else {"channel_names": parse_names(channel_names)}
    given |= {} if groups is None else {"groups": parse_groups(groups)}
    plan = IngestPlan(source, work, plates=words(plates, "--plates"), bits=int(bits), **given)
    report = rehearse(plan) if dry_run else run(plan)
    click.echo(report.text())
    if report.failed:
        more = f" (and {len(report.failed) - 1} more, see above)" if len(report.failed) > 1 else ""
        raise KitError(f"failed: {report.failed[0]}{more}")


@click.command(cls=Once)
@click.argument("work", type=PATH)
@click.option("--nuclei", metavar="CHANNEL", help="Channel of the nuclei; default: the one named after a nuclear stain.")
@click.option("--bodies", metavar="CHANNEL", help="Also measure cell bodies, in this channel (ER, RNA).")
@click.option(
    "--locations",
    type=PATH,
    metavar="FILE",
    help="Take the cells from CellProfiler's table of objects (.csv, .parquet) instead.",
)
@click.option("--images", type=PATH, metavar="FILE", help="CellProfiler's image table, where the objects name only ImageNumber.")
@click.option(
    "--site-px", type=int, help="Longer side of the images in which --locations was measured, if the store was made with --size."
)
@click.option("--plates", help="Comma-separated barcodes; default: all plates of the store.")
@click.option("--jobs", type=int, default=None, help="Number of threads; default: one per core.")
def cells(
    work: Path,
    nuclei: str | None,
    bodies: str | None,
    locations: Path | None,
    images: Path | None,
    site_px: int | None,
    plates: str | None,
    jobs: int | None,
) -> None:
    """Find the cells of the packed sites, for crops around cells and kit embed --cells.

    Writes WORK/cells/<plate>.parquet, a row a cell with its place in pixels. Plates that are done are kept.
    """
    from kit.images.cells.run import find_cells, place_cells
    from kit.images.ingest.plan import cpus

    opened, named = kit.open(work), words(plates, "--plates")
    if locations is None:
        for option, value in (("--images", images), ("--site-px", site_px)):
            if value is not None:
                raise UsageError(f"{option} goes with --locations FILE")
        if jobs is not None and jobs < 1:
            raise UsageError(f"--jobs {jobs}: need at least 1")
        found = find_cells(opened, nuclei=nuclei, bodies=bodies, plates=named, jobs=jobs or cpus())
    else:
        if nuclei or bodies:
            raise UsageError("--nuclei and --bodies find cells in the pixels; with --locations they come from the table")
        found = place_cells(opened, locations, images=images, site_px=site_px, plates=named)
    click.echo(found.text())


@click.command(cls=Once)
@click.argument("work", type=PATH)
@click.option("--out", type=PICTURE, help="PNG file to write; not needed with --nuclei or --noise.")
@click.option(
    "--nuclei",
    metavar="CHANNEL",
    help="Measure the nuclei in this channel and print the settings that fit the recipe.",
)
@click.option("--noise", is_flag=True, help="Measure the recipe's noise over the signal of each channel.")
@recipe_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
def views(work: Path, out: Path | None, nuclei: str | None, noise: bool, recipe: str, settings: tuple[str, ...]) -> None:
    """Draw sites of a work folder with each augmentation applied (--out), or fit a recipe to its nuclei and signal.

    --nuclei prints the median diameter in a sample of sites, how many pixels of a view a nucleus spans, and the --set
    options that give it the size that the recipe was made for. --noise, and --out where the recipe adds noise, print the sd
    of the noise over that of the crops it is added to, and the ways out where it is above 1. Nothing is changed.
    """
    if out is None and nuclei is None and not noise:
        raise UsageError("nothing to do: give --out FILE.png for a picture, --nuclei CHANNEL to measure nuclei, or --noise")
    config, opened = load_recipe(recipe, settings), kit.open(work)
    if nuclei is not None:
        from kit.model.magnification import advice
        from kit.model.nuclei import measure_nuclei

        click.echo(advice(measure_nuclei(opened, nuclei), config, load_recipe(recipe), made_for(recipe)))
    if noise or out is not None:
        from kit.model.noise_over_signal import adds_noise, noise_advice

        if noise or adds_noise(config.views):
            click.echo(noise_advice(opened, config))
    if out is not None:
        from kit.model.views_figure import draw_views_figure

        draw_views_figure(opened, config.views, out)
        click.echo(out)


VERBS = (phantom, ingest, cells, views)
