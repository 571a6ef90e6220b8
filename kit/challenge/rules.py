"""How neighbours vote and plates are dealt: what the challenge does not state, so that each is an option, kept in score.json."""

from dataclasses import dataclass

from kit.errors import UsageError

ALLOWED = {
    "metric": ("cosine", "euclidean"),
    "votes": ("uniform", "distance"),
    "ties": ("sklearn", "nearest"),
    "cross": ("holdout", "all"),
}
KS = (1, 3, 5, 10, 20)  # those of --all-rules


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """See `neighbours.vote` (ties), `neighbours.weights` (votes) and `folds.make_splits` (cross, folds, seeds, stratified)."""

    k: int = 5
    metric: str = "cosine"
    votes: str = "uniform"
    ties: str = "sklearn"
    cross: str = "holdout"
    folds: int = 5
    seeds: int = 1
    stratified: bool = False

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("folds", 2), ("seeds", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name} {getattr(self, name)}: need at least {least}")
        for name, values in ALLOWED.items():
            if getattr(self, name) not in values:
                raise UsageError(f"--{name} {getattr(self, name)}: need {' or '.join(values)}")
