"""What cross-plate alignment would make of these profiles, and of pure noise in their place. M wells, F features."""

from typing import Any

from kit.challenge.directions import Neighbourhood, mean_of
from kit.challenge.further_text import percent
from kit.challenge.null import noise_like
from kit.neighbours import Gram
from kit.profiles.align import align
from kit.profiles.table import Profiles
from kit.report.blocks import Block, Missing, Section, Table, Text
from kit.report.context import Context
from kit.report.recognised import Recognised

SHARES = (1.0, 0.9, 0.7)  # of a well's own features; the rest is the mean of its position over plates
MANY = 4000  # wells, from which on the middle share is left out: of 24 full plates each row takes 5 s of CPU
MOST = 3e11  # M x M x F: of more, the products of noise take minutes
_WHAT = "alignment beside noise: what pulling wells to the mean of their position makes of features without any signal"


def section(context: Context) -> Section:
    """Return the table of alignment."""
    return Section("alignment", "Alignment beside noise", tuple(_blocks(context)))


def _blocks(context: Context) -> list[Block]:
    found, profiles = context.recognised, context.profiles.profiles
    if isinstance(found, str) or profiles is None:
        return [Missing(_WHAT, found if isinstance(found, str) else context.profiles.said)]
    if profiles.uses_well_position:
        return [Missing(_WHAT, "these profiles are aligned already: give those before --align with --profiles")]
    wells, features = len(found.wells), profiles.features_MF.shape[1]
    if wells * wells * features > MOST:
        how = f"profiles of fewer columns, as kit profile --merge mean writes them ({wells} wells x {features} columns are many)"
        return [Missing(_WHAT, how)]
    rows = align_rows(found, profiles)
    names = list(rows[0][1])
    table = Table(["accuracy, %", *names, "mean"], [[name, *own.values(), mean] for name, own, mean in rows])
    text = (
        "Alignment pulls each well towards the mean of its position over all plates. Where a position holds the same "
        "perturbation on every plate, that mean carries the label: what noise gains, any features gain. Only the rows without "
        f"alignment say what cells tell. Chance: {100 / len(found.wells.classes):.2f} %."
    )
    return [Text(text), table]


def align_rows(found: Recognised, profiles: Profiles) -> list[tuple[str, dict[str, str], str]]:
    """Return (name, {direction: accuracy in %}, mean in %) of the profiles and of noise in their place at each share.

    found: the profiles as they are, recognised.
    """
    rows = []
    for share in SHARES if len(found.wells) < MANY else (SHARES[0], SHARES[-1]):
        for name, own in (("these profiles", profiles), ("pure noise", noise_like(profiles, 0))):
            aligned = own if share == 1 else align(own, share)
            result = found.directions if aligned is profiles else _directions(found, aligned)
            said = "without alignment" if share == 1 else f"align {share}"
            rows.append(
                (f"{name}, {said}", {key: percent(one["accuracy"]) for key, one in result.items()}, percent(mean_of(result)))
            )
    return rows


def _directions(found: Recognised, profiles: Profiles) -> dict[str, dict[str, Any]]:
    """Return what other features of the same wells score."""
    gram = Gram.of(profiles.features_MF[found.wells.row_M])
    return Neighbourhood.of(found.wells, gram, found.rules).directions()
