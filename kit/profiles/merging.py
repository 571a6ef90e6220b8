"""How the sites of a well become one profile: what was asked for, or what suits every plate of the file."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from kit.profiles.places import field_positions, find_places, lacks_positions
from kit.profiles.table import PLATE
from kit.words import count

if TYPE_CHECKING:
    from kit.images.store.work import Work


@dataclass(frozen=True, slots=True)
class Merging:
    """How sites are merged.

    how: `concat`: nine blocks side by side; `mean`: one vector. sites: `all`: a mean of every site, wherever it is; else
    how sites are placed, see `wells.place_sites`. order: of the sites, where their places depend on it. why: the reason,
    where it was not asked for.
    """

    how: str
    sites: str
    order: str | None
    why: str | None = None


def choose_merging(fields: pd.DataFrame, merge: str | None, sites: str | None, order: str) -> Merging:
    """Return how to merge the plates of a file.

    Sites are concatenated where every plate images the challenge's nine places, and averaged otherwise: all plates of a
    file in the same way. `--sites` alone asks for nine blocks, concatenated.

    Args:
        fields: of all plates of the file, see `places.field_positions`.
        merge, sites: None where not given. order: `file` or `position`.
    """
    why = None
    if merge is None and sites is None:
        doubt = _why_not_nine(fields)
        merge, why = ("mean", doubt) if doubt else ("concat", "every plate images the challenge's nine places")
    if merge == "mean" and sites is None:
        return Merging("mean", "all", None, why)
    sites = sites or "position"
    return Merging(merge or "concat", sites, None if sites == "position" else order, why)


def averages(work: "Work") -> bool:
    """Return whether the sites of a well are averaged where neither --merge nor --sites is given, with all plates of a store."""
    return bool(_why_not_nine(field_positions(work.sites)))


def _why_not_nine(fields: pd.DataFrame) -> str:
    """Return why the sites of these plates cannot be concatenated as the challenge's; empty if they can."""
    places = find_places(fields)
    doubts = []
    for key, rows in fields.groupby(PLATE):
        plate, imaged = str(key), len(places[str(key)])
        if lacks_positions(rows):
            doubts.append(f"plate {plate} has no stage positions")
        elif imaged < 9:
            of = count(len(rows), "field")
            doubts.append(f"plate {plate} images {imaged or 'none'} of the challenge's nine places ({of})")
    if len(doubts) < 2:
        return "".join(doubts)
    return f"{doubts[0]}, and {count(len(doubts) - 1, 'more plate')} {'does' if len(doubts) == 2 else 'do'} not fit"
