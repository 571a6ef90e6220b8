"""Says when a comparison of two views teaches the network nothing: its cross-entropy stays where a guess is."""

import math
from collections.abc import Mapping

MEANING = {"dino_well": "two sites of a well", "dino_site": "two views of a site"}
READINGS = 20  # in a row, after the warm-up, whose mean counts
ADVICE = "let a view hold more cells: a larger crops.global_area, with crops.global_side to keep the magnification"


class Stalled:
    """Raised once for each kind of comparison whose mean over the last readings is at or above ln K, for K prototypes.

    Targets use all prototypes alike, so ln K is what a student that sees nothing reaches. Training may still learn from the
    masked patches and from a view compared with itself; what sites of a well share is then not learned. It stops no run.
    `state` goes into every checkpoint and comes back by `restore`.
    """

    def __init__(self, warmup: int, prototypes: int):
        self._warmup, self._guess, self._prototypes = warmup, math.log(prototypes), prototypes
        self._seen: dict[str, list[float]] = {}
        self._said: dict[str, str] = {}

    def state(self) -> dict:
        """Return its state as plain values."""
        return {"seen": {kind: list(values) for kind, values in self._seen.items()}, "said": dict(self._said)}

    def restore(self, state: dict) -> None:
        """Restore what `state` returned."""
        self._seen = {kind: list(values) for kind, values in state["seen"].items()}
        self._said = dict(state["said"])

    def read(self, step: int, parts: Mapping[str, float]) -> list[str]:
        """Take the losses of a step by kind and return new warnings, one line each."""
        new = []
        for kind, views in MEANING.items():
            if kind not in parts or kind in self._said or step <= self._warmup:
                continue
            seen = self._seen[kind] = [*self._seen.get(kind, []), float(parts[kind])][-READINGS:]
            mean = sum(seen) / len(seen)
            if len(seen) == READINGS and mean >= self._guess:
                self._said[kind] = (
                    f"step {step}: comparing {views} has taught nothing yet ({kind} {mean:.2f}, a guess is "
                    f"ln {self._prototypes} = {self._guess:.2f}); {ADVICE}"
                )
                new.append(self._said[kind])
        return new
