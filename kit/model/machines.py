"""The machines that `kit plan` knows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """A machine to plan for: peak and memory are the vendor's data sheet's, what a training step reaches is an assumption."""

    text: str
    cards: int
    memory: float  # bytes of a card
    peak: float  # FLOP/s of a card: dense, bf16 (T4: fp16), accumulated in float32
    share: float  # of the peak, what a whole step is planned to reach

    @property
    def rate(self) -> float:
        """FLOP/s of all cards together that hours are planned with."""
        return self.cards * self.peak * self.share


MACHINES = {
    "rtx4090": Machine("one RTX 4090", 1, 24e9, 165e12, 0.4),
    "a100": Machine("one A100 (80 GB)", 1, 80e9, 312e12, 0.4),
    "h100": Machine("one H100 (SXM)", 1, 80e9, 989e12, 0.32),
    "h200": Machine("one H200", 1, 141e9, 989e12, 0.32),
    "kaggle-2xt4": Machine("2 x T4 of a Kaggle notebook", 2, 16e9, 65e12, 0.25),
}
