"""The command line: one function per verb that parses, calls and reports. Heavy imports wait until a verb needs them."""

import json
import logging
import os
import signal
import sys
from pathlib import Path

import click

import kit
from kit.config import channel_names
from kit.errors import KitError, StoppedInOrder, UsageError
from kit.recipe import config_from_settings, load_recipe

FOLDER = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(kit.__version__)
def cli():
    """From Cell Painting plates to a scored submission of the Cell Line Transferability challenge.

    Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 75 stopped in order, run the same line again; 130 interrupted.
    """


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json):
    """Versions, devices, compiled modules, and which backend each operation would use, with the reason."""
    from kit.doctor import examine, to_text

    found = examine()
    click.echo(json.dumps(found, indent=2) if as_json else to_text(found))


@cli.command()
@click.argument("out", type=FOLDER)
@click.option("--seed", default=0, show_default=True, help="Everything made follows from it.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the plates, e.g. compounds=6.")
@click.option("--jobs", type=int, default=None, help="Processes; default: one per core.")
@click.option("--picture", type=FOLDER, default=None, help="Also draw the plates into this PNG.")
def phantom(out, seed, settings, jobs, picture):
    """Make plates with known answers, in the very files the microscope writes."""
    from kit.images.phantom import PhantomConfig, make_plates

    made = make_plates(out, config_from_settings(PhantomConfig, settings, seed=seed), jobs=jobs)
    click.echo(made.text())
    if picture:
        from kit.images.phantom_figure import draw_plate_figure

        draw_plate_figure(out, picture)
        click.echo(f"picture: {picture}")


@cli.command()
@click.option("--out", type=FOLDER, default=Path("demo"), show_default=True)
@click.option("--seed", default=0, show_default=True)
def demo(out, seed):
    """The whole walk on made plates: make, ingest, train, embed, profile, export, score."""
    from kit.demo import run_demo

    click.echo(run_demo(out, seed=seed, say=click.echo))


@cli.command()
@click.argument("source")
@click.option("--metadata", type=FOLDER, help="Folder with the official metadata tables.")
@click.option("--work", type=FOLDER, required=True, help="The work folder; made if absent.")
@click.option("--plates", help="Barcodes, comma-separated; default: all that are found.")
@click.option("--jobs", type=int, default=None, help="Threads; default: one per core.")
@click.option("--load-data", help="Folder or URL with <plate>/load_data.csv(.gz).")
@click.option("--layout", type=FOLDER, help="CSV with the stage position of each field.")
@click.option("--scale", type=click.Choice(["image", "plate-percentile"]), default="image", show_default=True)
@click.option("--bits", type=click.Choice(["8", "16"]), default="8", show_default=True)
@click.option("--size", type=int, default=None, help="Store sites at this side, pixels, by area averaging.")
@click.option("--codec", default=None, help="Name of the store's codec.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, write nothing.")
@click.option("--verify", is_flag=True, help="Read the whole store again against its checksums.")
@click.option("--strict", is_flag=True, help="Stop at the first bad file.")
@click.option("--max-bad", type=float, default=0.1, show_default=True, help="A plate with a larger share of bad images fails.")
@click.option("--illum", help="Folder or URL with <plate>/<plate>_Illum<Channel>.npy to divide by before scaling.")
@click.option("--dask", metavar="ADDRESS", help="Address of a Dask scheduler whose workers do the packing.")
def ingest(source, metadata, work, plates, bits, **options):
    """Pack plates of microscope TIFFs into the 8-bit store."""
    from kit.images.ingest import ingest as run

    report = run(source, work, metadata=metadata, plates=_words(plates), bits=int(bits), **options)
    click.echo(report.text())
    if report.failed:
        raise KitError(f"{len(report.failed)} of the plates failed: {', '.join(map(str, report.failed))}")


@cli.command()
@click.argument("work", type=FOLDER)
@click.option("--out", type=FOLDER, required=True)
@click.option("--recipe", default="sslprofiler-local", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
def views(work, out, recipe, settings):
    """Draw sites of a work folder under each augmentation."""
    from kit.model.views_figure import draw_views_figure

    draw_views_figure(kit.open(work), load_recipe(recipe, settings).views, out)
    click.echo(out)


def _run_config(recipe, channels, settings, seed):
    return load_recipe(recipe, settings, channels=channel_names(channels) if channels else None, seed=seed)


@cli.command()
@click.option("--work", type=FOLDER, required=True)
@click.option("--recipe", default="sslprofiler-local", show_default=True, help="A name, or a .toml file.")
@click.option("--channels", help="fluorescence, brightfield, all, or names, comma-separated.")
@click.option("--run", "name", required=True, help="Name of the run.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change one value, e.g. train.lr=1e-4.")
@click.option("--seed", type=int, default=None)
@click.option("--epochs", type=float, default=None, help="Short for --set train.epochs=N; crops.epoch says what an epoch is.")
@click.option("--plates", help="Train on these plates only.")
@click.option(
    "--on-bad", type=click.Choice(["fail", "skip"]), help="A damaged image in the store; short for --set crops.on_bad=."
)
@click.option("--resume", is_flag=True, help="Continue the run, or start it if absent.")
@click.option("--max-hours", type=float, default=None, help="Save and exit with 75 after this long.")
def train(work, recipe, channels, name, settings, seed, epochs, plates, on_bad, resume, max_hours):
    """Train one model from the sites of a work folder."""
    from kit.model.train import train as run

    short = {"train.epochs": epochs, "crops.on_bad": on_bad}
    settings = (*settings, *(f"{key}={value}" for key, value in short.items() if value is not None))
    config = load_recipe(
        recipe, settings, channels=channel_names(channels) if channels else None, seed=seed, plates=_words(plates)
    )
    summary = run(kit.open(work), name, config, resume=resume, max_hours=max_hours)
    click.echo(summary.text())


@cli.command()
@click.option("--recipe", default="sslprofiler-local", show_default=True)
@click.option("--machine", type=click.Choice(["here", "kaggle-2xt4", "h200"]), default="here", show_default=True)
@click.option("--channels", help="As in kit train.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE")
@click.option("--work", type=FOLDER)
def plan(recipe, machine, channels, settings, work):
    """Steps, hours, memory and the number of 12-hour runs that a recipe takes."""
    from kit.model.plan import plan as run

    click.echo(run(_run_config(recipe, channels, settings, None), machine, work=kit.open(work) if work else None))


@cli.command()
@click.option("--work", type=FOLDER, required=True)
@click.option("--run", "runs", multiple=True, required=True)
@click.option("--weights", type=FOLDER, help="A checkpoint instead of the run's last, or a published DINOv2 file.")
@click.option("--channels", help="As in kit train; for a published file whose run does not exist yet.")
@click.option("--baseline", type=click.Choice(["random", "intensity"]), help="Write RUN-random or RUN-intensity instead.")
def embed(work, runs, weights, channels, baseline):
    """Turn every site into a feature vector with a trained backbone."""
    from kit.profiles.embed import embed as run

    opened, names = kit.open(work), channel_names(channels) if channels else ()
    for name in runs:
        click.echo(run(opened, name, weights=weights, baseline=baseline, channels=names).text())


@cli.command()
@click.option("--work", type=FOLDER, required=True)
@click.option("--run", "runs", multiple=True, required=True, help="One or more runs; their features are concatenated.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--parts", default="cls,patch", show_default=True)
@click.option("--sites", type=click.Choice(["position", "area", "bilinear", "corners"]), default="position", show_default=True)
@click.option("--order", type=click.Choice(["file", "position"]), default="file", show_default=True)
@click.option("--merge", type=click.Choice(["concat", "mean"]), default="concat", show_default=True)
@click.option("--normalize", type=click.Choice(["none", "centre", "mad"]), default="none", show_default=True)
@click.option("--whiten", type=click.Choice(["none", "sphere", "tvn"]), default="none", show_default=True)
@click.option("--align", type=float, default=None, help="Weight kept of a well's own vector, 0 to 1; uses well position.")
@click.option("--l2", is_flag=True, help="Scale every well's vector to length 1.")
def profile(work, runs, out, parts, **options):
    """Merge the sites of every well into one vector, with the post-processing asked for."""
    from kit.profiles.profile import profile as run

    profiles = run(kit.open(work), runs, out, parts=_words(parts), **options)
    click.echo(f"{out}: {profiles.text()}")


@cli.command()
@click.argument("profiles", type=FOLDER)
@click.option("--ids", type=FOLDER, required=True, help="The challenge's metadata_test.csv.")
@click.option("--out", type=FOLDER, required=True)
@click.option("--id-column")
@click.option("--plate-column")
@click.option("--well-column")
def export(profiles, ids, out, **columns):
    """Write the challenge CSV: every ID once, in the order of --ids."""
    from kit.challenge.export import export as run

    click.echo(run(profiles, ids, out, **columns).text())


@cli.command()
@click.argument("submission", type=FOLDER)
@click.option("--ids", type=FOLDER, required=True)
def check(submission, ids):
    """Check a challenge CSV against the ID table."""
    from kit.challenge.check import check as run

    click.echo(run(submission, ids).text())


@cli.command()
@click.argument("files", type=FOLDER, nargs=-1, required=True)
@click.option("--metadata", type=FOLDER, required=True)
@click.option("--ids", type=FOLDER, help="metadata_test.csv: which wells count, and the plate and well of each ID.")
@click.option("--k", default=5, show_default=True)
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@click.option("--label", type=click.Choice(["broad_sample", "pert_iname", "inchikey"]), default="broad_sample", show_default=True)
@click.option("--ties", type=click.Choice(["sklearn", "nearest"]), default="sklearn", show_default=True)
@click.option("--cross", type=click.Choice(["holdout", "all"]), default="holdout", show_default=True)
@click.option("--folds", default=5, show_default=True)
@click.option("--seeds", default=1, show_default=True, help="Number of ways to deal plates into folds.")
@click.option("--json", "json_path", type=FOLDER, help="Write score.json here.")
def score(files, metadata, ids, json_path, **options):
    """Score features by k-NN within and across cell lines, folds by plate."""
    from kit.challenge.score import score_files, scores_text, write_scores

    scores = score_files(files, metadata, ids=ids, **options)
    click.echo(scores_text(scores))
    if json_path:
        write_scores(scores, json_path)
        click.echo(json_path)


@cli.command()
@click.option("--work", type=FOLDER, required=True)
@click.option("--out", type=FOLDER, required=True)
def report(work, out):
    """Write a page about a work folder: plates, runs, scores."""
    from kit.challenge.report import report as run

    click.echo(run(kit.open(work), out))


@cli.command()
@click.argument("submission", type=FOLDER)
@click.option("--message", required=True)
@click.option("--competition", default=None, metavar="SLUG")
@click.option("--yes", is_flag=True, help="Do not ask before uploading.")
@click.option("--wait", is_flag=True, help="Wait for the public score.")
def submit(submission, message, competition, yes, wait):
    """Upload a submission with the kaggle package, and keep a record of it."""
    from kit.challenge.submit import prepare, upload

    plan = prepare(submission, message, competition=competition)
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    if not yes and not click.confirm(plan.question(), err=True):
        click.echo("not uploaded")
        return
    click.echo(upload(plan, wait=wait).text())


@cli.command()
@click.option("--competition", default=None, metavar="SLUG")
def submissions(competition):
    """Past uploads with their local and public scores."""
    from kit.challenge.submissions import submissions as run

    click.echo(run(competition=competition))


@cli.command()
@click.option("--work", type=FOLDER, required=True)
@click.option("--recipe", "recipes", multiple=True, required=True)
@click.option("--channels", default="fluorescence", show_default=True, help="One network for each group between +.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Laid over every recipe.")
@click.option(
    "--switch",
    "switches",
    multiple=True,
    metavar="'KEY=VALUE ...'",
    help="One more row with only this changed; channels=A+B too.",
)
@click.option("--seeds", default=3, show_default=True)
@click.option("--baselines", is_flag=True, help="Also random weights and intensity statistics.")
@click.option("--out", type=FOLDER, required=True, help="A JSON file; a finished row is not trained again.")
def compare(work, recipes, channels, settings, switches, seeds, baselines, out):
    """Train recipes or switches on the same plates, seeds and budget, and score them side by side."""
    from kit.compare import compare as run
    from kit.compare import parse_models

    table = run(kit.open(work), recipes, models=parse_models(channels), settings=settings, switches=switches,
                seeds=range(seeds), baselines=baselines, out=out)  # fmt: skip
    click.echo(table)


def _stop_in_order(signum, frame):
    raise StoppedInOrder("stopped by SIGTERM; run the same command line again to go on")


def main() -> None:
    """Entry point: turn every expected failure into one line and its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while waiting starve a shared machine
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    signal.signal(signal.SIGTERM, _stop_in_order)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        sys.exit(ended.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted", 130)
    except StoppedInOrder as stop:
        _fail(str(stop), 75)
    except UsageError as error:
        _fail(str(error), 2, error)
    except KitError as error:
        _fail(str(error), 1, error)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 1, error)


def _fail(message: str, code: int, error: BaseException | None = None) -> None:
    if error is not None and os.environ.get("KIT_DEBUG"):
        raise error
    click.echo(f"kit: {' '.join(message.split())}", err=True)
    sys.exit(code)
