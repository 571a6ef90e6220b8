"""Made wells on one plate map: 16 compounds in two wells each and 12 DMSO wells, on six plates of one cell line."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from kit.challenge.labels import Wanted, label_wells
from kit.challenge.rules import Rules
from kit.challenge.wells import Wells
from kit.companions.beside import beside
from kit.companions.recorded import Repeat, read_steps
from kit.neighbours import Gram
from kit.profiles.table import Profiles

PLATES = tuple(f"P{number}" for number in range(1, 7))
POSITIONS = [f"{row}{column:02d}" for row in "ABCD" for column in range(1, 12)]
COMPOUNDS = dict(zip(POSITIONS, [f"BRD-{number % 16:02d}" for number in range(32)] + [""] * 12, strict=True))
LABELS = {"perturbation": "Metadata_broad_sample", "control": ""}


def who(compounds: Mapping[str, str] = COMPOUNDS, plates: tuple[str, ...] = PLATES) -> pd.DataFrame:
    """Every well of every plate, by plate, then well."""
    rows = [(plate, well, compounds[well], "U2OS", compounds[well] == "") for plate in plates for well in sorted(compounds)]
    return pd.DataFrame(
        rows, columns=[f"Metadata_{name}" for name in ("Plate", "Well", "broad_sample", "Cell_type", "is_control")]
    )


def made(
    *, compound: float = 0, position: float = 0, plate: float = 0, features: int = 24, seed: int = 0, **wells
) -> Profiles:  # fmt: skip
    """Standard normal noise, and a point of its own for every compound, position and plate, times their strength."""
    rng, rows = np.random.default_rng(seed), who(**wells)
    features_MF = rng.standard_normal((len(rows), features))
    for strength, column in ((compound, "broad_sample"), (position, "Well"), (plate, "Plate")):
        names, code_M = np.unique(rows[f"Metadata_{column}"], return_inverse=True)
        features_MF += strength * rng.standard_normal((len(names), features))[code_M]
    names = tuple(f"run_s1_cls_{number}" for number in range(features))
    steps = ({"step": "parts", "parts": ["cls"]}, {"step": "merge", "how": "mean"})
    return Profiles(features_MF=features_MF.astype(np.float32), who=rows, names=names, steps=steps, labels=LABELS)


def part(profiles: Profiles, keep: np.ndarray) -> Profiles:
    """Some of the wells: their rows, or bool [M]."""
    who = profiles.who.iloc[keep].reset_index(drop=True)
    return replace(profiles, features_MF=profiles.features_MF[keep], who=who)


def wells_of(profiles: Profiles) -> Wells:
    """The wells as `kit score` orders them, here the order of the profiles."""
    wells = Wells.of(label_wells(profiles.who, None, Wanted(), profiles.labels, "made"), "cell line")
    assert (wells.row_M == np.arange(len(profiles.who))).all()
    return wells


def beside_of(profiles: Profiles, repeat: Repeat | None = None, **rules) -> dict:
    """What stands beside the score of profiles, by the steps they record, or `repeat`."""
    wells, gram = wells_of(profiles), Gram.of(profiles.features_MF)
    return beside(gram, wells, Rules(**rules), read_steps(profiles.steps) if repeat is None else repeat)
