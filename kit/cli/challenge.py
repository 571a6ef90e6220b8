"""The verbs of kit.challenge: export, check, score, report."""

from pathlib import Path
from typing import Any

import click

import kit
from kit.cli.options import OUT_FILE, PATH, Once
from kit.errors import KitError, UsageError


@click.command(cls=Once)
@click.argument("profiles", type=PATH)
@click.option("--ids", type=PATH, required=True, help="The challenge's metadata_test.csv.")
@click.option("--out", type=OUT_FILE, required=True)
@click.option("--id-column")
@click.option("--plate-column")
@click.option("--well-column")
@click.option("--rotate", "rotated", is_flag=True, help="Rotate to at most as many columns as rows: every distance is kept.")
@click.option(
    "--columns", type=int, metavar="N", help="Keep the N directions that hold most of the features; says what it costs."
)
def export(profiles: Path, ids: Path, out: Path, **options: Any) -> None:
    """Write the challenge CSV from well profiles: every ID once, in the order of --ids."""
    from kit.challenge.export import export as run

    click.echo(run(profiles, ids, out, **options).text())


@click.command(cls=Once)
@click.argument("submission", type=PATH)
@click.option("--ids", type=PATH, required=True)
def check(submission: Path, ids: Path) -> None:
    """Check a challenge CSV against the ID table."""
    from kit.challenge.check import check as run

    click.echo(run(submission, ids).text())


@click.command(cls=Once)
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option("--metadata", type=PATH, help="Folder of the official tables.")
@click.option("--labels", type=PATH, help="Your own table instead: plate, well (or row and column), further columns.")
@click.option(
    "--ids", type=PATH, help="The challenge's metadata_test.csv: the wells to score, and the plate and well of each ID."
)
@click.option(
    "--label", metavar="COLUMN",
    help="What is to be recognised. Default: broad_sample with --metadata, else the perturbation that the file records.",
)  # fmt: skip
@click.option("--group", metavar="COLUMN", help="Score within and across its values.  [default: Cell_type, the cell line]")
@click.option("--control", metavar="VALUE", help="Leave out the wells with this label; for labels without a recorded control.")
@click.option(
    "--perturbation", metavar="COLUMN", help="The column that --control stands in.  [default: the recorded one, else --label]"
)
@click.option("--together", is_flag=True, help="Score all files as one feature set.")
@click.option("--k", default=5, show_default=True)
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@click.option(
    "--votes", type=click.Choice(["uniform", "distance"]), default="uniform", show_default=True,
    help="Each neighbour counts one, or one over its distance.",
)  # fmt: skip
@click.option("--ties", type=click.Choice(["sklearn", "nearest"]), default="sklearn", show_default=True)
@click.option("--cross", type=click.Choice(["holdout", "all"]), default="holdout", show_default=True)
@click.option("--folds", default=5, show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Number of random assignments of plates to folds.")
@click.option(
    "--profiles", type=PATH, help="What a scored challenge CSV was exported from: its DMSO wells show position and plate."
)
@click.option("--shuffles", default=20, show_default=True, help="Shuffles of the wells of each plate, for the null.")
@click.option(
    "--target", metavar="COLUMN",
    help="What mAP measures consistency by, such as a mechanism; | separates several.  [default: the official targets, or gene]",
)  # fmt: skip
@click.option(
    "--map-null", type=click.Choice(["shared", "each"]), default="shared", show_default=True,
    help="The null of mAP: one shared by like queries, or one per query, which retrieves more.",
)  # fmt: skip
@click.option("--stratified", is_flag=True, help="Deal plates so that the labels of the folds are alike: StratifiedGroupKFold.")
@click.option(
    "--all-rules", is_flag=True,
    help="Also score under every rule left open: k 1 to 20, both metrics, votes, ties, cross, stratified or not.",
)  # fmt: skip
@click.option(
    "--texture", "texture_work", type=PATH, metavar="WORK",
    help="Also score texture by hand, and the file with texture, after the file's own steps; WORK has its runs. Both are "
    "written beside the file.",
)  # fmt: skip
@click.option("--json", "json_path", type=OUT_FILE, help="Write score.json here.")
def score(
    files: tuple[Path, ...], metadata: Path | None, texture_work: Path | None, json_path: Path | None, **options: Any
) -> None:
    """Score features by k-NN within and across cell lines, or any groups. Folds are by plate.

    Labels and groups come from --metadata or --labels, else from the Metadata_ columns of the files. Several files are
    compared with the first, well by well. Exit code 1 where no direction could be scored.
    """
    from kit.challenge.score import scores_text, write_scores
    from kit.challenge.score_text import why_nothing
    from kit.profiles.beside import hint
    from kit.sections import SECTIONS

    if texture_work:
        files = _with_texture(files, texture_work, options)
    scores = kit.score(files, metadata, **options)
    click.echo("\n".join(filter(None, [scores_text(scores, SECTIONS), hint(files)])))
    if json_path:
        write_scores(scores, json_path)  # with nothing scored it holds the reasons
        click.echo(json_path)
    if reason := why_nothing(scores):
        raise KitError(f"nothing was scored: {reason}")


def _with_texture(files: tuple[Path, ...], work: Path, options: dict[str, Any]) -> tuple[Path, ...]:
    """Return the one file and, beside it, texture and both together."""
    from kit.profiles.beside import write_texture

    if len(files) > 1 or options["profiles"]:
        why = f"{len(files)} are given" if len(files) > 1 else "score the profiles themselves, without --profiles"
        raise UsageError(f"--texture {work} goes with one file of profiles: {why}")
    return (*files, *write_texture(kit.open(work), files[0]))


@click.command(cls=Once)
@click.option("--work", type=PATH, required=True)
@click.option("--out", type=OUT_FILE, required=True)
@click.option(
    "--profiles",
    type=PATH,
    help="What kit profile wrote, for what needs wells' features.  [default: the first that a score names]",
)
def report(work: Path, out: Path, profiles: Path | None) -> None:
    """Write a page on a work folder: scores, cells, plates, runs. Its pictures and their tables go to a folder beside it."""
    from kit.report.page import report as run

    click.echo(run(kit.open(work), out, profiles=profiles))


VERBS = (export, check, score, report)
