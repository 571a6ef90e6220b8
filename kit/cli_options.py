"""What the verbs' command lines share."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


def words(text: str | None) -> tuple[str, ...]:
    """Return the words of a comma-separated option; none where it is not given."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())
