"""The verb wheels: kit for a machine without a network."""

from pathlib import Path

import click

from kit.cli.options import PATH, Once
from kit.errors import UsageError


@click.command(cls=Once)
@click.argument("folder", metavar="OUT", type=PATH)
@click.option("--python", default="", metavar="VERSION", help="The machine's Python.  [default: 3.12, Kaggle's]")
@click.option("--torch-from-image", is_flag=True, help="Leave out what Kaggle's image has: torch, triton, numpy and the like.")
@click.option(
    "--image", type=PATH, metavar="FILE", help="Leave out what this machine's `pip list --format=freeze` lists instead."
)
@click.option(
    "--without", multiple=True, metavar="PACKAGE", help="Leave out this package too, and what it alone needs; repeatable."
)
@click.option("--binary", is_flag=True, help="Compile kit's wheel, for this Python; needs a compiler and auditwheel.")
@click.option("--compile", "here", is_flag=True, help="On the other machine: compile and install kit from the source in OUT.")
def wheels(
    folder: Path, python: str, torch_from_image: bool, image: Path | None, without: tuple[str, ...], binary: bool, here: bool
) -> None:
    """Fill the folder OUT with what installs kit where there is no network.

    Kit's own wheel in pure Python, its source, and the wheels of all it needs, for Linux on x86_64. By default torch and
    its CUDA libraries, gigabytes, are among them. On Kaggle the folder is the data set kit-wheels.
    """
    if here:
        from kit.wheels.compiling import compile_here

        if python or torch_from_image or image or without or binary:
            raise UsageError("--compile takes the folder alone")
        click.echo(compile_here(folder))
        return
    from kit.wheels.folder import make_wheels
    from kit.wheels.image import KAGGLE, NOTHING, read_image

    if torch_from_image and image:
        raise UsageError("give one of --torch-from-image and --image: both say what is left out")
    listed = read_image(KAGGLE) if torch_from_image else read_image(image) if image else NOTHING
    click.echo(make_wheels(folder, python=python, image=listed, binary=binary, without=without).text())


VERBS = (wheels,)
