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


VERBS = (benchmark,)
