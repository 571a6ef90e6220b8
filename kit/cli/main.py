"""The command line: one function per verb that parses, calls and reports. Heavy modules are imported only when a verb needs them.

Here: the entry point and the verbs that span the pipeline; the others are in images, model, profile, challenge and kaggle.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

import kit
from kit.cli import challenge, first, images, kaggle, measures, model, profile, wheels
from kit.cli.options import PATH, Once
from kit.errors import KitError, StoppedCleanly, UsageError
from kit.files import is_full


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(kit.__version__)
def cli() -> None:
    """From Cell Painting plates to a scored submission of the Cell Line Transferability challenge.

    Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 75 stopped cleanly, run the same command again to
    continue; 130 interrupted.
    """


@cli.command(cls=Once)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show versions, devices, compiled extensions and backends. Gives the backend of each operation and the reason."""
    from kit.doctor import examine, to_text

    found = examine()
    click.echo(json.dumps(found, indent=2) if as_json else to_text(found))


@cli.command(cls=Once)
@click.option("--out", type=PATH, default=Path("demo"), show_default=True)
@click.option("--seed", default=0, show_default=True)
def demo(out: Path, seed: int) -> None:
    """Run the whole pipeline on made plates, from images to score."""
    from kit.demo import run_demo

    click.echo(run_demo(out, seed=seed, say=click.echo))


@cli.command(cls=Once)
@click.option("--work", type=PATH, required=True)
@click.option(
    "--recipe", "recipes", multiple=True, required=True, metavar="A,B", help="Recipes, a row each; repeat, or list them."
)
@click.option("--channels", default="fluorescence", show_default=True, help="Channels of each network; join networks with +.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one value in every recipe.")
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="'KEY=VALUE ...'",
    help="Add a row in which only this differs; channels=A+B, and parts=, merge= and sites= as in kit profile, work too.",
)
@click.option("--seeds", default=3, show_default=True)
@click.option(
    "--images", type=click.IntRange(min=1), metavar="N",
    help="Every network sees N images: its steps are N / train.batch, its schedules in proportion.  [default: each recipe's own]",
)  # fmt: skip
@click.option(
    "--baselines",
    is_flag=True,
    help="Also score each recipe's random weights, intensity, texture, and each row with texture.",
)
@click.option("--out", type=PATH, required=True, help="JSON file of results; its finished rows are not trained again.")
def compare(
    work: Path,
    recipes: tuple[str, ...],
    channels: str,
    settings: tuple[str, ...],
    switches: tuple[str, ...],
    seeds: int,
    images: int | None,
    baselines: bool,
    out: Path,
) -> None:
    """Train recipes or variants and score them side by side. All get the same plates, seeds and budget."""
    from kit.trials.compare import compare as run
    from kit.trials.compare_budget import listed
    from kit.trials.compare_rows import parse_models

    opened = kit.open(work)
    models = parse_models(channels, groups=opened.groups)
    table = run(opened, listed(recipes), models=models, settings=settings, switches=switches, seeds=range(seeds),
                baselines=baselines, out=out, images=images or 0)  # fmt: skip
    click.echo(table)


for module in (first, images, model, profile, challenge, kaggle, measures, wheels):
    for verb in module.VERBS:
        cli.add_command(verb)


def _stop_cleanly(signum: int, frame: FrameType | None) -> NoReturn:
    raise StoppedCleanly("stopped cleanly by SIGTERM; run the same command again to continue")


def main() -> None:
    """Entry point: turn every expected failure into one line and its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while waiting starve a shared machine
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _stop_cleanly)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        _fail(f"{error.format_message().rstrip('.')} ({_typed(sys.argv[1:])} --help lists the options)", 2)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except StoppedCleanly as stop:
        _fail(str(stop), 75)
    except UsageError as error:
        _fail(str(error), 2, error)
    except KitError as error:
        _fail(str(error), 1, error)
    except OSError as error:
        _fail(_in_words(error), 1, error)


def _typed(words: list[str]) -> str:
    """Return the command that a command line names: kit benchmark cell-dino."""
    named = ["kit"]
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group) or word not in command.commands:
            break
        command = command.commands[word]
        named.append(word)
    return " ".join(named)


def _in_words(error: OSError) -> str:
    if is_full(error) and error.filename:
        return f"no space left for {error.filename}: free some and run the same command again"
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)


def _fail(message: str, code: int, error: BaseException | None = None) -> NoReturn:
    if error is not None and os.environ.get("KIT_DEBUG"):
        raise error
    click.echo(f"kit: {' '.join(message.split())}", err=True)
    for line in error.lines if isinstance(error, KitError) else ():
        click.echo(line, err=True)
    sys.exit(code)
