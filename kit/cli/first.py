"""The verb first: a first submission without a GPU."""

from pathlib import Path

import click

from kit.cli.options import OUT_FOLDER, PATH, Once
from kit.errors import UsageError


@click.command(cls=Once)
@click.argument("out", type=OUT_FOLDER)
@click.option("--ids", type=PATH, required=True, help="The challenge's metadata_test.csv.")
@click.option(
    "--profiles", metavar="SOURCE",
    help="Profiles of the plates: a folder, a file, or a URL laid out as the gallery's.  [default: the gallery's own]",
)  # fmt: skip
@click.option("--work", type=PATH, help="Instead: a work folder to embed with --weights.")
@click.option("--weights", type=PATH, help="Published DINOv2 weights.")
@click.option("--metadata", type=PATH, help="Folder of the official tables.  [default: the profiles' own labels]")
def first(out: Path, ids: Path, profiles: str | None, work: Path | None, weights: Path | None, metadata: Path | None) -> None:
    """Make a first submission without training: download, post-process, export, check, score.

    From CellProfiler's profiles it needs no images and no GPU; from --work and --weights it embeds the packed plates.
    """
    if (work is None) != (weights is None):
        raise UsageError(f"{'--weights goes with --work' if work is None else '--work goes with --weights'}: give both or none")
    if work is not None and profiles is not None:
        raise UsageError("--profiles and --work are two ways to a submission: give one of them")
    from kit.first import first_from_profiles, first_from_weights

    if work is not None and weights is not None:
        click.echo(first_from_weights(out, ids, work, weights, metadata, click.echo))
    else:
        click.echo(first_from_profiles(out, ids, profiles, metadata, click.echo))


VERBS = (first,)
