"""The profiles as they were scored: their wells, inner products and neighbours, and how often each well is recognised."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from kit.challenge.comparison import tested_wells
from kit.challenge.directions import Neighbourhood
from kit.challenge.labels import Wanted, label_wells
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.errors import KitError
from kit.neighbours import Gram
from kit.profiles.table import PLATE, WELL, Profiles

_RULES = ("k", "metric", "votes", "ties", "cross", "stratified")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recognised:
    """The wells of profiles and their neighbours.

    wells, gram: see `Wells` and `Gram`. directions: what they score, see `Neighbourhood.directions`. shares: PLATE, WELL and
    share: how often, over directions, a well was right.
    """

    wells: Wells
    gram: Gram
    rules: Rules
    directions: dict[str, dict[str, Any]]
    shares: pd.DataFrame


def rules_of(result: Mapping[str, Any] | None) -> Rules:
    """Return the rules of a score; those of `kit score` where there is none."""
    known = {name: result[name] for name in _RULES if name in result} if result else {}
    return Rules(**known)


def recognise(profiles: Profiles, rules: Rules) -> Recognised:
    """Return the neighbours of the wells of `profiles` by their own labels.

    Raises:
        KitError: no well has a label, or no direction can be scored; in words.
    """
    labelled = label_wells(profiles.who, None, Wanted(), profiles.labels, "the profiles")
    if labelled.scored.empty:
        raise KitError("no well of the profiles has a label")
    wells = Wells.of(labelled, "group")
    gram = Gram.of(profiles.features_MF[wells.row_M])
    found = Neighbourhood.of(wells, gram, rules)
    tables = list(tested_wells(found).values())
    if not tables:
        raise KitError(next(iter(found.plans.values())).reason)
    shares = pd.concat(tables).groupby(level=[PLATE, WELL])["right"].mean().rename("share").reset_index()
    return Recognised(wells=wells, gram=gram, rules=rules, directions=found.directions(), shares=shares)
