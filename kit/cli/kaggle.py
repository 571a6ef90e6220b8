"""The verbs of kit.kaggle: submit, submissions."""

import sys
from pathlib import Path

import click

from kit.cli.options import PATH, Once
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


VERBS = (submit, submissions)
