"""What the metrics.jsonl of a run says of its training, as tables. Made without torch: a page shows them."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kit.model.limits import LIMITS
from kit.model.stalled import MEANING

KINDS = {
    **MEANING,
    "dino_same": "a masked view and itself",
    "dino_local": "a small crop and its site",
    "ibot": "masked patches (iBOT)",
    "koleo": "spread of the class tokens (KoLeo)",
    "nt_xent": "two views among all of the batch (NT-Xent)",
    "mae": "pixels of hidden patches (MAE)",
    "loss": "whole loss",
}  # in the order in which they are shown
COMPARISONS = tuple(kind for kind in KINDS if kind.startswith("dino_"))  # mean cross-entropies, that a guess has a value of


def read_metrics(folder: Path) -> list[dict]:
    """Return the lines of a run's metrics.jsonl that are whole."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines if step_of(line) < math.inf]


def step_of(line: str) -> float:
    """The step of a line; infinity for one that a kill cut short."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The training of one run.

    losses: step, kind (a key of KINDS), value, guess: ln K for K prototypes, what a student that sees nothing reaches, NaN for
    kinds that it says nothing of. rates: step, lr. knn: step, accuracy, chance, wells; of treated wells on other plates.
    signs: step, sign (a name of LIMITS), value. said: step, event (collapse, stalled, skipped), what, in words.
    """

    losses: pd.DataFrame
    rates: pd.DataFrame
    knn: pd.DataFrame
    signs: pd.DataFrame
    said: pd.DataFrame

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, Any]], prototypes: int | None) -> "History":
        """Return the history that `read_metrics` read, of a run whose heads have so many prototypes; None where unknown."""
        guess = math.log(prototypes) if prototypes else math.nan
        steps = [line for line in lines if "loss" in line]
        losses = [
            (line["step"], kind, line[kind], guess if kind in COMPARISONS else math.nan)
            for line in steps
            for kind in KINDS
            if kind in line
        ]
        signs = [
            (line["step"], limit.sign, line["signs"][limit.sign])
            for line in steps
            for limit in LIMITS
            if limit.sign in line.get("signs", {})  # without a teacher there are no targets to watch
        ]
        knn = [tuple(line[key] for key in ("step", "accuracy", "chance", "wells")) for line in _events(lines, "knn")]
        said = [(line["step"], line["event"], _what(line)) for line in _events(lines, "collapse", "stalled", "skipped")]
        return cls(
            losses=pd.DataFrame(losses, columns=["step", "kind", "value", "guess"]),
            rates=pd.DataFrame([(line["step"], line["lr"]) for line in steps if "lr" in line], columns=["step", "lr"]),
            knn=pd.DataFrame(knn, columns=["step", "accuracy", "chance", "wells"]),
            signs=pd.DataFrame(signs, columns=["step", "sign", "value"]),
            said=pd.DataFrame(said, columns=["step", "event", "what"]),
        )

    def watched(self) -> pd.DataFrame:
        """Return a row per sign that was read: sign, least, most, last, healthy (its limits), beyond (readings), of, meaning.

        meaning: what the last reading beyond the limits says; empty where none was. A network starts with bad signs, so that
        readings beyond are no alarm by themselves: `said` holds those.
        """
        rows = []
        for limit in LIMITS:
            values = self.signs.loc[self.signs["sign"] == limit.sign, "value"].tolist()
            bad = [value for value in values if not limit.holds(value)]
            if values:
                meaning = limit.breach(bad[-1]) if bad else ""
                rows.append((limit.sign, min(values), max(values), values[-1], limit.text(), len(bad), len(values), meaning))
        return pd.DataFrame(rows, columns=["sign", "least", "most", "last", "healthy", "beyond", "of", "meaning"])


def _events(lines: Iterable[Mapping[str, Any]], *names: str) -> list[Mapping[str, Any]]:
    return [line for line in lines if line.get("event") in names]


def _what(line: Mapping[str, Any]) -> str:
    return line["what"] if "what" in line else f"step {line['step']} was skipped: its losses were not finite"
