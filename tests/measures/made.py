"""Made wells and what copairs is to be asked of them: shared by the tests and by record_copairs.py, which wrote copairs.json."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.measures.precision import Between
from kit.neighbours import distances, gram

RECORD = Path(__file__).parent / "copairs.json"
DOSES = ("1 uM", "5 uM", "10 uM")


def between(features_MF: np.ndarray, metric: str = "cosine") -> Between:
    distance_MM = distances(gram(features_MF), metric)
    return lambda rows, columns: distance_MM[np.ix_(rows, columns)]


def round_robin() -> tuple[pd.DataFrame, np.ndarray]:
    """Four compounds in turn over four plates of five wells, as copairs' own tests lay them out, and uniform features."""
    turn = np.arange(20)
    who = pd.DataFrame({"c": [f"c{i % 4}" for i in turn], "p": [f"p{i // 5}" for i in turn]})
    return who, np.random.default_rng(3).uniform(size=(20, 6))


def screen() -> tuple[pd.DataFrame, np.ndarray]:
    """Three plates: eight controls each, ten compounds of rising strength, the last on two wells and the first on two plates.

    Columns sample ("" is a control), plate, targets (| between several).
    """
    rng = np.random.default_rng(1)
    centre_CF = rng.standard_normal((11, 12)) * np.linspace(0, 1.2, 11)[:, None]
    targets = ["", "A", "A", "B", "A|B", "B", "C", "C", "A|C", "D", ""]
    rows, features = [], []
    for plate in range(3):
        compounds = [0] * 8 + [*range(1, 11), 10]
        for compound in compounds[:8] + compounds[8 + (plate == 2) :]:
            rows.append((f"s{compound:02d}" if compound else "", f"P{plate}", targets[compound]))
            features.append(centre_CF[compound] + rng.standard_normal(12))
    return pd.DataFrame(rows, columns=["sample", "plate", "targets"]), np.array(features)


def doses() -> pd.DataFrame:
    """Queries of five compounds at three doses, 3 to 12 positives of 60: compound, dose, average_precision, positives, ranked."""
    rng = np.random.default_rng(2)
    rows = [
        (f"c{compound}", dose, float(np.clip(0.04 + 0.13 * compound * place + 0.1 * rng.random(), 0, 1)), 3 * (place + 1), 60)
        for compound in range(5)
        for place, dose in enumerate(DOSES)
        for _ in range(4)
    ]
    return pd.DataFrame(rows, columns=["compound", "dose", "average_precision", "positives", "ranked"])
