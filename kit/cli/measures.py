"""The verb of kit.measures: benchmark."""

import json
from pathlib import Path

import click

from kit.cli.options import OUT_FILE, PATH, Once


@click.group()
def benchmark() -> None:
    """Run a published benchmark on your features."""


@benchmark.command(cls=Once)
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option(
    "--metadata", type=PATH, help="Folder of the official tables; without it Metadata_broad_sample of the files is used."
)
@click.option(
    "--null", type=click.Choice(["shared", "each"]), default="shared", show_default=True,
    help="One null shared by like queries, as published, or one per query, which calls more compounds active.",
)  # fmt: skip
@click.option("--draws", default=100_000, show_default=True, help="Random orders of a null; 0 for its exact distribution.")
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_path", type=OUT_FILE, help="Write the numbers here.")
def jumpcp(files: tuple[Path, ...], json_path: Path | None, **options: object) -> None:
    """Run CHAMMI-75's JUMP-CP benchmark: the share of compounds that differ from DMSO on seven U2OS plates, and their mean mAP.

    FILES are one feature set (parquet, CSV, or a folder) with Metadata_Plate and Metadata_Well; other plates are left out.
    """
    from kit.files import write_whole
    from kit.measures.jumpcp import jumpcp as run
    from kit.measures.jumpcp import jumpcp_text

    result = run(files, **options)  # type: ignore[arg-type]  # click has converted them
    click.echo(jumpcp_text(result))
    if json_path:
        write_whole(json_path, json.dumps(result, indent=1) + "\n")
        click.echo(json_path)


@benchmark.command("cell-dino", cls=Once)
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option(
    "--metadata", type=PATH, help="Folder of the official tables; without it the files' own Metadata_ columns are used."
)
@click.option("--label", metavar="COLUMN", help="The treatments; default: broad_sample, or what the file records.")
@click.option("--control", metavar="VALUE", help="The label of the controls, on which sphering is fitted.")
@click.option("--moa", metavar="COLUMN", help="The mechanisms, | between several; default: moa or mechanism.")
@click.option(
    "--dose", metavar="COLUMN", help="The doses, of which the highest of each treatment counts; default: dose, or none."
)
@click.option(
    "--unit", type=click.Choice(["treatments", "wells"]), default="treatments", show_default=True,
    help="What a mechanism is named from.",
)  # fmt: skip
@click.option(
    "--ridge", default=0.1, show_default=True, type=click.FloatRange(0), help="Ridge of the sphering, as in kit profile."
)
@click.option("--k", default=5, show_default=True, type=click.IntRange(1), help="Nearest neighbours that name a treatment.")
@click.option("--runs", default=10, show_default=True, type=click.IntRange(1), help="Seeds of folds and networks.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="The first seed.")
@click.option("--json", "json_path", type=OUT_FILE, help="Write the numbers here.")
def cell_dino(
    files: tuple[Path, ...],
    json_path: Path | None,
    label: str | None,
    control: str | None,
    moa: str | None,
    dose: str | None,
    **options: object,
) -> None:
    """Run Cell-DINO's evaluation: mechanisms and treatments named by classifiers on your features, with and without sphering.

    FILES are one feature set (parquet, CSV, or a folder) with Metadata_Plate and Metadata_Well; a row is a cell, a field
    (Metadata_Site) or a well.
    """
    from kit.files import write_whole
    from kit.probes.cell_dino import cell_dino as run
    from kit.probes.rows import Asked
    from kit.probes.text import cell_dino_text

    asked = Asked(label=label, control=control, moa=moa, dose=dose)
    result = run(files, asked=asked, **options)  # type: ignore[arg-type]  # click has converted them
    click.echo(cell_dino_text(result))
    if json_path:
        write_whole(json_path, json.dumps(result, indent=1) + "\n")
        click.echo(json_path)


@benchmark.command(cls=Once)
@click.argument("files", type=PATH, nargs=-1, required=True)
@click.option(
    "--metadata", type=PATH, help="Folder of the official tables; without it the files' own Metadata_ columns are used."
)
@click.option("--label", metavar="COLUMN", help="The treatments; default: broad_sample, or what the file records.")
@click.option("--control", metavar="VALUE", help="The label of the controls, which are left out.")
@click.option("--moa", metavar="COLUMN", help="The mechanisms, one a row; default: moa or mechanism.")
@click.option(
    "--unit", type=click.Choice(["wells", "rows"]), default="wells", show_default=True, help="Means of wells, or rows as given."
)
@click.option(
    "--hold-out", type=click.Choice(["treatments", "plates", "wells"]), default="treatments", show_default=True,
    help="What is never split between training and test.",
)  # fmt: skip
@click.option("--most", default=40, show_default=True, type=click.IntRange(2), help="The most frequent classes.")
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Seeds of the folds.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="The first seed.")
@click.option("--json", "json_path", type=OUT_FILE, help="Write the numbers here.")
def cellrep(
    files: tuple[Path, ...], json_path: Path | None, label: str | None, control: str | None, moa: str | None, **options: object
) -> None:
    """Run CellRep's evaluation: the most frequent mechanisms named by logistic regression, top-1 and weighted precision.

    FILES are one feature set (parquet, CSV, or a folder) with Metadata_Plate and Metadata_Well.
    """
    from kit.files import write_whole
    from kit.probes.cellrep import cellrep as run
    from kit.probes.cellrep import cellrep_text
    from kit.probes.rows import Asked

    result = run(files, asked=Asked(label=label, control=control, moa=moa), **options)  # type: ignore[arg-type]  # by click
    click.echo(cellrep_text(result))
    if json_path:
        write_whole(json_path, json.dumps(result, indent=1) + "\n")
        click.echo(json_path)


@benchmark.command("cell-dino-cells", cls=Once)
@click.argument("array", type=PATH, metavar="FILE.npz")
@click.argument("table", type=PATH, metavar="CELLS.csv")
@click.option("--label", required=True, metavar="COLUMN", help="The class of each cell, | between several; empty: left out.")
@click.option(
    "--leave-out", required=True, metavar="COLUMN", help="Groups that are never split between training and test: plate, movie."
)
@click.option("--weights", type=PATH, help="A run's folder, a checkpoint, or a published file; default: random weights alone.")
@click.option("--crop", "side", type=click.IntRange(1), help="Side of a crop, pixels; default: 0.8 of the image's.")
@click.option("--shares", default="1,10,100", show_default=True, metavar="PERCENT", help="Shares of the labels to train on.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--epochs", default=30, show_default=True, type=click.IntRange(1), help="Epochs of a head.")
@click.option(
    "--network-epochs", default=10, show_default=True, type=click.IntRange(1), help="Epochs of a network trained whole."
)
@click.option("--json", "json_path", type=OUT_FILE, help="Write the numbers here.")
def cell_dino_cells(
    array: Path,
    table: Path,
    shares: str,
    seeds: int,
    epochs: int,
    network_epochs: int,
    json_path: Path | None,
    **options: object,
) -> None:
    """Run Cell-DINO's evaluation on images of single cells: heads on a frozen network beside networks trained by the labels.

    Heads are linear, two layers, and five attention heads with thresholds; they are trained on random crops with flips and
    scored on the middle of cells of other plates.
    """
    from kit.files import write_whole
    from kit.probes.cells import cell_dino_cells as run
    from kit.probes.cells import cells_text
    from kit.probes.images import Plan

    plan = Plan.of(shares, seeds=seeds, epochs=epochs, network_epochs=network_epochs)
    result = run(array, table, plan=plan, **options)  # type: ignore[arg-type]  # click has converted them
    click.echo(cells_text(result))
    if json_path:
        write_whole(json_path, json.dumps(result, indent=1) + "\n")
        click.echo(json_path)


VERBS = (benchmark,)
