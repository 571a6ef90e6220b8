"""The verbs of kit.kaggle: submit, submissions, kaggle push and pull."""

import sys
from pathlib import Path

import click

from kit.cli.options import PATH, Once, more_than_zero, words
from kit.errors import UsageError


@click.command(cls=Once)
@click.argument("submission", type=PATH)
@click.option("--message", required=True)
@click.option("--competition", default=None, metavar="SLUG")
@click.option("--ids", type=PATH, help="The challenge's metadata_test.csv, for a file that kit export did not write.")
@click.option("--yes", is_flag=True, help="Upload without asking.")
@click.option("--wait", is_flag=True, help="Wait for the public score.")
@click.option("--verify", is_flag=True, help="Fetch the upload again and compare it with the file.")
def submit(
    submission: Path, message: str, competition: str | None, ids: Path | None, yes: bool, wait: bool, verify: bool
) -> None:
    """Check a submission, upload it to Kaggle and keep a record of it. Uses the kaggle package.

    An upload that failed before Kaggle took it is tried again; one whose end is unknown is looked up, never sent twice.
    """
    from kit.kaggle.command import check_access
    from kit.kaggle.plan import ask_kaggle, prepare
    from kit.kaggle.submit import upload

    plan = prepare(submission, message, competition=competition, ids=ids)
    click.echo(plan.text())
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    check_access()  # before the prompt
    standing = ask_kaggle(plan.competition)
    if yes or _agreed(standing.question(plan)):
        click.echo(upload(plan, standing, wait=wait, verify=verify).text())
    else:
        click.echo("not uploaded")


def _agreed(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise UsageError("not uploaded: stdin is not a terminal: add --yes to upload without asking") from None


@click.command(cls=Once)
@click.option("--competition", default=None, metavar="SLUG")
def submissions(competition: str | None) -> None:
    """List past uploads: local score, its null, public score, the difference, and what changed from each to the next."""
    from kit.kaggle.submissions import submissions as run

    click.echo(run(competition=competition))


@click.group("kaggle")
def kaggle() -> None:
    """Push data sets and notebooks to Kaggle, and fetch the runs of a notebook. Uses the kaggle package."""


@kaggle.command(cls=Once)
@click.argument("path", type=PATH, required=False)
@click.option("--dataset", "kind", type=click.Choice(["store", "weights", "wheels", "runs"]), help="What PATH holds.")
@click.option("--notebook", metavar="NAME", help="Instead: a notebook, by file or by its name in notebooks/.")
@click.option("--id", "name", metavar="NAME", help="NAME or OWNER/NAME at Kaggle.  [default: by kind, such as kit-runs]")
@click.option("--title", help="Of a data set.  [default: its name]")
@click.option("--notes", default="", help="Of the version of a data set.  [default: what it holds]")
@click.option(
    "--part-gb", type=float, callback=more_than_zero, help="GB of a data set; a store is split by plates.  [default: 100]"
)
@click.option("--public", is_flag=True, help="Make new data sets public.")
@click.option("--stage", type=PATH, help="Where archives are made before they are uploaded.  [default: PATH.kaggle]")
@click.option("--attach", metavar="A,B", help="Data sets of a notebook, instead of those of its metadata.")
def push(
    path: Path | None,
    kind: str | None,
    notebook: str | None,
    name: str | None,
    attach: str | None,
    title: str | None,
    notes: str,
    part_gb: float | None,
    public: bool,
    stage: Path | None,
) -> None:
    """Push PATH as a data set, a new one or a new version, or push a notebook, which runs there at once.

    A store that is larger than --part-gb becomes several data sets of some plates each; their folder opens as one store. What
    was pushed and has not changed is not pushed again, and a push that was interrupted goes on.
    """
    from kit.kaggle.command import check_access
    from kit.kaggle.notebook import push_notebook
    from kit.kaggle.push import PART_GB, push_dataset

    if (notebook is None) == (kind is None) or (kind is None) != (path is None):
        raise UsageError("give either --dataset KIND PATH or --notebook NAME")
    if attach is not None and notebook is None:
        raise UsageError("--attach is for --notebook")
    if notebook is not None and (title or notes or public or stage or part_gb):
        raise UsageError("--title, --notes, --part-gb, --public and --stage are for --dataset")
    check_access()
    if notebook is not None:
        click.echo("\n".join(push_notebook(notebook, ref=name, datasets=words(attach, "--attach"))))
    elif kind is not None and path is not None:
        push_dataset(
            kind,
            path,
            name=name,
            title=title,
            notes=notes,
            part_gb=part_gb or PART_GB,
            public=public,
            stage=stage,
            say=click.echo,
        )


@kaggle.command(cls=Once)
@click.argument("notebook", metavar="NAME")
@click.option("--work", type=PATH, required=True)
@click.option("--replace", is_flag=True, help="Put a run in the place of a different one of the same name.")
def pull(notebook: str, work: Path, replace: bool) -> None:
    """Fetch the runs among the output of the notebook NAME or OWNER/NAME into WORK/runs."""
    from kit.kaggle.command import check_access
    from kit.kaggle.notebook import pull_runs

    check_access()
    click.echo("\n".join(pull_runs(notebook, work, replace=replace)))


VERBS = (submit, submissions, kaggle)
