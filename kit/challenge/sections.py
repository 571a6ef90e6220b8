"""What further modules say of a scored feature set: each adds keys to score.json and lines to the output.

A module offers an object with the three members of `Section` and knows the score; the score knows of sections only this.
`kit.sections` lists those that `kit score` and `kit.score` make.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd

from kit.challenge.columns import Tables
from kit.challenge.directions import Neighbourhood
from kit.challenge.features import Features
from kit.challenge.labels import Labelled, Wanted
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.neighbours import Gram


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A feature set as it was scored.

    source: what the user gave: a path, several, a table or profiles. ids: the wells that --ids picked of it, or None.
    features, labelled: its wells as read, row for row. tables, wanted: what --metadata or --labels named, and the columns.
    wells: those that are scored and the controls, by plate, then well: row_M leads to the features. gram: a row for each of
    `wells`. found: their neighbours under `rules`. result: what score.json holds so far; not to be changed. shared: what one
    section has worked out and another may take, by name; gone with this object.
    """

    source: Any
    ids: pd.DataFrame | None
    features: Features
    labelled: Labelled
    tables: Tables
    wanted: Wanted
    wells: Wells
    gram: Gram
    found: Neighbourhood
    rules: Rules
    result: dict[str, Any]
    shared: dict[Any, Any] = field(default_factory=dict)


class Section(Protocol):
    """What adds to a score."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What it adds to score.json, each an object of its own."""
        ...

    def make(self, scored: Scored) -> dict[str, Any]:
        """Return {key: object} for each of `keys`: every entry in it is a value, or {"value": null, "reason": text}."""
        ...

    def lines(self, result: dict[str, Any]) -> list[str]:
        """Return the lines to print below the table, from what score.json holds of a feature set: that alone must do."""
        ...
